/**
 * Which receiver indices may be in use, for lanes: a count for each of the 2^18 values of an index's lower bits, in shared
 * memory. The control lane counts; lanes ask, and so drop responses and cookie replies to nothing where they come in.
 * Indices are random: with a thousand in use, one in 260 guesses gets past.
 */
const CELLS = 1 << 18;
const COUNT_MAX = 255;

export class LiveIndices {
  readonly #counts: Uint8Array;

  /** @param memory of `allocate`, of this thread or another */
  constructor(memory: SharedArrayBuffer) {
    this.#counts = new Uint8Array(memory);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(CELLS);
  }

  /** An index (int32) is in use from now on. A full count stays full: it then lets too much through, never too little. */
  take(index: number): void {
    const cell = index & (CELLS - 1);
    const count = Atomics.load(this.#counts, cell);
    if (count < COUNT_MAX) Atomics.store(this.#counts, cell, count + 1);
  }

  release(index: number): void {
    const cell = index & (CELLS - 1);
    const count = Atomics.load(this.#counts, cell);
    if (count > 0 && count < COUNT_MAX) Atomics.store(this.#counts, cell, count - 1);
  }

  /** Whether an index may be in use. */
  has(index: number): boolean {
    return Atomics.load(this.#counts, index & (CELLS - 1)) !== 0;
  }
}
