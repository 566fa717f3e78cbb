/**
 * Shared memory for many small records of one size: chunks of SharedArrayBuffers, each cut into slots. A chunk is made
 * when all slots are taken and stays for ever; a slot that was given back is zeroed and given out again. One buffer per
 * record would cost the record many times over, in the engine and in every thread that sees it.
 */

/** Slots start at multiples of this: no two records share a cache line, which threads would fight over. */
const SLOT_ALIGN_BYTES = 64;

/** Where a record lies. */
export interface SlabSlot {
  readonly memory: SharedArrayBuffer;
  /** Byte offset, a multiple of 64. */
  readonly offset: number;
}

export class Slab {
  readonly #slotBytes: number;
  readonly #slotsPerChunk: number;
  readonly #free: SlabSlot[] = [];
  #chunks = 0;

  /**
   * @param slotBytes size of a record; rounded up to whole cache lines
   * @param slotsPerChunk records that are added at once, at least 1
   */
  constructor(slotBytes: number, slotsPerChunk: number) {
    this.#slotBytes = Math.ceil(slotBytes / SLOT_ALIGN_BYTES) * SLOT_ALIGN_BYTES;
    this.#slotsPerChunk = slotsPerChunk;
  }

  /** Bytes of all chunks. */
  get bytes(): number {
    return this.#chunks * this.#slotsPerChunk * this.#slotBytes;
  }

  /** A slot of zeros. */
  take(): SlabSlot {
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    this.#addChunk();
    return this.take();
  }

  /** Takes a slot back. Nobody may use it any more: neither here nor in another thread. */
  release(slot: SlabSlot): void {
    new Uint8Array(slot.memory, slot.offset, this.#slotBytes).fill(0);
    this.#free.push(slot);
  }

  /** The slots of a chunk are given out from its start on. */
  #addChunk(): void {
    const memory = new SharedArrayBuffer(this.#slotsPerChunk * this.#slotBytes);
    this.#chunks += 1;
    for (let slot = this.#slotsPerChunk - 1; slot >= 0; slot -= 1)
      this.#free.push({ memory, offset: slot * this.#slotBytes });
  }
}
