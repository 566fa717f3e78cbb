/**
 * The end of a burst: a receiver notices that something is missing when something newer comes, so what is lost at the end it
 * does not notice. After data, when nothing follows, a sender therefore says a few times that there was a tail: the counters of
 * these messages show the receiver what it missed. They get lost as well, so they go on, ever more slowly until they are a round
 * trip apart, for as long as a repeat may be of use.
 */

const TAILS_MAX = 8;
const FIRST_MS_MIN = 5;
/** Of the RTT. */
const FIRST_SHARE = 0.25;
/** Longest time from one to the next, in times of the first. */
const SPACING_MAX = 4;

export class Tails {
  /** When the next is to be sent, CLOCK_MONOTONIC ms; Infinity for none. */
  dueMs: number = Number.POSITIVE_INFINITY;
  #left = 0;
  #untilMs = 0;
  #firstMs = FIRST_MS_MIN;
  #spacingMs = FIRST_MS_MIN;

  /** Data was sent, which is repeated within `retransmitMs`; `rttMs` is 0 while unknown. */
  dataSent(nowMs: number, rttMs: number, retransmitMs: number): void {
    this.#left = TAILS_MAX;
    this.#firstMs = Math.max(FIRST_MS_MIN, rttMs * FIRST_SHARE);
    this.#spacingMs = this.#firstMs;
    this.#untilMs = nowMs + retransmitMs - rttMs;
    this.dueMs = nowMs + this.#spacingMs;
  }

  /** Whether one is to be sent now; the next follows after twice the time, or a round trip. The first is always sent. */
  take(nowMs: number): boolean {
    if (nowMs < this.dueMs) return false;
    this.#left -= 1;
    this.#spacingMs = Math.min(2 * this.#spacingMs, SPACING_MAX * this.#firstMs);
    const nextMs = nowMs + this.#spacingMs;
    this.dueMs = this.#left > 0 && nextMs <= this.#untilMs ? nextMs : Number.POSITIVE_INFINITY;
    return true;
  }

  stop(): void {
    this.#left = 0;
    this.dueMs = Number.POSITIVE_INFINITY;
  }
}
