/**
 * Allowed IPs: longest prefix -> peer, for both families. The control lane builds a table with `buildAllowedIps` and
 * gives it to the lanes whole; lanes only look up. No lane ever sees a half-changed table.
 *
 * A table is one flat Int32Array: a trie compressed by path and by level (Nilsson and Karlsson, "IP-Address Lookup Using
 * LC-Tries", 1999), whose prefixes are pushed down to its leaves. A node skips the bits that all its prefixes share and
 * branches on as many further bits at once as keep half of its branches filled. So a look-up passes one to three nodes
 * among 100,000 prefixes, and the table stays within a few branches for each prefix.
 */
import { maskOf, type PrefixColumns, TableBuilder } from './allowed-ips-builder.ts';
import {
  HEADER_TAIL_WORDS,
  LENGTH_MASK,
  MASK_AT,
  MISS,
  NO_PEER,
  SHAPE,
  SHIFT_AT,
  SINGLE_PEER_AT,
} from './allowed-ips-layout.ts';

export { NO_PEER } from './allowed-ips-layout.ts';

export interface AllowedIp {
  /** 4 or 16 bytes in wire order; bits behind `length` are ignored. */
  readonly address: Uint8Array;
  /** Prefix length, 0 to 32 or 128. */
  readonly length: number;
  readonly peer: number;
}

const IPV4_BRANCHES = 1 + HEADER_TAIL_WORDS;
const IPV6_BRANCHES = 4 + HEADER_TAIL_WORDS;

/** Longest match for an IPv4 address given as its big-endian 32-bit value; NO_PEER if there is none. */
export function lookupIpv4(table: Int32Array, address: number): number {
  let at = table[0];
  while (at >= 0) {
    const node = at >> 1;
    const shape = table[node + 1 + SHAPE];
    const length = shape & LENGTH_MASK;
    const matches = length === 0 || (table[node] ^ address) >>> (32 - length) === 0;
    if ((at & 1) !== 0) return matches ? shape >>> SINGLE_PEER_AT : NO_PEER;
    if (!matches) return ~table[node + 1 + MISS] - 1;
    at = table[node + IPV4_BRANCHES + ((address >>> (shape >>> SHIFT_AT)) & (shape >>> MASK_AT))];
  }
  return ~at - 1;
}

/** Longest match for an IPv6 address given as four big-endian words. */
export function lookupIpv6(table: Int32Array, w0: number, w1: number, w2: number, w3: number): number {
  let at = table[0];
  while (at >= 0) {
    const node = at >> 1;
    if ((at & 1) !== 0) return lookupSingle(table, node, w0, w1);
    const shape = table[node + 4 + SHAPE];
    const length = shape & LENGTH_MASK;
    if (length !== 0 && !matchesIpv6(table, node, length, w0, w1, w2, w3)) return ~table[node + 4 + MISS] - 1;
    const word = length < 32 ? w0 : length < 64 ? w1 : length < 96 ? w2 : w3;
    at = table[node + IPV6_BRANCHES + ((word >>> (shape >>> SHIFT_AT)) & (shape >>> MASK_AT))];
  }
  return ~at - 1;
}

function lookupSingle(table: Int32Array, single: number, w0: number, w1: number): number {
  const shape = table[single + 2];
  const length = shape & LENGTH_MASK;
  const matches =
    length <= 32
      ? (table[single] ^ w0) >>> (32 - length) === 0
      : table[single] === w0 && (table[single + 1] ^ w1) >>> (64 - length) === 0;
  return matches ? shape >>> SINGLE_PEER_AT : NO_PEER;
}

function matchesIpv6(
  table: Int32Array,
  node: number,
  length: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): boolean {
  if (length <= 32) return (table[node] ^ w0) >>> (32 - length) === 0;
  if (table[node] !== w0) return false;
  if (length <= 64) return (table[node + 1] ^ w1) >>> (64 - length) === 0;
  if (table[node + 1] !== w1) return false;
  if (length <= 96) return (table[node + 2] ^ w2) >>> (96 - length) === 0;
  return table[node + 2] === w2 && (table[node + 3] ^ w3) >>> (128 - length) === 0;
}

/** Both families' tables in shared memory. A prefix that stands twice belongs to the last peer that names it. */
export function buildAllowedIps(prefixes: readonly AllowedIp[]): { ipv4: Int32Array; ipv6: Int32Array } {
  const isIpv4 = ({ address }: AllowedIp): boolean => address.length === 4;
  const ofIpv4 = prefixes.filter(isIpv4);
  const ofIpv6 = prefixes.filter((prefix) => !isIpv4(prefix));
  return {
    ipv4: new TableBuilder(columnsOf(ofIpv4, 1), 1).finish(),
    ipv6: new TableBuilder(columnsOf(ofIpv6, 4), 4).finish(),
  };
}

/** An empty table of one family. */
export function emptyTable(family: 4 | 6): Int32Array {
  return new TableBuilder(columnsOf([], 1), family === 4 ? 1 : 4).finish();
}

function columnsOf(prefixes: readonly AllowedIp[], keyWords: number): PrefixColumns {
  const keys = new Int32Array(prefixes.length * keyWords);
  prefixes.forEach(({ address, length }, prefix) => {
    for (let word = 0; word < keyWords; word += 1) keys[prefix * keyWords + word] = maskedWord(address, length, word);
  });
  const lengths = Uint8Array.from(prefixes, ({ length }) => length);
  return { keys, lengths, peers: Int32Array.from(prefixes, ({ peer }) => peer) };
}

/** A big-endian word of an address, its bits behind the prefix's length zero. */
export function maskedWord(address: Uint8Array, length: number, word: number): number {
  const at = word * 4;
  const value = (address[at] << 24) | (address[at + 1] << 16) | (address[at + 2] << 8) | address[at + 3];
  return value & maskOf(length - word * 32);
}
