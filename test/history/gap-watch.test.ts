/** Which counters are missing, asked for and given up: held equal to a slow twin, and bounded whatever the peer sends. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GAPS_MAX, GapWatch } from '../../src/history/gap-watch.ts';
import {
  GAPS_RANGES_MAX,
  gapCount,
  gapFirst,
  gapsIndex,
  gapsLength,
  gapsRanges,
} from '../../src/protocol/gaps-message.ts';
import type { LaneKeypair } from '../../src/tables/peers.ts';
import { ReferenceGapWatch } from '../reference/gap-watch.ts';
import { FakeLane } from '../support/fake-lane.ts';

const RULES = { allowanceMs: 1, passedMs: 1, passedBelow: Number.POSITIVE_INFINITY, isOrderly: true, askAgainMs: 10 };
const view = new DataView(new ArrayBuffer(gapsLength(GAPS_RANGES_MAX) + 8));

function openKeypair(): LaneKeypair {
  const lane = new FakeLane();
  return lane.addKeypair(lane.addPeer(0), { id: 0 });
}

function openWatch(expected = 0): GapWatch {
  const watch = new GapWatch();
  watch.begin(openKeypair(), expected);
  return watch;
}

/** Counters that a report names, after its own checks. */
function report(watch: GapWatch, nowMs: number, rules = RULES): number[] {
  const length = watch.report(view, 4, -7, nowMs, rules);
  if (length === 0) return [];
  const ranges = gapsRanges(view, 4, length);
  expect(ranges).toBeGreaterThan(0);
  expect(length).toBe(gapsLength(ranges));
  expect(gapsIndex(view, 4)).toBe(-7);
  return Array.from({ length: ranges }, (_, range) =>
    Array.from({ length: gapCount(view, 4, range) }, (_each, at) => gapFirst(view, 4, range) + at),
  ).flat();
}

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant('skip' as const), by: fc.oneof(fc.nat(3), fc.nat(30)) }) },
    fc.record({ type: fc.constant('skip' as const), by: fc.oneof(fc.nat(9_000), fc.constant(2 ** 40)) }),
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constant('late' as const), by: fc.oneof(fc.nat(40), fc.nat(9_000)) }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('wait' as const), by: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('report' as const), by: fc.nat(5) }) },
    fc.record({ type: fc.constant('giveUp' as const), by: fc.nat(60) }),
    fc.record({ type: fc.constant('waive' as const), by: fc.nat(100) }),
  ),
  { maxLength: 80 },
);

describe('a gap watch', () => {
  it('misses, fills, asks for and gives up what a slow twin does', () => {
    fc.assert(
      fc.property(steps, fc.constantFrom(0, 5, 2 ** 33), fc.boolean(), fc.nat(30), (all, start, isOrderly, passed) => {
        const watch = openWatch(start);
        const twin = new ReferenceGapWatch(start);
        let nowMs = 1_000;
        let [lost, twinLost] = [0, 0];
        for (const { type, by } of all) {
          const rules = { ...RULES, isOrderly, allowanceMs: 6, passedBelow: twin.expected - passed };
          if (type === 'wait') nowMs += by;
          else if (type === 'skip') {
            lost += watch.advance(twin.expected + by, nowMs);
            twinLost += twin.advance(twin.expected + by, nowMs);
          } else if (type === 'late') {
            const found = twin.fill(twin.expected - 1 - by);
            expect(watch.fill(watch.expected - 1 - by)).toBe(found !== undefined);
            if (found !== undefined)
              expect([watch.filledSinceMs, watch.filledAskedMs]).toEqual([found.sinceMs, found.firstAskedMs]);
          } else if (type === 'report') {
            expect(watch.dueMs(rules)).toBe(twin.dueMs(rules));
            expect(report(watch, nowMs, rules)).toEqual(twin.report(nowMs, rules));
          } else if (type === 'waive') {
            const first = Math.max(0, watch.expected - by);
            watch.waive(first, first + (by % 7), nowMs);
            twin.waive(first, first + (by % 7), nowMs);
          } else {
            lost += watch.giveUp(nowMs - by);
            twinLost += twin.giveUp(nowMs - by);
          }
          expect([watch.missing, watch.expected, lost]).toEqual([twin.missing.length, twin.expected, twinLost]);
          expect(watch.unansweredSinceMs).toBe(twin.unansweredSinceMs);
          expect(watch.oldest).toBe(twin.missing[0] ?? Number.POSITIVE_INFINITY);
          expect(watch.unasked).toBe(twin.gaps.filter(({ askedMs }) => askedMs === 0).length);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('holds no more than its list, however far the peer jumps', () => {
    const watch = openWatch();
    expect(watch.advance(2 ** 40, 0)).toBe(2 ** 40 - GAPS_MAX);
    expect([watch.missing, watch.oldest]).toEqual([GAPS_MAX, 2 ** 40 - GAPS_MAX]);
    expect(watch.advance(2 ** 41, 64)).toBe(2 ** 41 - 2 ** 40 - 1);
    expect(watch.missing).toBe(GAPS_MAX);
  });

  it('takes up 64 a millisecond of a peer that leaps with each message, after a first burst', () => {
    const watch = openWatch();
    for (let leap = 1; leap <= 10; leap += 1) watch.advance(leap * 100_000, 0);
    expect(watch.missing).toBe(0);
    watch.advance(1_100_000, 2);
    expect([watch.missing, watch.oldest]).toEqual([128, 1_100_000 - 128]);
  });

  it('asks for what three newer ones passed, at once where nothing comes out of order', () => {
    const watch = openWatch();
    watch.advance(1, 0);
    watch.advance(2, 0);
    expect(watch.provesLoss).toBe(false);
    expect(report(watch, 0.5)).toEqual([]);
    watch.advance(3, 0);
    expect(watch.provesLoss).toBe(true);
    expect(report(watch, 0.5, { ...RULES, isOrderly: false })).toEqual([]);
    expect(report(watch, 0.5)).toEqual([0]);
    expect(watch.provesLoss).toBe(false);
  });

  it('asks again for what is still missing, and no more for what came', () => {
    const watch = openWatch();
    watch.advance(3, 0);
    expect(report(watch, 1)).toEqual([0, 1, 2]);
    watch.fill(1);
    expect(report(watch, 10)).toEqual([]);
    expect(report(watch, 11)).toEqual([0, 2]);
  });

  it('does not ask again for what will not be sent again, which goes on missing', () => {
    const watch = openWatch();
    watch.advance(4, 0);
    expect(report(watch, 1)).toEqual([0, 1, 2, 3]);
    watch.waive(1, 3, 2);
    expect([report(watch, 11), watch.missing]).toEqual([[0, 3], 4]);
    expect([watch.fill(2), watch.missing]).toEqual([true, 3]);
  });

  it('knows since when nothing came of what it asked for', () => {
    const watch = openWatch();
    watch.advance(4, 0);
    expect(watch.unansweredSinceMs).toBe(0);
    report(watch, 1);
    report(watch, 11);
    expect(watch.unansweredSinceMs).toBe(1);
    watch.fill(2);
    expect(watch.unansweredSinceMs).toBe(0);
    report(watch, 21);
    expect(watch.unansweredSinceMs).toBe(21);
    watch.giveUp(21);
    watch.advance(6, 40);
    report(watch, 41);
    expect(watch.unansweredSinceMs).toBe(41);
  });

  it('leaves for the next report what one does not hold', () => {
    const watch = openWatch();
    for (let counter = 1; counter < 400; counter += 2) watch.advance(counter, 0);
    const first = report(watch, 5);
    expect(first.length).toBe(GAPS_RANGES_MAX);
    expect(report(watch, 5)).toEqual(Array.from({ length: 200 }, (_, at) => 2 * at).slice(GAPS_RANGES_MAX));
  });

  it('forgets one keypair for another, and says what of it was missing', () => {
    const watch = openWatch();
    watch.advance(9, 0);
    expect(watch.begin(openKeypair(), 4)).toBe(9);
    expect([watch.missing, watch.fill(3), watch.floor]).toEqual([0, false, 4]);
  });
});
