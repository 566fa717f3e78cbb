/** The least of the values of the last while, from two halves of it: exact enough, and nothing is kept of single values. */
export class SlidingLeast {
  readonly #halfMs: number;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #last = Number.POSITIVE_INFINITY;
  #present = Number.POSITIVE_INFINITY;

  constructor(windowMs: number) {
    this.#halfMs = windowMs / 2;
  }

  /** Null while there is none. */
  get value(): number | null {
    const least = Math.min(this.#last, this.#present);
    return least === Number.POSITIVE_INFINITY ? null : least;
  }

  add(value: number, nowMs: number): void {
    if (nowMs - this.#sinceMs >= this.#halfMs) {
      this.#last = this.#present;
      this.#present = Number.POSITIVE_INFINITY;
      this.#sinceMs = nowMs;
    }
    this.#present = Math.min(this.#present, value);
  }

  clear(): void {
    this.#last = Number.POSITIVE_INFINITY;
    this.#present = Number.POSITIVE_INFINITY;
  }
}
