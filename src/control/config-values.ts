/**
 * The kinds of value that a configuration file knows. Each reader takes trimmed text and gives the value, or a
 * complaint: what was expected, what came (never a key), and what to do.
 */
import { isIPv6 } from 'node:net';
import { OFFLOAD_NAMES, type OffloadName, PEER_OFFLOADS, type PeerOffloads } from '../offloads/offload-name.ts';
import { CIPHERS, type CipherChoice } from '../protocol/cipher.ts';
import { autoLanes } from './auto-lanes.ts';
import { DEFAULT_MTU, LANES_MAX, QUEUE_LENGTH_MAX } from './config-limits.ts';
import { quoteValue } from './config-problems.ts';
import type { IpPrefix, LaneChoice, NamedEndpoint } from './config-types.ts';
import { maskPrefix, parseAddress } from './ip-text.ts';
import { parseKey } from './key-text.ts';

export interface Complaint {
  readonly expected: string;
  readonly got: string;
  readonly hint: string;
}

export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly complaint: Complaint };

export type ValueReader<T> = (text: string) => Reading<T>;

/** Name servers, and domains to search. */
export type DnsEntry = { readonly server: string } | { readonly search: string };

/** A terabyte. */
const MEMORY_MEGABYTES_MAX = 1_000_000;
const PORT_MAX = 65_535;
const WORD_MAX = 0xffff_ffff;
/** IPv4's smallest link MTU (RFC 791), and what a UDP datagram over IPv4 leaves for an inner packet. */
const MTU_MIN = 68;
const MTU_MAX = 65_456;

export const readKey: ValueReader<Uint8Array> = (text) => {
  const key = parseKey(text);
  if (key !== null) return ok(key);
  const got = text.length === 44 ? '44 characters that are not' : `${text.length} characters`;
  return bad('a key of 44 base64 characters', got, 'make one with: gigatun genkey');
};

export const readPrivateKey: ValueReader<Uint8Array> = (text) => {
  const reading = readKey(text);
  if (!reading.ok || reading.value.some((byte) => byte !== 0)) return reading;
  return bad('a private key', 'the key of all zeros', 'make one with: gigatun genkey');
};

/** A preshared key; all zeros mean none. */
export const readPresharedKey: ValueReader<Uint8Array | null> = (text) => {
  const reading = readKey(text);
  return reading.ok && reading.value.every((byte) => byte === 0) ? ok(null) : reading;
};

export const readListenPort: ValueReader<number> = integerReader('a port', 0, PORT_MAX, '0 lets the system choose');
export const readMtu: ValueReader<number> = integerReader('an MTU', MTU_MIN, MTU_MAX, `commonly ${DEFAULT_MTU}`);
const readLaneCount = integerReader('"auto" or a number of lanes', 1, LANES_MAX, 'one lane is one thread');

/** `auto` stays: what it means depends on the peers too. */
export const readLaneChoice: ValueReader<LaneChoice> = (text) =>
  isWord(text, 'auto') ? ok('auto') : readLaneCount(text);

/** `auto` is resolved at once, by the cores of this process. */
export const readLanes: ValueReader<number> = (text) => (isWord(text, 'auto') ? ok(autoLanes()) : readLaneCount(text));

const readMegabytes = integerReader('megabytes', 1, MEMORY_MEGABYTES_MAX, 'one lane needs about 92');

/** Megabytes (10^6 bytes), as bytes. */
export const readMemory: ValueReader<number> = (text) => {
  const reading = readMegabytes(text);
  return reading.ok ? ok(reading.value * 1e6) : reading;
};
const readPackets = integerReader('"auto" or a number of packets', 1, QUEUE_LENGTH_MAX, 'the kernel has 500');

/** Packets of a TUN queue; null leaves the kernel's. */
export const readTxQueueLength: ValueReader<number | null> = (text) =>
  isWord(text, 'auto') ? ok(null) : readPackets(text);
const readSeconds = integerReader('"off" or seconds', 0, PORT_MAX, 'commonly 25');

export const readKeepalive: ValueReader<number> = (text) => (isWord(text, 'off') ? ok(0) : readSeconds(text));

/** A 32-bit word, decimal or hexadecimal; off is 0. */
export const readFwmark: ValueReader<number> = (text) => {
  if (isWord(text, 'off')) return ok(0);
  const mark = parseWord(text);
  if (mark !== null) return ok(mark);
  return bad('"off" or a number up to 0xffffffff', quoteValue(text), 'write it as 51820 or 0xca6c');
};

export const readTable: ValueReader<'auto' | 'off' | number> = (text) => {
  if (isWord(text, 'auto')) return ok('auto');
  if (isWord(text, 'off')) return ok('off');
  const table = isWord(text, 'main') ? 254 : parseWord(text);
  if (table !== null && table > 0) return ok(table);
  return bad('"auto", "off" or a routing table number', quoteValue(text), 'see: ip route show table all');
};

export const readBoolean: ValueReader<boolean> = (text) => {
  if (isWord(text, 'true')) return ok(true);
  if (isWord(text, 'false')) return ok(false);
  return bad('"true" or "false"', quoteValue(text), 'write one of the two');
};

/** An address of the interface; without a length, of one host. */
export const readInterfaceAddress: ValueReader<IpPrefix> = (text) =>
  readPrefix(text, 'an address such as 10.0.0.1/24 or fd00::1/64');

/** A prefix that a peer may use; its host bits are cleared. */
export const readAllowedIp: ValueReader<IpPrefix> = (text) => {
  if (/^[+-]/.test(text)) {
    return bad('a prefix', quoteValue(text), 'a file states the whole list: leave the + or - away');
  }
  const reading = readPrefix(text, 'a prefix such as 10.0.0.0/24 or fd00::/64');
  return reading.ok ? ok(maskPrefix(reading.value)) : reading;
};

export const readEndpoint: ValueReader<NamedEndpoint> = (text) => {
  const expected = 'HOST:PORT or [IPV6]:PORT';
  const match = /^(?:\[([^\]]*)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  if (match === null) {
    const bare = isIPv6(text) || isIPv6(text.replace(/:\d+$/, ''));
    return bad(expected, quoteValue(text), bare ? 'put the IPv6 address in brackets' : 'as in vpn.example.com:51820');
  }
  const [, bracketed, plain, portText] = match;
  const port = Number(portText);
  const host = bracketed ?? plain ?? '';
  if (port < 1 || port > PORT_MAX) return bad('a port from 1 to 65535', `${port}`, 'WireGuard commonly uses 51820');
  return isHost(host, bracketed !== undefined)
    ? ok({ host, port })
    : bad(expected, quoteValue(text), 'give a DNS name or a numeric address');
};

export const readDns: ValueReader<DnsEntry> = (text) => {
  if (parseAddress(text) !== null) return ok({ server: text });
  if (/^[a-z0-9_.-]+$/i.test(text) && !/^[\d.]+$/.test(text)) return ok({ search: text });
  return bad('the address of a name server or a domain', quoteValue(text), 'as in 10.0.0.1 or example.com');
};

/** Offloads that a device opens: `auto` for all, `none`, or names separated by commas. */
export const readOffloads: ValueReader<readonly OffloadName[]> = (text) => {
  if (isWord(text, 'auto')) return ok(OFFLOAD_NAMES);
  if (isWord(text, 'none')) return ok([]);
  const words = text.split(',').map((word) => word.trim().toLowerCase());
  const names = OFFLOAD_NAMES.filter((name) => words.includes(name));
  const unknown = words.find((word) => !OFFLOAD_NAMES.some((name) => name === word));
  if (unknown === undefined) return ok(names);
  return bad(`auto, none, or some of ${OFFLOAD_NAMES.join(', ')}`, quoteValue(unknown), 'as in: tun-tso, udp-gro');
};

export const readPeerOffloads: ValueReader<PeerOffloads> = (text) => {
  const word = PEER_OFFLOADS.find((known) => isWord(text, known));
  if (word !== undefined) return ok(word);
  return bad(`one of ${PEER_OFFLOADS.join(', ')}`, quoteValue(text), 'tun-tso, tun-uso and udp-gro are of [Interface]');
};

/** A switch. */
export const readOnOff: ValueReader<boolean> = (text) => {
  if (isWord(text, 'on')) return ok(true);
  if (isWord(text, 'off')) return ok(false);
  return bad('"on" or "off"', quoteValue(text), 'write one of the two');
};

const CIPHER_CHOICES: readonly CipherChoice[] = ['auto', ...CIPHERS];

export const readCipher: ValueReader<CipherChoice> = (text) => {
  const choice = CIPHER_CHOICES.find((known) => isWord(text, known));
  if (choice !== undefined) return ok(choice);
  return bad(`one of ${CIPHER_CHOICES.join(', ')}`, quoteValue(text), 'only gigatun knows aes-256-gcm');
};

/** A shell command, as it is. */
export const readCommand: ValueReader<string> = (text) => ok(text);

function readPrefix(text: string, expected: string): Reading<IpPrefix> {
  const [, addressText = '', lengthText] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(addressText);
  if (address === null) return bad(expected, quoteValue(text), 'give a numeric IPv4 or IPv6 address');
  const bits = address.length * 8;
  const length = lengthText === undefined ? bits : Number(lengthText);
  if (length > bits) return bad(`a prefix length from 0 to ${bits}`, `${length}`, 'count the bits of the network part');
  return ok({ address, length });
}

function isHost(host: string, bracketed: boolean): boolean {
  if (bracketed) return isIPv6(host);
  const looksNumeric = /^[\d.]+$/.test(host);
  return looksNumeric ? parseAddress(host) !== null : /^[\p{L}\p{N}_.-]{1,253}$/u.test(host);
}

export function integerReader(what: string, least: number, most: number, hint: string): ValueReader<number> {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return ok(value);
    return bad(`${what} from ${least} to ${most}`, quoteValue(text), hint);
  };
}

function parseWord(text: string): number | null {
  if (!/^(?:\d{1,10}|0x[\da-f]{1,8})$/i.test(text)) return null;
  const value = Number(text);
  return value <= WORD_MAX ? value : null;
}

export function isWord(text: string, word: string): boolean {
  return text.toLowerCase() === word;
}

export function ok<T>(value: T): Reading<T> {
  return { ok: true, value };
}

export function bad(
  expected: string,
  got: string,
  hint: string,
): { readonly ok: false; readonly complaint: Complaint } {
  return { ok: false, complaint: { expected, got, hint } };
}
