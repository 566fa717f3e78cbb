/**
 * What all lanes share of a keypair: the next sending counter and the replay window, in one small block of a slab of shared
 * memory (keypair-pool.ts). A lane takes the lock for a whole run, not for a packet. Lock holders never block or call out, so waiters
 * spin briefly and then sleep in slices.
 */
import { REPLAY_WINDOW_WORDS } from '../protocol/replay-window.ts';

const COUNTERS_BYTES = 24;
const LOCK_BYTES = 64;
const SPINS = 200;
const SLICE_MS = 1;

/** Cell of `counters` that holds the next sending counter: how many messages were sent. */
export const NEXT_COUNTER = 0;
/** Cell of `counters` that holds the newest received counter + 1. */
export const NEWEST_RECEIVED = 1;
/** Cell of `counters` that holds how many distinct messages were received. */
export const RECEIVED_COUNT = 2;

/** Shared memory of one keypair. */
export const KEYPAIR_MEMORY_BYTES: number = LOCK_BYTES + REPLAY_WINDOW_WORDS * 4;

export class KeypairMemory {
  /** [next sending counter, newest received counter + 1, messages received] */
  readonly counters: Float64Array;
  readonly window: Int32Array;
  readonly #lock: Int32Array;

  /** Over KEYPAIR_MEMORY_BYTES from `offset` on, a multiple of 8. */
  constructor(memory: SharedArrayBuffer, offset = 0) {
    this.counters = new Float64Array(memory, offset, COUNTERS_BYTES / 8);
    this.#lock = new Int32Array(memory, offset + COUNTERS_BYTES, 1);
    this.window = new Int32Array(memory, offset + LOCK_BYTES, REPLAY_WINDOW_WORDS);
  }

  /** Memory of a keypair that is alone, as tests have them. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(KEYPAIR_MEMORY_BYTES);
  }

  lock(): void {
    let spins = 0;
    while (Atomics.compareExchange(this.#lock, 0, 0, 1) !== 0) {
      spins += 1;
      if (spins > SPINS) Atomics.wait(this.#lock, 0, 1, SLICE_MS);
    }
  }

  unlock(): void {
    Atomics.store(this.#lock, 0, 0);
  }

  /** Takes `count` consecutive counters; returns the first. The caller checks it against the limit. */
  reserve(count: number): number {
    this.lock();
    const first = this.counters[NEXT_COUNTER];
    this.counters[NEXT_COUNTER] = first + count;
    this.unlock();
    return first;
  }
}
