/**
 * Control of the backlog before a peer's paths: where capacities are known, as with weighted paths, what is sent faster
 * waits before the bottleneck, and is lost there in bursts when that is full. So a TCP sender is told before: one of its
 * segments is dropped, or marked, when the backlog has been long for a while, and ever more often until it is short, as in
 * CoDel (RFC 8289, 3.3).
 */

/** A backlog that is no harm, ms: enough that a stream which slows down by a third still fills its paths. */
const TARGET_MS = 24;
/** One that lasts longer than a round trip is no burst, ms. */
const STANDING_MS = 60;
/** Time for a sender to hear of a signal and to slow down, which it does over a round trip, ms. */
const INTERVAL_MS = 200;
/** Signals that come no later than this after the one before are more of the same, ms. */
const SOON_MS = 500;

export class BacklogControl {
  #longSinceMs = Number.POSITIVE_INFINITY;
  #nextMs = 0;
  #signals = 0;

  /** Whether the sender of a segment that would wait for `backlogMs` is to be told to slow down. */
  signals(backlogMs: number, nowMs: number): boolean {
    if (backlogMs < TARGET_MS) {
      this.#longSinceMs = Number.POSITIVE_INFINITY;
      return false;
    }
    this.#longSinceMs = Math.min(this.#longSinceMs, nowMs);
    if (nowMs - this.#longSinceMs < STANDING_MS || nowMs < this.#nextMs) return false;
    this.#signals = nowMs - this.#nextMs < SOON_MS ? this.#signals + 1 : 1;
    this.#nextMs = nowMs + INTERVAL_MS / Math.sqrt(this.#signals);
    return true;
  }
}
