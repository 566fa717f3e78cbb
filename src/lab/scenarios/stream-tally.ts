/** The receiving end of a numbered stream: which numbers came, how often, when. All memory is there from the start. */
import { percentile } from '../statistics.ts';
import { NUMBERS_MAX, type StreamFigures } from './numbered.ts';

export class StreamTally {
  readonly #times: Uint8Array = new Uint8Array(NUMBERS_MAX);
  readonly #latencies: number[] = [];
  #received = 0;
  #duplicates = 0;
  #late = 0;
  #newest = -1;
  #lastMs = Number.NaN;
  #longestGapMs = 0;

  /** Takes a packet that was sent and came at those times, ms. */
  take(number: number, sentMs: number, nowMs: number): void {
    if (number >= NUMBERS_MAX) return;
    const times = this.#times[number] ?? 0;
    this.#times[number] = Math.min(times + 1, 255);
    if (times > 0) {
      this.#duplicates += 1;
      return;
    }
    this.#received += 1;
    this.#latencies.push(nowMs - sentMs);
    if (number < this.#newest) this.#late += 1;
    this.#newest = Math.max(this.#newest, number);
    if (nowMs - this.#lastMs > this.#longestGapMs) this.#longestGapMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
  }

  figures(sent: number): StreamFigures {
    const [least = Number.NaN, p50 = Number.NaN, p99 = Number.NaN, most = Number.NaN] = [0, 0.5, 0.99, 1].map((share) =>
      percentile(this.#latencies, share),
    );
    return {
      sent,
      received: this.#received,
      duplicates: this.#duplicates,
      late: this.#late,
      latencyMs: { least, p50, p99, most },
      longestGapMs: this.#longestGapMs,
      longestLoss: this.#longestLoss(sent),
    };
  }

  #longestLoss(sent: number): number {
    let longest = 0;
    let run = 0;
    for (let number = 0; number < sent; number += 1) {
      run = this.#times[number] === 0 ? run + 1 : 0;
      longest = Math.max(longest, run);
    }
    return longest;
  }
}
