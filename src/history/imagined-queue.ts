/**
 * The queue at the narrowest place of a path, as it must be by what was sent over the path: that leaves at the path's rate.
 * What probes saw of the real queue corrects it, compared with what was imagined when the probe was sent. A difference that comes
 * again and again tells of the rate.
 *
 *     imagined   ___/\__/\       sent: bytes / rate more;  as time passes: less
 *     seen         o    o        each 100 ms, a round trip late
 */

/** Of the difference between the queue that was seen and the imagined one at that time, each time that one is told. */
const CORRECTION = 0.5;
/** A queue is seen as so much longer than it is, ms, for some of it is time until programs woke. */
const WAKING_MS = 1;
/** Of a difference, over the time since the one before, as a share of the rate; at most so much each time, and in all. */
const TRIM = 0.3;
const TRIM_STEP_MAX = 0.03;
const TRIM_LEAST = 0.7;
const TRIM_MOST = 1.5;
/** What is imagined is remembered so often, ms, and so many times (a power of two): longer than a round trip with a full queue. */
const NOTE_MS = 2;
const NOTES = 256;
const NO_NOTES = new Float64Array(0);

export class ImaginedQueue {
  /** When it is empty again, CLOCK_MONOTONIC ms. */
  #freeMs = 0;
  #msPerByte = 0;
  /** What the rate is as a share of what is told, by the queues that it makes. */
  #trim = 1;
  /** A ring of moments, CLOCK_MONOTONIC ms, and of its length at these, ms. */
  #notedAtMs: Float64Array = NO_NOTES;
  #notedMs: Float64Array = NO_NOTES;
  #note = 0;
  /** When what was told last was so, and by how much that was more than imagined, ms. */
  #seenAtMs = Number.NEGATIVE_INFINITY;
  #aboveMs = 0;

  /** Its length, ms. */
  lengthMs(nowMs: number): number {
    return Math.max(0, this.#freeMs - nowMs);
  }

  /** When the last of `bytes` that are sent now leaves it, CLOCK_MONOTONIC ms. */
  leftMs(bytes: number, nowMs: number): number {
    return Math.max(this.#freeMs, nowMs) + bytes * this.#msPerByte;
  }

  add(bytes: number, nowMs: number): void {
    this.#freeMs = this.leftMs(bytes, nowMs);
  }

  /**
   * Takes over what the control lane says of the path.
   *
   * @param rateBytesPerMs 0 while unknown: nothing ever waits
   * @param queueMs what a probe saw that was sent at `atMs`, CLOCK_MONOTONIC ms; the same one counts once
   */
  tell(rateBytesPerMs: number, queueMs: number, atMs: number, nowMs: number): void {
    if (atMs > this.#seenAtMs) this.#correct(Math.max(0, queueMs - WAKING_MS), atMs, nowMs);
    this.#msPerByte = rateBytesPerMs > 0 ? 1 / (rateBytesPerMs * this.#trim) : 0;
  }

  /** To be called often while something is sent: what is told is of a while ago. */
  remember(nowMs: number): void {
    if (this.#notedMs.length === 0) this.#begin();
    if (nowMs - this.#notedAtMs[(this.#note - 1) & (NOTES - 1)] < NOTE_MS) return;
    this.#notedAtMs[this.#note] = nowMs;
    this.#notedMs[this.#note] = this.lengthMs(nowMs);
    this.#note = (this.#note + 1) & (NOTES - 1);
  }

  #begin(): void {
    this.#notedAtMs = new Float64Array(NOTES).fill(Number.NEGATIVE_INFINITY);
    this.#notedMs = new Float64Array(NOTES);
  }

  /** A longer queue counts when it was seen twice: who woke late saw one that was not there. */
  #correct(queueMs: number, atMs: number, nowMs: number): void {
    const aboveMs = queueMs - this.#lengthAt(atMs);
    const byMs = aboveMs > 0 ? Math.min(aboveMs, Math.max(0, this.#aboveMs)) : aboveMs;
    const shiftMs = CORRECTION * byMs;
    this.#trimRate(byMs / (atMs - this.#seenAtMs));
    this.#seenAtMs = atMs;
    this.#aboveMs = aboveMs - shiftMs;
    this.#freeMs = nowMs + Math.max(0, this.lengthMs(nowMs) + shiftMs);
    // What is told next may be of a time before this.
    const { length } = this.#notedMs;
    for (let note = 0; note < length; note += 1) this.#notedMs[note] = Math.max(0, this.#notedMs[note] + shiftMs);
  }

  /** A queue that grows faster than was imagined is one of a slower path: it leaves no other trace where bursts come and go. */
  #trimRate(difference: number): void {
    const step = Math.max(-TRIM_STEP_MAX, Math.min(TRIM_STEP_MAX, TRIM * difference));
    this.#trim = Math.max(TRIM_LEAST, Math.min(TRIM_MOST, this.#trim * (1 - step)));
  }

  /** What was imagined at a time of late, ms. */
  #lengthAt(atMs: number): number {
    for (let back = 1; back <= this.#notedMs.length; back += 1) {
      const note = (this.#note - back) & (NOTES - 1);
      const sinceMs = atMs - this.#notedAtMs[note];
      if (sinceMs >= 0) return Math.max(0, this.#notedMs[note] - sinceMs);
    }
    return 0;
  }
}
