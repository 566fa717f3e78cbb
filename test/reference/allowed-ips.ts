/** Slow twin of src/tables/allowed-ips.ts: looks at every prefix, bit by bit. */
import type { AllowedIp } from '../../src/tables/allowed-ips.ts';

/** Peer of the longest prefix that holds the address, the last one of equals; -1 if none does. */
export function scanAllowedIps(prefixes: readonly AllowedIp[], address: Uint8Array): number {
  let peer = -1;
  let longest = -1;
  for (const prefix of prefixes) {
    if (prefix.address.length !== address.length || prefix.length < longest || !holds(prefix, address)) continue;
    longest = prefix.length;
    peer = prefix.peer;
  }
  return peer;
}

function holds(prefix: AllowedIp, address: Uint8Array): boolean {
  for (let bit = 0; bit < prefix.length; bit += 1) if (bitOf(prefix.address, bit) !== bitOf(address, bit)) return false;
  return true;
}

function bitOf(bytes: Uint8Array, bit: number): number {
  return (bytes[Math.floor(bit / 8)] >> (7 - (bit % 8))) & 1;
}
