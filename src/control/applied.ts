/**
 * What a running tunnel was last told by its file, as far as a reload compares with it and the device cannot tell: names
 * of endpoints, settings beyond WireGuard, and everything about the link. Secrets are not among it: the device has them.
 *
 * Peers are kept in columns, about 50 bytes each with 8 for each prefix, for there may be tens of thousands.
 */

import { PEER_OFFLOADS, type PeerOffloads } from '../offloads/offload-name.ts';
import { CIPHERS, type CipherChoice } from '../protocol/cipher.ts';
import type { HistoryFileSettings, IpPrefix, NamedEndpoint, PeerFileConfig } from './config-types.ts';
import { formatKey, KEY_LENGTH } from './key-text.ts';
import type { LinkFacts, LinkRequest } from './link-plan.ts';

export interface Applied {
  /** Of the file; 0 where it says nothing. */
  readonly fileFwmark: number;
  /** In use: the file's, or the one that a default route made necessary. */
  readonly fwmark: number;
  readonly txQueueLength: number | null;
  /** Where the prefixes are those of all peers. */
  readonly link: Omit<LinkRequest, 'prefixes'>;
  readonly facts: LinkFacts;
  readonly peers: PackedPeers;
}

/** A peer as the last file had it, without what the device knows better. */
export interface AppliedPeer {
  readonly endpoint: NamedEndpoint | null;
  readonly allowedIps: readonly IpPrefix[];
  readonly offloads: PeerOffloads;
  readonly announces: boolean;
  readonly cipher: CipherChoice;
  readonly history: HistoryFileSettings | null;
}

/** One row per peer. */
export interface PackedPeers {
  /** Public keys, one behind the other. */
  readonly keys: Uint8Array;
  /** `PORT HOST`, one a line; an empty line for none. */
  readonly endpoints: string;
  /** Settings for sending more than once as JSON, one a line; an empty line for none. */
  readonly histories: string;
  /** Offloads, announces and cipher, a byte each. */
  readonly choices: Uint8Array;
  readonly prefixCounts: Uint32Array;
  /** Of all peers: the number of address bytes, the length, and the address. */
  readonly prefixes: Uint8Array;
}

const CHOICES: readonly CipherChoice[] = [...CIPHERS, 'auto'];
const CHOICE_BYTES = 3;

export const NO_APPLIED_PEER: AppliedPeer = {
  ...{ endpoint: null, allowedIps: [], offloads: 'auto', announces: true },
  cipher: 'chacha20-poly1305',
  history: null,
};

/** What is kept of a file's peers. */
export function packPeers(peers: readonly PeerFileConfig[]): PackedPeers {
  const keys = new Uint8Array(peers.length * KEY_LENGTH);
  const choices = new Uint8Array(peers.length * CHOICE_BYTES);
  peers.forEach((peer, at) => {
    const { publicKey, offloads = 'auto', announces = true, cipher = NO_APPLIED_PEER.cipher } = peer;
    keys.set(publicKey, at * KEY_LENGTH);
    choices.set([PEER_OFFLOADS.indexOf(offloads), Number(announces), CHOICES.indexOf(cipher)], at * CHOICE_BYTES);
  });
  const endpoints = peers.map(({ endpoint }) => (endpoint === null ? '' : `${endpoint.port} ${endpoint.host}`));
  const histories = peers.map(({ history = null }) => (history === null ? '' : JSON.stringify(history))).join('\n');
  const prefixCounts = Uint32Array.from(peers, ({ allowedIps }) => allowedIps.length);
  return {
    ...{ keys, endpoints: endpoints.join('\n'), histories, choices },
    ...{ prefixCounts, prefixes: packPrefixes(peers) },
  };
}

function packPrefixes(peers: readonly PeerFileConfig[]): Uint8Array {
  const all = peers.flatMap(({ allowedIps }) => allowedIps);
  const packed = new Uint8Array(all.reduce((sum, { address }) => sum + 2 + address.length, 0));
  let offset = 0;
  for (const { address, length } of all) {
    packed[offset] = address.length;
    packed[offset + 1] = length;
    packed.set(address, offset + 2);
    offset += 2 + address.length;
  }
  return packed;
}

/** The peers again, by public key in base64, in the file's order. */
export function unpackPeers(packed: PackedPeers): Map<string, AppliedPeer> {
  const peers = new Map<string, AppliedPeer>();
  const endpoints = packed.endpoints.split('\n');
  const histories = packed.histories.split('\n');
  let offset = 0;
  packed.prefixCounts.forEach((count, at) => {
    const allowedIps: IpPrefix[] = [];
    for (let each = 0; each < count; each++) {
      const end = offset + 2 + (packed.prefixes[offset] ?? 0);
      allowedIps.push({ address: packed.prefixes.subarray(offset + 2, end), length: packed.prefixes[offset + 1] ?? 0 });
      offset = end;
    }
    const [offloads = 0, announces, cipher = 0] = packed.choices.subarray(at * CHOICE_BYTES, (at + 1) * CHOICE_BYTES);
    peers.set(formatKey(packed.keys.subarray(at * KEY_LENGTH, (at + 1) * KEY_LENGTH)), {
      endpoint: unpackEndpoint(endpoints[at] ?? ''),
      allowedIps,
      offloads: PEER_OFFLOADS[offloads] ?? 'auto',
      announces: announces === 1,
      cipher: CHOICES[cipher] ?? NO_APPLIED_PEER.cipher,
      history: unpackHistory(histories[at] ?? ''),
    });
  });
  return peers;
}

function unpackHistory(line: string): HistoryFileSettings | null {
  return line === '' ? null : (JSON.parse(line) as HistoryFileSettings);
}

function unpackEndpoint(line: string): NamedEndpoint | null {
  const space = line.indexOf(' ');
  return space === -1 ? null : { host: line.slice(space + 1), port: Number(line.slice(0, space)) };
}
