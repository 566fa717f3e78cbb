/** Slow twin of src/history/gap-watch.ts: each missing counter is an object in a list. */
import type { AskRules } from '../../src/history/gap-watch.ts';

interface Gap {
  readonly counter: number;
  readonly sinceMs: number;
  readonly shownBy: number;
  firstAskedMs: number;
  askedMs: number;
  isFilled: boolean;
}

const GAPS_MAX = 4_096;
const WINDOW = 8_128;
const RANGES = 128;
const SPAN = 8_192;

export class ReferenceGapWatch {
  /** What came keeps its place until all before it is settled. */
  #entries: Gap[] = [];
  expected: number;
  /** Counters that may be added: 64 more each ms. */
  #room = GAPS_MAX;
  #roomMs = 0;
  /** Since when nothing came of what was asked for; 0: something did. */
  unansweredSinceMs = 0;

  constructor(expected: number) {
    this.expected = expected;
  }

  get gaps(): readonly Gap[] {
    return this.#entries.filter(({ isFilled }) => !isFilled);
  }

  get missing(): number[] {
    return this.gaps.map(({ counter }) => counter);
  }

  /** A counter that is newer than all; returns how many were given up for it. */
  advance(counter: number, nowMs: number): number {
    const before = this.gaps.length + counter - this.expected;
    const inWindow = ({ counter: gap }: Gap): boolean => counter - gap <= WINDOW;
    const news: Gap[] = [];
    const room = counter > this.expected ? this.#roomAt(nowMs) : 0;
    const first = Math.max(this.expected, counter - Math.floor(room));
    if (counter > this.expected) this.#room = room - (counter - first);
    for (let gap = first; gap < counter; gap += 1)
      news.push({ counter: gap, sinceMs: nowMs, shownBy: counter, firstAskedMs: 0, askedMs: 0, isFilled: false });
    this.expected = counter + 1;
    this.#entries = this.#trimmed([...this.#trimmed(this.#entries.filter(inWindow)), ...news].slice(-GAPS_MAX));
    return before - this.gaps.length;
  }

  fill(counter: number): Gap | undefined {
    const found = this.gaps.find((gap) => gap.counter === counter);
    if (found !== undefined) found.isFilled = true;
    if (found !== undefined && found.askedMs > 0) this.unansweredSinceMs = 0;
    this.#entries = this.#trimmed(this.#entries);
    return found;
  }

  waive(first: number, end: number, nowMs: number): void {
    this.unansweredSinceMs = 0;
    for (const gap of this.gaps.filter(({ counter }) => counter >= first && counter < end)) {
      if (gap.askedMs === 0) gap.firstAskedMs = nowMs;
      gap.askedMs = Number.POSITIVE_INFINITY;
    }
  }

  giveUp(untilMs: number): number {
    const before = this.gaps.length;
    this.#entries = this.#trimmed(this.#entries.filter(({ sinceMs }) => sinceMs > untilMs));
    return before - this.gaps.length;
  }

  #roomAt(nowMs: number): number {
    const room = Math.min(GAPS_MAX, this.#room + (nowMs - this.#roomMs) * 64);
    this.#roomMs = nowMs;
    return room;
  }

  #trimmed(entries: readonly Gap[]): Gap[] {
    const first = entries.findIndex(({ isFilled }) => !isFilled);
    return first === -1 ? [] : entries.slice(first);
  }

  /** The counters that a report asks for now. */
  report(nowMs: number, rules: AskRules): number[] {
    const wasAsked = this.gaps.some(({ askedMs }) => askedMs > 0);
    const due = this.gaps.filter((gap) => this.#dueMs(gap, rules) <= nowMs);
    const asked: number[] = [];
    let ranges = 0;
    for (const gap of due) {
      const isNext = asked.at(-1) === gap.counter - 1;
      if (!isNext && ranges === RANGES) continue;
      if (asked.length > 0 && gap.counter - asked[0] >= SPAN) continue;
      ranges += isNext ? 0 : 1;
      asked.push(gap.counter);
      if (gap.askedMs === 0) gap.firstAskedMs = nowMs;
      gap.askedMs = nowMs;
    }
    if (asked.length > 0 && (!wasAsked || this.unansweredSinceMs === 0)) this.unansweredSinceMs = nowMs;
    return asked;
  }

  dueMs(rules: AskRules): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.gaps.map((gap) => this.#dueMs(gap, rules)));
  }

  #dueMs(gap: Gap, rules: AskRules): number {
    if (gap.askedMs > 0) return gap.askedMs + rules.askAgainMs;
    const isPassed = gap.counter < rules.passedBelow;
    if (isPassed && rules.isOrderly && this.expected - 1 - gap.shownBy >= 2) return 0;
    return gap.sinceMs + (isPassed ? rules.passedMs : rules.allowanceMs);
  }
}
