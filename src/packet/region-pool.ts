/**
 * Hands out parts of one region of the arena and takes them back: a few large ones, for years. First fit, neighbours that
 * are free are joined again. What does not fit is refused, which the caller has a policy for.
 */

/** Parts start at multiples of a page, so that one that was given back and is unused shares none with a used one. */
export const PART_ALIGNMENT = 4_096;

interface Gap {
  readonly start: number;
  readonly end: number;
}

export class RegionPool {
  /** In order, no two adjacent. */
  #gaps: readonly Gap[];
  readonly #taken: Map<number, number> = new Map();

  /** Of `length` bytes from `start` of the arena on. */
  constructor(start: number, length: number) {
    const first = Math.ceil(start / PART_ALIGNMENT) * PART_ALIGNMENT;
    this.#gaps = first < start + length ? [{ start: first, end: start + length }] : [];
  }

  /** Offset of `bytes` (at least 1) in the arena, or -1 where there is no room. */
  take(bytes: number): number {
    const length = Math.ceil(bytes / PART_ALIGNMENT) * PART_ALIGNMENT;
    const gap = this.#gaps.find(({ start, end }) => end - start >= length);
    if (gap === undefined) return -1;
    const rest = { start: gap.start + length, end: gap.end };
    this.#gaps = this.#gaps.flatMap((each) => (each !== gap ? [each] : rest.start < rest.end ? [rest] : []));
    this.#taken.set(gap.start, length);
    return gap.start;
  }

  /** Takes back what `take` gave; anything else is a broken program. */
  release(offset: number): void {
    const length = this.#taken.get(offset);
    if (length === undefined) throw new RangeError(`expected the offset of a taken part, got ${offset}`);
    this.#taken.delete(offset);
    const gaps = [...this.#gaps, { start: offset, end: offset + length }].sort((a, b) => a.start - b.start);
    const joined: Gap[] = [];
    for (const gap of gaps) {
      const last = joined.at(-1);
      if (last?.end === gap.start) joined[joined.length - 1] = { start: last.start, end: gap.end };
      else joined.push(gap);
    }
    this.#gaps = joined;
  }
}
