/**
 * A change of a device is checked whole before any of it is carried out: lengths, ranges, the number of peers, and what
 * endpoints name. What comes out is the same change with endpoints as bytes; keys and prefixes are still the caller's.
 */
import type { IpPrefix } from './control/config-types.ts';
import type { DeviceChange, PeerChange } from './control/device-change.ts';
import { checkHistory } from './device-history-check.ts';
import { endpointOf } from './endpoint-text.ts';
import { GigatunError } from './errors.ts';
import { PEER_OFFLOADS } from './offloads/offload-name.ts';
import type { Endpoint } from './packet/endpoint.ts';
import { CIPHERS } from './protocol/cipher.ts';
import { KEY_LENGTH, PEERS_MAX } from './protocol/constants.ts';

const PORT_MAX = 65_535;
const WORD_MAX = 0xffff_ffff;

/** A peer's part of a change, whose values are good. */
export interface CheckedPeer extends Omit<PeerChange, 'endpoint'> {
  /** Names the peer; hexadecimal. */
  readonly name: string;
  readonly endpoint?: Endpoint;
}

/** Which peers a device has. */
export interface KnownPeers {
  readonly count: number;
  has(publicKey: Uint8Array): boolean;
}

/**
 * Checks a change's values.
 *
 * @throws GigatunError CONFIG for a value out of range, NOT_FOUND for an endpoint on an interface that is not there
 */
export function checkChange({
  privateKey = null,
  listenPort = 0,
  fwmark = 0,
  peers = [],
}: DeviceChange): CheckedPeer[] {
  if (privateKey !== null) checkKey(privateKey, 'a private key');
  checkInteger(listenPort, PORT_MAX, 'a listen port');
  checkInteger(fwmark, WORD_MAX, 'a firewall mark');
  return peers.map(checkPeer);
}

/**
 * Checks that there are never too many peers while a change is carried out.
 *
 * @param ownKey public key that names nobody, or null
 * @returns how many there are afterwards
 */
export function checkPeerCount(peers: readonly CheckedPeer[], known: KnownPeers, ownKey: Uint8Array | null): number {
  const own = ownKey === null ? '' : nameOf(ownKey);
  const there = new Map<string, boolean>();
  let count = known.count;
  for (const { name, publicKey, remove = false, updateOnly = false } of peers) {
    if (name === own) continue;
    const isThere = there.get(name) ?? known.has(publicKey);
    const becomesThere = !remove && (isThere || !updateOnly);
    there.set(name, becomesThere);
    count += Number(becomesThere) - Number(isThere);
    if (count > PEERS_MAX) throw new GigatunError('CONFIG', `expected at most ${PEERS_MAX} peers, got more`);
  }
  return count;
}

export function nameOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('hex');
}

function checkPeer({ endpoint, ...change }: PeerChange): CheckedPeer {
  checkKey(change.publicKey, 'a public key');
  const name = nameOf(change.publicKey);
  if (change.remove === true) return { ...change, name };
  const { presharedKey = null, persistentKeepaliveSeconds = 0, allowedIps = [] } = change;
  if (presharedKey !== null) checkKey(presharedKey, 'a preshared key');
  checkInteger(persistentKeepaliveSeconds, PORT_MAX, 'a persistent keepalive in seconds');
  for (const { prefix } of allowedIps) checkPrefix(prefix);
  checkChoice(change);
  if (change.history != null) checkHistory(change.history);
  if (endpoint === undefined) return { ...change, name };
  checkInteger(endpoint.port, PORT_MAX, "an endpoint's port", 1);
  return { ...change, name, endpoint: endpointOf(endpoint) };
}

function checkChoice({ offloads = 'auto', cipher = 'auto' }: Pick<PeerChange, 'offloads' | 'cipher'>): void {
  if (!PEER_OFFLOADS.includes(offloads))
    throw new GigatunError('CONFIG', `expected offloads ${PEER_OFFLOADS.join(', ')}, got '${offloads}'`);
  if (cipher !== 'auto' && !CIPHERS.includes(cipher))
    throw new GigatunError('CONFIG', `expected cipher auto, ${CIPHERS.join(', ')}, got '${cipher}'`);
}

/** Of a key only its length is told. */
function checkKey(key: Uint8Array, what: string): void {
  if (key.length === KEY_LENGTH) return;
  throw new GigatunError('CONFIG', `expected ${what} of ${KEY_LENGTH} bytes, got ${key.length}`);
}

function checkPrefix({ address, length }: IpPrefix): void {
  if (address.length !== 4 && address.length !== 16)
    throw new GigatunError('CONFIG', `expected an address of 4 or 16 bytes, got ${address.length}`);
  checkInteger(length, address.length * 8, 'a prefix length');
}

function checkInteger(value: number, most: number, what: string, least = 0): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new GigatunError('CONFIG', `expected ${what} from ${least} to ${most}, got ${value}`);
}
