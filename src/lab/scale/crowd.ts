/**
 * A crowd of peers as configuration text: what an interface with thousands of them has in its file. Each peer has one host
 * address of its own in 10.0.0.0/8, and what else falls to it of the prefixes, /28 networks in 100.64.0.0/10 and /64
 * networks in fd64::/16 by turns.
 */
import { randomBytes } from 'node:crypto';
import { formatKey } from '../../control/key-text.ts';

/** First host address that is given to a peer: 10.1.0.0. */
const HOSTS_FROM = 0x0a01_0000;
const NETWORKS_FROM = 0x6440_0000;
const KEY_LENGTH = 32;

export interface CrowdOptions {
  readonly peers: number;
  /** Of all peers together, at least one each. */
  readonly prefixes: number;
  /** Public keys of the first peers, base64; the others' keys are random, so that nobody has their private keys. */
  readonly keys?: readonly string[];
}

/** `[Peer]` sections, one behind the other. */
export function crowdSections({ peers, prefixes, keys = [] }: CrowdOptions): string {
  const sections: string[] = [];
  let network = 0;
  for (let peer = 0; peer < peers; peer += 1) {
    const count = Math.floor((prefixes * (peer + 1)) / peers) - Math.floor((prefixes * peer) / peers);
    const allowed = [`${hostOf(peer)}/32`];
    for (; allowed.length < count; network += 1) allowed.push(networkOf(network));
    const key = keys[peer] ?? formatKey(randomBytes(KEY_LENGTH));
    sections.push(`[Peer]\nPublicKey = ${key}\nAllowedIPs = ${allowed.join(', ')}\n`);
  }
  return sections.join('\n');
}

/** The host address of a peer of the crowd, dotted. */
export function hostOf(peer: number): string {
  return dotted(HOSTS_FROM + peer);
}

function networkOf(network: number): string {
  const half = network >>> 1;
  if (network % 2 === 0) return `${dotted(NETWORKS_FROM + ((half * 16) & 0x3f_ffff))}/28`;
  return `fd64:${(half >>> 16).toString(16)}:${(half & 0xffff).toString(16)}::/64`;
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}
