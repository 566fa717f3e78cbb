/**
 * The memory of keypairs, taken from a slab and given back when nobody can use it any more. A lane that has not yet heard
 * of a keypair's end may still count with its memory; if that were a new keypair's by then, counters, and so nonces, of the
 * old one would repeat. Lanes take commands in order: when each has answered an install that was sent after a retirement,
 * each has obeyed that retirement. Until then the slot waits; if a lane never answers, for ever.
 */
import { KEYPAIR_MEMORY_BYTES } from './keypair-memory.ts';
import { Slab, type SlabSlot } from './slab.ts';

const SLOTS_PER_CHUNK = 64;

interface Retired {
  readonly slot: SlabSlot;
  /** The last install that was sent before the retirement. */
  readonly token: number;
}

export class KeypairPool {
  readonly #slab: Slab = new Slab(KEYPAIR_MEMORY_BYTES, SLOTS_PER_CHUNK);
  readonly #slots: Map<number, SlabSlot> = new Map();
  /** Oldest first; tokens never fall. */
  readonly #retired: Retired[] = [];
  /** The newest install that each lane has answered. */
  readonly #answered: number[];

  constructor(lanes: number) {
    this.#answered = new Array<number>(lanes).fill(0);
  }

  /** Bytes that the pool holds, in use or not. */
  get bytes(): number {
    return this.#slab.bytes;
  }

  /** Memory of zeros for a keypair. */
  take(keypair: number): SlabSlot {
    const slot = this.#slab.take();
    this.#slots.set(keypair, slot);
    return slot;
  }

  /** A keypair's end was sent to the lanes; `token` is that of the last install sent before it. */
  retire(keypair: number, token: number): void {
    const slot = this.#slots.get(keypair);
    if (slot === undefined) return;
    this.#slots.delete(keypair);
    this.#retired.push({ slot, token });
  }

  /** A lane has answered an install, and so has obeyed everything that was sent before it. */
  answered(lane: number, token: number): void {
    this.#answered[lane] = Math.max(this.#answered[lane] ?? 0, token);
    const byAll = Math.min(...this.#answered);
    for (let first = this.#retired[0]; first !== undefined && first.token < byAll; first = this.#retired[0]) {
      this.#retired.shift();
      this.#slab.release(first.slot);
    }
  }
}
