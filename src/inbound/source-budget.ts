/**
 * How much work each address may ask for: a table of fixed size, of which an address has one cell by a seeded hash. IPv6
 * senders are told apart by /64, of which one machine usually owns all addresses. Two addresses may share a cell, and so
 * a budget; which ones, nobody outside can know or choose. Nothing is allocated after the start, whoever sends.
 */
import { ENDPOINT } from '../native/layout.ts';

const CELLS = 16_384;
const FAMILY_IPV4 = 4;

/** Seeded hash (int32) of the remote address in an ENDPOINT record, which starts at word `at`. */
export function hashSource(words: Int32Array, at: number, seed: number): number {
  const second = words[at + ENDPOINT.FAMILY] === FAMILY_IPV4 ? FAMILY_IPV4 : words[at + ENDPOINT.ADDRESS + 1];
  let hash = mix(seed ^ words[at + ENDPOINT.ADDRESS]);
  hash = mix(hash ^ second);
  return mix(hash ^ seed);
}

/** Spreads each bit over all others (the finishing steps of MurmurHash3). */
function mix(word: number): number {
  let hash = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** `burst` at once, then one each `1000 / perSecond` ms: the generic cell rate algorithm (ITU-T I.371), per cell. */
export class SourceBudget {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;
  /** When the next one would be due if all came evenly, ms. */
  readonly #dueMs: Float64Array = new Float64Array(CELLS);

  constructor(perSecond: number, burst: number) {
    this.#intervalMs = 1_000 / perSecond;
    this.#toleranceMs = (burst - 1) * this.#intervalMs;
  }

  /** Whether the source with this hash may have one more now; if so, it is booked. */
  take(hash: number, nowMs: number): boolean {
    const cell = hash & (CELLS - 1);
    const dueMs = Math.max(this.#dueMs[cell], nowMs);
    if (dueMs - nowMs > this.#toleranceMs) return false;
    this.#dueMs[cell] = dueMs + this.#intervalMs;
    return true;
  }
}

/** The same for all sources together. */
export class TotalBudget {
  readonly #perMs: number;
  readonly #burst: number;
  #used = 0;
  #atMs = 0;

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
  }

  /** What is used up now, of the burst. */
  used(nowMs: number): number {
    this.#used = Math.max(0, this.#used - (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
    return this.#used;
  }

  /**
   * Whether there is one more.
   *
   * @param share of the burst (0 to 1) that this one may use up, the rest being kept for better ones
   */
  has(nowMs: number, share = 1): boolean {
    return this.used(nowMs) <= this.#burst * share - 1;
  }

  /** The same, and takes it. */
  take(nowMs: number, share = 1): boolean {
    if (!this.has(nowMs, share)) return false;
    this.#used += 1;
    return true;
  }
}

/** When a source was heard of before. FRESH: not for one to two periods; RETURNING: the same, but in the two periods before those. */
export const HEARD = { LATELY: 0, FRESH: 1, RETURNING: 2 } as const;

const RECENT_CELLS = 1 << 22;
const PERIODS = 4;

/**
 * Which addresses were heard of lately, by hash: four bits for each of very many cells, one for this period and each of the three
 * before. Many more cells than senders, so that a quiet address seldom shares one; of a flood from ever new addresses, 100,000 a
 * second, one in ten does.
 */
export class RecentSources {
  readonly #periodMs: number;
  /** Two cells a byte, side by side so that one look costs one line of the cache. */
  readonly #cells: Uint8Array = new Uint8Array(RECENT_CELLS >> 1);
  readonly #words: Int32Array = new Int32Array(this.#cells.buffer);
  /** Which of the four bits is this period's. */
  #present = 0;
  #sinceMs = Number.NEGATIVE_INFINITY;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Notes that the source with this hash is heard of; says when it was before. */
  mark(hash: number, nowMs: number): (typeof HEARD)[keyof typeof HEARD] {
    if (nowMs - this.#sinceMs >= this.#periodMs) this.#turn(nowMs);
    const cell = hash & (RECENT_CELLS - 1);
    const shift = (cell & 1) << 2;
    const heard = this.#cells[cell >> 1] >> shift;
    const present = this.#present;
    this.#cells[cell >> 1] |= 1 << (present + shift);
    if ((heard & ((1 << present) | (1 << ((present + 3) & 3)))) !== 0) return HEARD.LATELY;
    return (heard & 15) === 0 ? HEARD.FRESH : HEARD.RETURNING;
  }

  /** Begins a period: what its bit said is four periods old, and of those that nobody was heard in nothing is known. */
  #turn(nowMs: number): void {
    const passed = Math.min(PERIODS, Math.floor((nowMs - this.#sinceMs) / this.#periodMs));
    let stale = 0;
    for (let period = 1; period <= passed; period += 1) stale |= 0x1111_1111 << ((this.#present + period) & 3);
    const words = this.#words;
    for (let word = 0; word < words.length; word += 1) words[word] &= ~stale;
    this.#present = (this.#present + passed) & 3;
    this.#sinceMs = passed === PERIODS ? nowMs : this.#sinceMs + passed * this.#periodMs;
  }
}
