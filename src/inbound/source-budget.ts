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

const RECENT_BITS = 1 << 22;

/**
 * Which addresses were heard of lately, by hash: bits of this period and of the one before. Many more bits than senders, so
 * that a quiet address seldom shares one; of a flood from ever new addresses, 100,000 a second, one in ten does.
 */
export class RecentSources {
  readonly #periodMs: number;
  #present: Uint8Array = new Uint8Array(RECENT_BITS >> 3);
  #past: Uint8Array = new Uint8Array(RECENT_BITS >> 3);
  #sinceMs = Number.NEGATIVE_INFINITY;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Notes that the source with this hash is heard of; whether it was not for one to two periods before. */
  mark(hash: number, nowMs: number): boolean {
    const isFresh = !this.has(hash, nowMs);
    this.#present[(hash & (RECENT_BITS - 1)) >> 3] |= 1 << (hash & 7);
    return isFresh;
  }

  /** Whether the source with this hash was heard of in this period or in the one before. */
  has(hash: number, nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= this.#periodMs) this.#turn(nowMs);
    const byte = (hash & (RECENT_BITS - 1)) >> 3;
    return ((this.#present[byte] | this.#past[byte]) & (1 << (hash & 7))) !== 0;
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#sinceMs >= 2 * this.#periodMs) this.#present.fill(0);
    const oldest = this.#past;
    this.#past = this.#present;
    this.#present = oldest.fill(0);
    this.#sinceMs = nowMs;
  }
}
