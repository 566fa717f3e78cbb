/**
 * A budget in bytes: what may be sent again is a share of what was sent first, with a little in hand so that a peer that sends
 * seldom has something. Whoever asks for more gets no more.
 */
export class ByteBudget {
  /** Bytes earned per byte that was sent first, at least 0. */
  share: number;
  readonly #mostBytes: number;
  #bytes: number;

  /** `mostBytes`: what may be saved up, and is there at first. */
  constructor(share: number, mostBytes: number) {
    this.share = share;
    this.#mostBytes = mostBytes;
    this.#bytes = mostBytes;
  }

  /** What may be spent, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes were sent for the first time. Returns what was earned beyond what may be saved up. */
  earn(bytes: number): number {
    const wanted = this.#bytes + bytes * this.share;
    this.#bytes = Math.min(this.#mostBytes, wanted);
    return wanted - this.#bytes;
  }

  /** Whether so many bytes may be sent again; if so they are spent. */
  spend(bytes: number): boolean {
    if (bytes > this.#bytes) return false;
    this.#bytes -= bytes;
    return true;
  }
}
