/**
 * Gap watch: which counters of one keypair are missing, since when, and when they were last asked for. A counter that newer
 * ones passed is missing until it comes or is given up. The list is sorted by counter and so by time; what is full gives
 * up its oldest. No list is longer than GAPS_MAX, and no counter is watched that the replay window would refuse.
 *
 *     skip: newer came -> missing -> fill: it came
 *                            |  `--> report: it is asked for, again and again -> waive: in vain
 *                            `-----> giveUp: too long, or behind the window
 */
import { PATHS_MAX } from '../path/path-types.ts';
import { GAPS_RANGES_MAX, GAPS_SPAN, gapsLength, writeGap, writeGaps } from '../protocol/gaps-message.ts';
import { REPLAY_WINDOW_USABLE } from '../protocol/replay-window.ts';
import type { LaneKeypair } from '../tables/peers.ts';

/** Counters of one keypair that may be missing at once; a power of two. */
export const GAPS_MAX = 4_096;
const MASK = GAPS_MAX - 1;
/** Of these, how many may be added in a ms, after a burst of GAPS_MAX: a peer that leaps with each message costs no more. */
const GAPS_PER_MS = 64;
/** Counters that may follow the one that showed the gap; more prove a loss where nothing has come out of order. */
const NEWER_PROVE_LOSS = 2;
const NONE = -1;
/** As the time at which a counter was asked for last. */
const NEVER_AGAIN: number = Number.POSITIVE_INFINITY;

/** When a missing counter is asked for. */
export interface AskRules {
  /** Wait for those that come by themselves, ms: any counter, and one that every path has passed that data comes over. */
  readonly allowanceMs: number;
  readonly passedMs: number;
  /** Counters below it have been passed by newer ones on each of these paths. */
  readonly passedBelow: number;
  /** Whether for such a one three newer ones are enough, however short the wait. */
  readonly isOrderly: boolean;
  /** From one ask to the next, ms. */
  readonly askAgainMs: number;
}

export class GapWatch {
  keypair: LaneKeypair | null = null;
  /** Counters below it are not watched: they were there before. */
  floor = 0;
  /** Whether the order of its packets was kept from the first one on. */
  isWhole = false;
  /** The newest counter + 1. */
  expected = 0;
  /** Counters that are missing, and those of them that were not asked for yet. */
  missing = 0;
  unasked = 0;
  /** Of the latest `fill` that found something: when the counter was noticed missing, and first asked for (0: never), ms. */
  filledSinceMs = 0;
  filledAskedMs = 0;
  /** Since when nothing came of what was asked for, ms; 0 while nothing is asked for, or something came of it. */
  unansweredSinceMs = 0;
  /** By path: the newest counter + 1 that came over it. */
  readonly pathExpected: Float64Array = new Float64Array(PATHS_MAX);
  /** Columns of a ring: entries `#first` to `#first + #count - 1`, each modulo GAPS_MAX. */
  readonly #counters: Float64Array = new Float64Array(GAPS_MAX);
  /** The newer one that came first. */
  readonly #shownBy: Float64Array = new Float64Array(GAPS_MAX);
  readonly #sinceMs: Float64Array = new Float64Array(GAPS_MAX);
  /** When it was first and last asked for, ms; 0 for never. */
  readonly #firstAskedMs: Float64Array = new Float64Array(GAPS_MAX);
  readonly #askedMs: Float64Array = new Float64Array(GAPS_MAX);
  readonly #isFilled: Uint8Array = new Uint8Array(GAPS_MAX);
  #first = 0;
  #count = 0;
  /** Counters that might have been added at `#roomMs`. */
  #room: number = GAPS_MAX;
  #roomMs = 0;
  /** What showed the first of those that were not asked for, or one before it. */
  #unaskedShownBy = 0;

  /** Starts anew, for a keypair of which all below `expected` is past. Returns how many were missing. */
  begin(keypair: LaneKeypair, expected: number): number {
    const lost = this.missing;
    this.keypair = keypair;
    this.floor = expected;
    this.expected = expected;
    this.missing = 0;
    this.unasked = 0;
    this.unansweredSinceMs = 0;
    this.#count = 0;
    this.pathExpected.fill(0);
    return lost;
  }

  /**
   * `counter` came, which is not below `expected`; those between are missing from now on. Returns how many counters were
   * given up for that: those for which there is no room, and those that the replay window would refuse now.
   */
  advance(counter: number, nowMs: number): number {
    const { expected } = this;
    this.expected = counter + 1;
    let lost = this.#count === 0 ? 0 : this.giveUp(Number.NEGATIVE_INFINITY);
    if (counter === expected) return lost;
    const from = counter - this.#takeRoom(counter - expected, nowMs);
    lost += from - expected;
    if (this.unasked === 0) this.#unaskedShownBy = counter;
    for (let gap = from; gap < counter; gap += 1) lost += this.#append(gap, counter, nowMs);
    this.#trim();
    return lost;
  }

  /** `count` counters came one behind the other, the first of them the next one. Returns what `advance` does. */
  follow(count: number): number {
    this.expected += count;
    return this.#count === 0 ? 0 : this.giveUp(Number.NEGATIVE_INFINITY);
  }

  #takeRoom(wanted: number, nowMs: number): number {
    const room = Math.min(GAPS_MAX, this.#room + (nowMs - this.#roomMs) * GAPS_PER_MS);
    const taken = Math.min(wanted, Math.floor(room));
    this.#room = room - taken;
    this.#roomMs = nowMs;
    return taken;
  }

  #append(counter: number, shownBy: number, nowMs: number): number {
    const lost = this.#count === GAPS_MAX ? this.#dropFirst() : 0;
    const entry = (this.#first + this.#count) & MASK;
    this.#counters[entry] = counter;
    this.#sinceMs[entry] = nowMs;
    this.#shownBy[entry] = shownBy;
    this.#firstAskedMs[entry] = 0;
    this.#askedMs[entry] = 0;
    this.#isFilled[entry] = 0;
    this.#count += 1;
    this.missing += 1;
    this.unasked += 1;
    return lost;
  }

  /** Takes the first entry off; returns 1 if it was missing, else 0. */
  #dropFirst(): number {
    const entry = this.#first;
    this.#first = (entry + 1) & MASK;
    this.#count -= 1;
    if (this.#isFilled[entry] === 1) return 0;
    this.missing -= 1;
    if (this.#askedMs[entry] === 0) this.unasked -= 1;
    return 1;
  }

  /** `counter` came late. False if it was not missing: it was given up, or lies below `floor`. */
  fill(counter: number): boolean {
    const entry = this.#find(counter);
    if (entry === NONE || this.#isFilled[entry] === 1) return false;
    this.#isFilled[entry] = 1;
    this.filledSinceMs = this.#sinceMs[entry];
    this.filledAskedMs = this.#firstAskedMs[entry];
    this.missing -= 1;
    if (this.filledAskedMs === 0) this.unasked -= 1;
    else this.unansweredSinceMs = 0;
    this.#trim();
    return true;
  }

  #find(counter: number): number {
    const at = this.#countBelow(counter);
    const entry = (this.#first + at) & MASK;
    return at < this.#count && this.#counters[entry] === counter ? entry : NONE;
  }

  /** How many entries are of lower counters. */
  #countBelow(counter: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#counters[(this.#first + middle) & MASK] < counter) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #trim(): void {
    while (this.#count > 0 && this.#isFilled[this.#first] === 1) this.#dropFirst();
  }

  /** Gives up what was noticed at `untilMs` or before, and what the replay window would refuse; returns how many these are. */
  giveUp(untilMs: number): number {
    const behind = this.expected - 1 - REPLAY_WINDOW_USABLE;
    let lost = 0;
    while (this.#count > 0 && (this.#sinceMs[this.#first] <= untilMs || this.#counters[this.#first] < behind))
      lost += this.#dropFirst();
    this.#trim();
    return lost;
  }

  /** Those from `first` to `end` - 1 will not be sent again: they are not asked for any more. They go on missing. */
  waive(first: number, end: number, nowMs: number): void {
    this.unansweredSinceMs = 0;
    for (let at = this.#countBelow(first); at < this.#count; at += 1) {
      const entry = (this.#first + at) & MASK;
      if (this.#counters[entry] >= end) return;
      if (this.#isFilled[entry] === 1) continue;
      if (this.#askedMs[entry] === 0) {
        this.unasked -= 1;
        this.#firstAskedMs[entry] = nowMs;
      }
      this.#askedMs[entry] = NEVER_AGAIN;
    }
  }

  /** The lowest counter that is missing; Infinity if none is. */
  get oldest(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#counters[this.#first];
  }

  /** When the oldest was noticed, ms; Infinity if none is missing. */
  get oldestSinceMs(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#sinceMs[this.#first];
  }

  /** Whether newer ones have proven a loss that was not asked for yet. */
  get provesLoss(): boolean {
    return this.unasked > 0 && this.expected - 1 - this.#unaskedShownBy >= NEWER_PROVE_LOSS;
  }

  /** When `report` has something to ask for, ms; Infinity for never. */
  dueMs(rules: AskRules): number {
    let due = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#count; at += 1) {
      const entry = (this.#first + at) & MASK;
      if (this.#isFilled[entry] === 1) continue;
      due = Math.min(due, this.#entryDueMs(entry, rules));
    }
    return due;
  }

  /**
   * Writes a report of what is to be asked for now, oldest first, as much as one holds.
   *
   * @param offset in `view`, with room for gapsLength(GAPS_RANGES_MAX) bytes
   * @returns its length, 0 if there is nothing to ask for
   */
  report(view: DataView, offset: number, index: number, nowMs: number, rules: AskRules): number {
    const isFirst = this.missing === this.unasked;
    let ranges = 0;
    let base = 0;
    let start = 0;
    let count = 0;
    let unaskedShownBy = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#count; at += 1) {
      const entry = (this.#first + at) & MASK;
      if (this.#isFilled[entry] === 1) continue;
      const counter = this.#counters[entry];
      const isDue = this.#entryDueMs(entry, rules) <= nowMs;
      if (isDue && ranges === 0) base = counter;
      const goesOn = count > 0 && counter === base + start + count;
      const fits = counter - base < GAPS_SPAN && (goesOn || ranges < GAPS_RANGES_MAX);
      if (!isDue || !fits) {
        if (this.#askedMs[entry] === 0) unaskedShownBy = Math.min(unaskedShownBy, this.#shownBy[entry]);
        continue;
      }
      if (!goesOn) {
        start = counter - base;
        count = 0;
        ranges += 1;
      }
      count += 1;
      writeGap(view, offset, ranges - 1, start, count);
      if (this.#askedMs[entry] === 0) {
        this.unasked -= 1;
        this.#firstAskedMs[entry] = nowMs;
      }
      this.#askedMs[entry] = nowMs;
    }
    this.#unaskedShownBy = unaskedShownBy;
    if (ranges === 0) return 0;
    if (isFirst || this.unansweredSinceMs === 0) this.unansweredSinceMs = nowMs;
    writeGaps(view, offset, index, base, ranges);
    return gapsLength(ranges);
  }

  #entryDueMs(entry: number, { allowanceMs, passedMs, passedBelow, isOrderly, askAgainMs }: AskRules): number {
    const asked = this.#askedMs[entry];
    if (asked !== 0) return asked + askAgainMs;
    const isPassed = this.#counters[entry] < passedBelow;
    if (isPassed && isOrderly && this.expected - 1 - this.#shownBy[entry] >= NEWER_PROVE_LOSS) return 0;
    return this.#sinceMs[entry] + (isPassed ? passedMs : allowanceMs);
  }
}
