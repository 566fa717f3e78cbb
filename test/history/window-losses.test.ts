/** What the replay window leaves behind unseen is what a list of all counters says. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lostBehind } from '../../src/history/window-losses.ts';
import { acceptCounter, REPLAY_WINDOW_WORDS } from '../../src/protocol/replay-window.ts';

/** Counters of blocks that are no longer remembered when `newest` is the newest. */
function behind(newest: number): number {
  return Math.max(0, (Math.floor(newest / 64) - 127) * 64);
}

describe('losses by the replay window', () => {
  it('are the counters that were not seen before the window passed them', () => {
    const step = fc.oneof(fc.integer({ min: -300, max: 40 }), fc.nat(500), fc.constantFrom(8_192, 8_191, 20_000));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const window = new Int32Array(REPLAY_WINDOW_WORDS).fill(-1);
        const newest = new Float64Array(1);
        const seen = new Set<number>();
        let lost = 0;
        for (const by of steps) {
          const counter = Math.max(0, newest[0] + by);
          if (counter >= newest[0]) lost += lostBehind(window, newest[0], counter);
          if (acceptCounter(window, newest, 0, counter) === 0) seen.add(counter);
        }
        const passed = newest[0] === 0 ? 0 : behind(newest[0] - 1);
        expect(lost).toBe(passed - [...seen].filter((counter) => counter < passed).length);
      }),
      { numRuns: 100 },
    );
  });

  it('are counted in one step for a leap of 2^40', () => {
    const window = new Int32Array(REPLAY_WINDOW_WORDS);
    const newest = new Float64Array(1);
    acceptCounter(window, newest, 0, 0);
    expect(lostBehind(window, 1, 2 ** 40)).toBe(behind(2 ** 40) - 1);
  });
});
