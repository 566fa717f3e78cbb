/** Slow twin of src/protocol/replay-window.ts: remembers each counter by itself. */
export class ReferenceReplayWindow {
  readonly #seen = new Set<number>();
  #newest = -1;

  /** 0 for new, 1 for a duplicate, 2 for one that lies more than 8,128 behind the newest. */
  accept(counter: number): 0 | 1 | 2 {
    if (this.#newest - counter > 8128) return 2;
    if (this.#seen.has(counter)) return 1;
    this.#seen.add(counter);
    this.#newest = Math.max(this.#newest, counter);
    return 0;
  }
}
