/**
 * Bounds the memory of requests that are being read. What a request holds grows with its lines, about 300 bytes each at
 * most, so lines are what is counted, over all connections of a server together.
 */
import { requestTooLong } from './errno.ts';

/** 65,536 peers with ten prefixes each, and all else that may be said of them, need fewer. */
export const LINES_MAX: number = 1 << 20;

export class LineBudget {
  readonly #linesMax: number;
  #taken = 0;

  constructor(linesMax: number = LINES_MAX) {
    this.#linesMax = linesMax;
  }

  /** Takes one line; throws GigatunError with errno ENOMEM when none is left. */
  take(): void {
    if (this.#taken >= this.#linesMax) throw requestTooLong(this.#linesMax);
    this.#taken += 1;
  }

  giveBack(lines: number): void {
    this.#taken -= lines;
  }
}
