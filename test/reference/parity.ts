/** Parity as the page about the extension protocol has it, byte by byte: `sealed` are inner packets as sealed, with tags. */
import { slowInverse, slowProduct } from './galois.ts';

/** 1 / (x + y), divided by the same for x = 0. */
export function slowCoefficient(parity: number, place: number): number {
  const y = 8 + place;
  return slowProduct(slowInverse(parity ^ y), y);
}

/** Parity of this number over datagrams and their places in the block. */
export function slowParity(number: number, sealed: readonly Uint8Array[], places: readonly number[]): Uint8Array {
  const covered = 2 + Math.max(...sealed.map(({ length }) => length));
  const parity = new Uint8Array(covered);
  for (const [at, bytes] of sealed.entries()) {
    const factor = slowCoefficient(number, places[at]);
    const withLength = [bytes.length >> 8, bytes.length & 0xff, ...bytes];
    for (const [byte, value] of withLength.entries()) parity[byte] ^= slowProduct(factor, value);
  }
  return parity;
}
