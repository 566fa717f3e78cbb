/**
 * Copies that wait: groups of the ring that are sent once more after a delay that is the same for all, so that they are due in
 * the order in which they were put. A full queue takes no more, and a group that the ring has overwritten meanwhile is given up.
 */

/** Groups that may wait for a peer. */
export const DELAYED_GROUPS_MAX = 4_096;

/** Columns, by place in the queue. */
export class DelayedCopies {
  readonly positions: Float64Array = new Float64Array(DELAYED_GROUPS_MAX);
  readonly lengths: Int32Array = new Int32Array(DELAYED_GROUPS_MAX);
  readonly segmentLengths: Int32Array = new Int32Array(DELAYED_GROUPS_MAX);
  readonly datagrams: Int32Array = new Int32Array(DELAYED_GROUPS_MAX);
  readonly trafficClasses: Int16Array = new Int16Array(DELAYED_GROUPS_MAX);
  readonly #dueMs: Float64Array = new Float64Array(DELAYED_GROUPS_MAX);
  /** Copies that are still to be sent of a group. */
  readonly left: Uint8Array = new Uint8Array(DELAYED_GROUPS_MAX);
  #first = 0;
  #count = 0;

  /** When the first group is due, CLOCK_MONOTONIC ms; Infinity for none. */
  get dueMs(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#dueMs[this.#first];
  }

  /** A place for a group that is due then, whose columns the caller fills; -1 where there is none. */
  put(dueMs: number): number {
    if (this.#count === DELAYED_GROUPS_MAX) return -1;
    const place = (this.#first + this.#count) & (DELAYED_GROUPS_MAX - 1);
    this.#dueMs[place] = dueMs;
    this.#count += 1;
    return place;
  }

  /** Place of the first group, which leaves the queue: its columns hold until the next `put`. The queue is not empty. */
  take(): number {
    const place = this.#first;
    this.#first = (place + 1) & (DELAYED_GROUPS_MAX - 1);
    this.#count -= 1;
    return place;
  }
}
