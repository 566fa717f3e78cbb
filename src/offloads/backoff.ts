/** How long something that failed is left alone: longer each time, until it works again. */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  #nextMs: number;

  /** The first wait, which doubles, and the longest. */
  constructor(firstMs: number, mostMs: number) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
    this.#nextMs = firstMs;
  }

  /** The wait after one more failure, ms. */
  take(): number {
    const waitMs = this.#nextMs;
    this.#nextMs = Math.min(this.#mostMs, waitMs * 2);
    return waitMs;
  }

  /** It works: the next failure is a first one. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
