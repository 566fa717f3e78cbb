/**
 * The replay window by a numbered table that walks once through all its edges, by its slow twin over random traffic,
 * and at the far end of the counters.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REJECT_AFTER_MESSAGES } from '../../src/protocol/constants.ts';
import {
  acceptCounter,
  acceptNext,
  REPLAY_DUPLICATE as DUPLICATE,
  REPLAY_NEW as NEW,
  REPLAY_WINDOW_USABLE,
  REPLAY_WINDOW_WORDS,
  REPLAY_TOO_OLD as TOO_OLD,
} from '../../src/protocol/replay-window.ts';
import { ReferenceReplayWindow } from '../reference/replay-window.ts';

const USABLE = 8128;
const TOP = 3 * USABLE;

/** Number, counter, answer. One window goes through all of them in order. */
const TABLE: readonly [number, number, number][] = [
  [1, 0, NEW],
  [2, 0, DUPLICATE],
  [3, 1, NEW],
  [4, 1, DUPLICATE],
  [5, 9, NEW],
  [6, 8, NEW],
  [7, 7, NEW],
  [8, 7, DUPLICATE],
  [9, 31, NEW],
  [10, 32, NEW],
  [11, 63, NEW],
  [12, 64, NEW],
  [13, 64, DUPLICATE],
  [14, 65, NEW],
  [15, 62, NEW],
  [16, 33, NEW],
  [17, USABLE, NEW],
  [18, 0, DUPLICATE],
  [19, 2, NEW],
  [20, USABLE + 1, NEW],
  [21, 0, TOO_OLD],
  [22, 1, DUPLICATE],
  [23, 3, NEW],
  [24, USABLE + 2, NEW],
  [25, 1, TOO_OLD],
  [26, 2, DUPLICATE],
  [27, 8192 - 1, NEW],
  [28, 8192, NEW],
  [29, 64, DUPLICATE],
  [30, 63, TOO_OLD],
  [31, 8192 - 1, DUPLICATE],
  [32, 8192 - 2, NEW],
  [33, TOP, NEW],
  [34, TOP - USABLE - 1, TOO_OLD],
  [35, TOP - USABLE, NEW],
  [36, TOP - USABLE, DUPLICATE],
  [37, 8192 - 1, TOO_OLD],
  [38, TOP - 1, NEW],
  [39, TOP + 8192, NEW],
  [40, TOP, TOO_OLD],
  [41, TOP + 64, NEW],
  [42, TOP + 8192, DUPLICATE],
  [43, TOP + 3 * 8192, NEW],
  [44, TOP + 3 * 8192 - 1, NEW],
  [45, TOP + 2 * 8192, TOO_OLD],
  [46, TOP + 2 * 8192 + 64, NEW],
  [47, 2 ** 31 - 1, NEW],
  [48, 2 ** 31, NEW],
  [49, 2 ** 31 - 2, NEW],
  [50, 2 ** 31 - 1, DUPLICATE],
  [51, 2 ** 32 - 1, NEW],
  [52, 2 ** 32, NEW],
  [53, 2 ** 32 - 1, DUPLICATE],
  [54, 2 ** 32 - 64, NEW],
  [55, 2 ** 32 + USABLE, NEW],
  [56, 2 ** 32, DUPLICATE],
  [57, 2 ** 32 - 1, TOO_OLD],
  [58, 2 ** 52, NEW],
  [59, 2 ** 52 - USABLE, NEW],
  [60, REJECT_AFTER_MESSAGES - 1, NEW],
  [61, REJECT_AFTER_MESSAGES - 2, NEW],
  [62, REJECT_AFTER_MESSAGES - 1, DUPLICATE],
  [63, REJECT_AFTER_MESSAGES - 1 - USABLE, NEW],
  [64, REJECT_AFTER_MESSAGES - 2 - USABLE, TOO_OLD],
  [65, 0, TOO_OLD],
];

class Window {
  readonly words = new Int32Array(new SharedArrayBuffer(REPLAY_WINDOW_WORDS * 4));
  readonly newest = new Float64Array(3);

  accept(counter: number): 0 | 1 | 2 {
    return acceptCounter(this.words, this.newest, 1, counter);
  }
}

describe('The replay window', () => {
  it('has 8,192 bits, of which 8,128 are usable', () => {
    expect([REPLAY_WINDOW_WORDS * 32, REPLAY_WINDOW_USABLE]).toEqual([8192, USABLE]);
  });

  it('answers as the numbered table says', () => {
    const window = new Window();
    for (const [number, counter, answer] of TABLE) {
      expect(window.accept(counter), `line ${number}: counter ${counter}`).toBe(answer);
    }
  });

  it('keeps the newest counter plus one in its cell, and touches no other', () => {
    const window = new Window();
    for (const counter of [4, 3, 4, 2 ** 40]) window.accept(counter);
    expect([...window.newest]).toEqual([0, 2 ** 40 + 1, 0]);
  });

  it('does not care what a new window held before', () => {
    for (const first of [0, 63, 64, 8191, 8192, 2 ** 40]) {
      const window = new Window();
      window.words.fill(-1);
      expect(window.accept(first)).toBe(NEW);
      const oldest = Math.max(0, first - USABLE);
      const behind = Array.from({ length: first - oldest }, (_, place) => window.accept(oldest + place));
      expect(behind.every((answer) => answer === NEW)).toBe(true);
    }
  });

  it('takes a long run of counters in order, each once', () => {
    for (const first of [0, 2 ** 32 - 10_000]) {
      const window = new Window();
      const answers = Array.from({ length: 30_000 }, (_, place) => [
        window.accept(first + place),
        window.accept(first + place),
      ]);
      expect(answers.every(([once, again]) => once === NEW && again === DUPLICATE)).toBe(true);
    }
  });

  it('takes many that follow at once as it does one after another', () => {
    const runs = fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 600 })), { minLength: 1, maxLength: 40 });
    const starts = fc.constantFrom(0, 1, 63, 8191, 2 ** 31 - 300, 2 ** 32 - 300, 2 ** 45);
    fc.assert(
      fc.property(starts, runs, (start, list) => {
        const [one, other] = [new Window(), new Window()];
        for (const window of [one, other]) {
          window.words.fill(-1);
          window.accept(start);
        }
        for (const [gap, count] of list) {
          const newest = (one.newest[1] ?? 0) + gap;
          expect([one.accept(newest), other.accept(newest)]).toEqual([NEW, NEW]);
          for (let place = 1; place <= count; place += 1) one.accept(newest + place);
          acceptNext(other.words, other.newest, 1, count);
          expect(other.newest).toEqual(one.newest);
          expect(other.words).toEqual(one.words);
        }
      }),
    );
  });

  it('takes each of the counters within reach once, in whatever order they come', () => {
    const window = new Window();
    const backwards = Array.from({ length: USABLE + 1 }, (_, position) => 100_000 - position);
    expect(backwards.map((counter) => window.accept(counter)).every((answer) => answer === NEW)).toBe(true);
    expect(backwards.map((counter) => window.accept(counter)).every((answer) => answer === DUPLICATE)).toBe(true);
  });

  it('agrees with its slow twin on random traffic', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: -5, max: 5 }) },
      { weight: 3, arbitrary: fc.integer({ min: -200, max: 200 }) },
      { weight: 2, arbitrary: fc.integer({ min: -8300, max: 8300 }) },
      { weight: 1, arbitrary: fc.integer({ min: -20_000, max: 70_000 }) },
    );
    const start = fc.constantFrom(
      0,
      60,
      8100,
      2 ** 31 - 100,
      2 ** 32 - 100,
      2 ** 52,
      REJECT_AFTER_MESSAGES - 9_000_000,
    );
    fc.assert(
      fc.property(start, fc.array(step, { minLength: 1, maxLength: 300 }), (first, steps) => {
        const window = new Window();
        const twin = new ReferenceReplayWindow();
        let counter = first;
        for (const distance of steps) {
          counter = Math.max(0, counter + distance);
          expect(window.accept(counter), `counter ${counter}`).toBe(twin.accept(counter));
        }
      }),
      { numRuns: 500 },
    );
  });
});
