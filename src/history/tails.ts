/**
 * The end of a burst: a receiver notices that something is missing when something newer comes, so what is lost at the end it
 * does not notice. After data, when nothing follows, a sender therefore says a few times, ever more slowly, that there was a tail:
 * the counters of these messages show the receiver what it missed.
 */

const TAILS = 3;
const FIRST_MS_MIN = 5;
/** Of the RTT. */
const FIRST_SHARE = 0.25;

export class Tails {
  /** When the next is to be sent, CLOCK_MONOTONIC ms; Infinity for none. */
  dueMs: number = Number.POSITIVE_INFINITY;
  #left = 0;
  #spacingMs = FIRST_MS_MIN;

  /** Data was sent; `rttMs` is 0 while unknown. */
  dataSent(nowMs: number, rttMs: number): void {
    this.#left = TAILS;
    this.#spacingMs = Math.max(FIRST_MS_MIN, rttMs * FIRST_SHARE);
    this.dueMs = nowMs + this.#spacingMs;
  }

  /** Whether one is to be sent now; the next follows after twice the time. */
  take(nowMs: number): boolean {
    if (nowMs < this.dueMs) return false;
    this.#left -= 1;
    this.#spacingMs *= 2;
    this.dueMs = this.#left > 0 ? nowMs + this.#spacingMs : Number.POSITIVE_INFINITY;
    return true;
  }

  stop(): void {
    this.#left = 0;
    this.dueMs = Number.POSITIVE_INFINITY;
  }
}
