/**
 * The memory of keypairs, taken from a slab and given back when nobody can use it any more. A lane that has not yet heard
 * of a keypair's end may still count with its memory; if that were a new keypair's by then, counters, and so nonces, of the
 * old one would repeat. So the slot waits until every lane has answered something that was sent after the retirement.
 */
import { KEYPAIR_MEMORY_BYTES } from './keypair-memory.ts';
import { RetiredThings } from './retired.ts';
import { Slab, type SlabSlot } from './slab.ts';

const SLOTS_PER_CHUNK = 64;

export class KeypairPool {
  readonly #slab: Slab = new Slab(KEYPAIR_MEMORY_BYTES, SLOTS_PER_CHUNK);
  readonly #slots: Map<number, SlabSlot> = new Map();
  readonly #retired: RetiredThings<SlabSlot>;

  constructor(lanes: number) {
    this.#retired = new RetiredThings(lanes, (slot) => this.#slab.release(slot));
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

  /** A keypair's end was sent to the lanes; `token` is that of the last command to be answered sent before it. */
  retire(keypair: number, token: number): void {
    const slot = this.#slots.get(keypair);
    if (slot === undefined) return;
    this.#slots.delete(keypair);
    this.#retired.add(slot, token);
  }

  /** A lane has answered a command, and so has obeyed everything that was sent before it. */
  answered(lane: number, token: number): void {
    this.#retired.answered(lane, token);
  }
}
