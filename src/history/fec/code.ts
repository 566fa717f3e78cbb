/**
 * The code: parity p of a block is the sum over its datagrams of COEFFICIENT(p, place) times the datagram, where the place of a
 * datagram is how far its counter lies behind the block's first. The coefficients are those of a Cauchy matrix, 1 / (x_p + y_place)
 * with all x and y different, whose square parts all have an inverse: any missing datagrams follow from as many parities
 * (Blömer et al., An XOR-Based Erasure-Resilient Coding Scheme, 1995). Each column is divided by its first element, which
 * changes nothing of that and makes the first parity a mere exclusive or.
 */
import { BLOCK_PARITIES_MAX, BLOCK_SPAN } from '../../protocol/parity-message.ts';
import { inverse, product } from './galois.ts';

/** By parity, then place. */
const COEFFICIENTS: Uint8Array = new Uint8Array(BLOCK_PARITIES_MAX * BLOCK_SPAN);
for (let parity = 0; parity < BLOCK_PARITIES_MAX; parity += 1) {
  for (let place = 0; place < BLOCK_SPAN; place += 1) {
    const y = BLOCK_PARITIES_MAX + place;
    COEFFICIENTS[parity * BLOCK_SPAN + place] = product(inverse(parity ^ y), y);
  }
}

/** What a datagram counts in a parity: `parity` 0 to BLOCK_PARITIES_MAX - 1, `place` 0 to BLOCK_SPAN - 1. */
export function coefficient(parity: number, place: number): number {
  return COEFFICIENTS[parity * BLOCK_SPAN + place];
}
