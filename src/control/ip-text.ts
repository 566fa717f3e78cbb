/**
 * IP addresses and prefixes as text and as bytes in wire order, both ways. Text that comes out is canonical: lower
 * case, the longest run of zero groups shortened (RFC 5952), IPv4-mapped addresses with a dotted tail.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { IpPrefix } from './config-types.ts';

/** Reads a numeric address; 4 or 16 bytes, or null when it is neither (a zone, as in `fe80::1%eth0`, is neither). */
export function parseAddress(text: string): Uint8Array | null {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) return null;
  const [head = '', tail = ''] = text.split('::');
  const back = groupBytes(tail);
  const bytes = new Uint8Array(16);
  bytes.set(groupBytes(head), 0);
  bytes.set(back, 16 - back.length);
  return bytes;
}

function groupBytes(groups: string): number[] {
  if (groups === '') return [];
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const word = Number.parseInt(group, 16);
    return [word >> 8, word & 0xff];
  });
}

/** Writes 4 or 16 bytes as text. */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return address.join('.');
  const words = Array.from({ length: 8 }, (_, at) => ((address[2 * at] ?? 0) << 8) | (address[2 * at + 1] ?? 0));
  if (isMapped(words)) return `::ffff:${address.subarray(12).join('.')}`;
  const { start, length } = longestZeroRun(words);
  const hex = words.map((word) => word.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

function isMapped(words: readonly number[]): boolean {
  return words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
}

function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < words.length; start++) {
    let end = start;
    while (words[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

/** Writes a prefix as `address/length`. */
export function formatPrefix(prefix: IpPrefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`;
}

/** The same prefix with its host bits cleared. */
export function maskPrefix(prefix: IpPrefix): IpPrefix {
  const address = prefix.address.map((byte, at) => {
    const bits = Math.min(8, Math.max(0, prefix.length - 8 * at));
    return byte & (0xff00 >> bits) & 0xff;
  });
  return { address, length: prefix.length };
}

/** Whether every address of `inner` lies in `outer`. */
export function coversPrefix(outer: IpPrefix, inner: IpPrefix): boolean {
  if (outer.address.length !== inner.address.length || outer.length > inner.length) return false;
  const masked = maskPrefix({ address: inner.address, length: outer.length });
  return formatPrefix(masked) === formatPrefix(maskPrefix(outer));
}
