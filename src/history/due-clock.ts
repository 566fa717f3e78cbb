/** When a lane has to look at its histories: never later than the first of them has something due, and seldom much earlier. */
export class DueClock {
  /** CLOCK_MONOTONIC ms; Infinity for nothing. */
  ms: number = Number.POSITIVE_INFINITY;

  /** Something is due at that time. */
  expect(ms: number): void {
    if (ms < this.ms) this.ms = ms;
  }

  /** Before all are asked anew. */
  clear(): void {
    this.ms = Number.POSITIVE_INFINITY;
  }
}
