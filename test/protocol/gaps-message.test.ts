import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTROL_KIND, controlKind, readUint53, writeUint53 } from '../../src/protocol/control-header.ts';
import {
  GAPS_RANGES_MAX,
  GAPS_SPAN,
  gapCount,
  gapFirst,
  gapsIndex,
  gapsLength,
  gapsRanges,
  TAIL_LENGTH,
  writeGap,
  writeGaps,
  writeTail,
} from '../../src/protocol/gaps-message.ts';

interface Report {
  readonly index: number;
  readonly base: number;
  /** Start from the base and count of each range. */
  readonly ranges: readonly (readonly [number, number])[];
}

const RANGES_AT = 16;

/** Ranges from pairs of edges: sorted and distinct, so that they ascend. */
const report: fc.Arbitrary<Report> = fc
  .tuple(
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc.maxSafeNat().map((base) => Math.min(base, Number.MAX_SAFE_INTEGER - GAPS_SPAN)),
    fc.uniqueArray(fc.nat(GAPS_SPAN), { minLength: 2, maxLength: 2 * GAPS_RANGES_MAX }),
  )
  .map(([index, base, edges]) => {
    const sorted = edges.toSorted((left, right) => left - right);
    const pairs = Array.from({ length: sorted.length >> 1 }, (_, range) => sorted.slice(2 * range, 2 * range + 2));
    return { index, base, ranges: pairs.map(([start, end]) => [start, end - start] as const) };
  });

/** A report at an offset, in memory that is longer than it. */
function written({ index, base, ranges }: Report, offset = 0): DataView {
  const view = new DataView(new ArrayBuffer(offset + gapsLength(ranges.length) + 32));
  writeGaps(view, offset, index, base, ranges.length);
  for (const [range, [start, count]] of ranges.entries()) writeGap(view, offset, range, start, count);
  return view;
}

function read(view: DataView, offset: number, plaintextLength: number): Report {
  const count = gapsRanges(view, offset, plaintextLength);
  const ranges = Array.from({ length: count }, (_, range) => {
    return [gapFirst(view, offset, range), gapCount(view, offset, range)] as const;
  });
  return { index: gapsIndex(view, offset), base: 0, ranges };
}

/** A report of these ranges with base 7, and what is read of it: 0 for refused. */
function accepted(ranges: Report['ranges'], base = 7): number {
  return gapsRanges(written({ index: 1, base, ranges }), 0, gapsLength(ranges.length));
}

describe('A report of gaps', () => {
  it('reads as it was written, wherever it lies, padded or not', () => {
    fc.assert(
      fc.property(report, fc.nat(40), fc.nat(32), (given, offset, padding) => {
        const view = written(given, offset);
        expect(controlKind(view, offset)).toBe(CONTROL_KIND.GAPS);
        const ranges = given.ranges.map(([start, count]) => [given.base + start, count] as const);
        const length = gapsLength(given.ranges.length);
        expect(read(view, offset, length + padding)).toEqual({ ...given, base: 0, ranges });
      }),
    );
  });

  it('cut anywhere is refused', () => {
    fc.assert(
      fc.property(report, (given) => {
        const view = written(given);
        for (let length = 0; length < gapsLength(given.ranges.length); length += 1)
          expect(gapsRanges(view, 0, length)).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  it('may fill a replay window, and no more', () => {
    expect(accepted([[0, GAPS_SPAN]])).toBe(1);
    expect(accepted([[GAPS_SPAN - 1, 1]])).toBe(1);
    expect(accepted([[1, GAPS_SPAN]])).toBe(0);
    expect(accepted([[GAPS_SPAN, 1]])).toBe(0);
    expect(accepted([[0xffff, 0x10000]])).toBe(0);
  });

  it('names no counter twice, and its ranges ascend', () => {
    expect(
      accepted([
        [0, 2],
        [2, 1],
      ]),
    ).toBe(2);
    expect(
      accepted([
        [0, 2],
        [1, 1],
      ]),
    ).toBe(0);
    expect(
      accepted([
        [5, 1],
        [0, 1],
      ]),
    ).toBe(0);
    expect(
      accepted([
        [5, 1],
        [5, 1],
      ]),
    ).toBe(0);
  });

  it('has from 1 to 128 whole ranges', () => {
    const ranges = Array.from({ length: GAPS_RANGES_MAX + 1 }, (_, range) => [2 * range, 1] as const);
    expect(accepted(ranges.slice(1))).toBe(GAPS_RANGES_MAX);
    expect(accepted(ranges)).toBe(0);
    expect(accepted([])).toBe(0);
    const view = written({ index: 1, base: 7, ranges: [[0, 1]] });
    for (const extra of [1, 2, 3]) {
      view.setUint16(2, gapsLength(1) - 4 + extra);
      expect(gapsRanges(view, 0, 64)).toBe(0);
    }
  });

  it('with a base that no transport counter reaches, or of another version, is refused', () => {
    const last = Number.MAX_SAFE_INTEGER - GAPS_SPAN;
    expect(accepted([[0, 1]], last)).toBe(1);
    expect(accepted([[0, 1]], last + 1)).toBe(0);
    const view = written({ index: 1, base: 7, ranges: [[0, 1]] });
    view.setUint8(8, 0xff);
    expect(gapsRanges(view, 0, 64)).toBe(0);
    const other = written({ index: 1, base: 7, ranges: [[0, 1]] });
    other.setUint8(0, 2);
    expect(controlKind(other, 0)).toBe(0);
    expect(gapsRanges(other, 0, 64)).toBe(0);
  });

  it('never asks for more than its span, whatever its bytes', () => {
    fc.assert(
      fc.property(report, fc.array(fc.tuple(fc.nat(40), fc.nat(255))), fc.nat(80), (given, changes, length) => {
        const view = written(given);
        for (const [at, value] of changes) view.setUint8(Math.min(at, view.byteLength - 1), value);
        const available = Math.min(length, view.byteLength);
        const { ranges } = read(view, 0, available);
        expect(RANGES_AT + 4 * ranges.length <= available || ranges.length === 0).toBe(true);
        expect(ranges.reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(GAPS_SPAN);
        expect(ranges.every(([first]) => Number.isSafeInteger(first) && first >= 0)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('A tail', () => {
  it('is a header and a zero', () => {
    const view = new DataView(new ArrayBuffer(9));
    writeTail(view, 2);
    expect(controlKind(view, 2)).toBe(CONTROL_KIND.TAIL);
    expect([...new Uint8Array(view.buffer)]).toEqual([0, 0, 1, 9, 0, 1, 0, 0, 0]);
    expect(TAIL_LENGTH).toBe(5);
  });
});

describe('A number of 64 bits', () => {
  it('reads as it was written below 2^53, as others write it, and is refused from there on', () => {
    const view = new DataView(new ArrayBuffer(8));
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        writeUint53(view, 0, value);
        expect(readUint53(view, 0)).toBe(value);
        expect(view.getBigUint64(0)).toBe(BigInt(value));
      }),
    );
    for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      view.setBigUint64(0, value);
      expect(readUint53(view, 0)).toBe(-1);
    }
  });
});
