/**
 * The addresses at which peers are known to be, as a table of bits, by the same seeded hash as budgets have. What comes
 * from one of them competes under a flood with the other peers only, not with everybody. It is a filter, no proof: an
 * address can be forged, and a stranger's may share a bit.
 */
import { ENDPOINT } from '../native/layout.ts';
import type { LanePeer } from '../tables/peers.ts';
import { hashSource } from './source-budget.ts';

const BITS = 1 << 19;
/** Peers move; the table is made anew when it is asked and older than this, ms. With 65,536 peers that takes a millisecond or two. */
const LIFE_MS = 1_000;

export class KnownSources {
  readonly #peers: readonly (LanePeer | undefined)[];
  readonly #seed: number;
  readonly #bits: Uint8Array = new Uint8Array(BITS >> 3);
  #madeMs = Number.NEGATIVE_INFINITY;

  constructor(peers: readonly (LanePeer | undefined)[], seed: number) {
    this.#peers = peers;
    this.#seed = seed;
  }

  /** Whether a peer may be at the address with this hash. */
  has(hash: number, nowMs: number): boolean {
    if (nowMs - this.#madeMs >= LIFE_MS) this.#make(nowMs);
    const bit = hash & (BITS - 1);
    return (this.#bits[bit >> 3] & (1 << (bit & 7))) !== 0;
  }

  #make(nowMs: number): void {
    this.#madeMs = nowMs;
    this.#bits.fill(0);
    for (const peer of this.#peers) {
      if (peer === undefined || peer.endpoint[ENDPOINT.FAMILY] === 0) continue;
      const bit = hashSource(peer.endpoint, 0, this.#seed) & (BITS - 1);
      this.#bits[bit >> 3] |= 1 << (bit & 7);
    }
  }
}
