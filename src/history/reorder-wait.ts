/**
 * How long what is missing may still come by itself: a sliding estimate from what did. It goes half of the way up to each late
 * arrival, with a quarter on top, and falls by half in HALF_LIFE_MS.
 */

/** Shortest wait, ms: datagrams of one group are read together. */
export const REORDER_WAIT_MIN_MS = 1;
const MARGIN = 1.25;
const HALF_LIFE_MS = 5_000;

export class ReorderWait {
  #ms = 0;
  #atMs = 0;

  /** A counter came `lateMs` after a newer one, and had not been asked for in vain. */
  note(lateMs: number, nowMs: number): void {
    const present = this.#at(nowMs);
    this.#atMs = nowMs;
    this.#ms = Math.max(present, (present + lateMs * MARGIN) / 2);
  }

  /** ms to wait, REORDER_WAIT_MIN_MS to `mostMs`. */
  ms(nowMs: number, mostMs: number): number {
    return Math.max(REORDER_WAIT_MIN_MS, Math.min(this.#at(nowMs), mostMs));
  }

  #at(nowMs: number): number {
    return this.#ms === 0 ? 0 : this.#ms * 2 ** ((this.#atMs - nowMs) / HALF_LIFE_MS);
  }
}
