/** Parts of a region: within it, apart from each other, and all of it again when they are given back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RegionPool } from '../../src/packet/region-pool.ts';

const START = 10_000;
const LENGTH = 1 << 20;
/** What is left of it from a page's start on. */
const ALL = Math.floor((START + LENGTH - 12_288) / 4_096) * 4_096;

describe('a pool of parts of a region', () => {
  it('gives parts that lie in it and do not overlap, and has all again at the end', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 300_000 }), fc.nat()), { maxLength: 60 }), (steps) => {
        const pool = new RegionPool(START, LENGTH);
        const parts: [start: number, end: number][] = [];
        for (const [bytes, number] of steps) {
          const offset = pool.take(bytes);
          if (offset !== -1) parts.push([offset, offset + bytes]);
          parts.sort(([a], [b]) => a - b);
          for (const [at, [start, end]] of parts.entries()) {
            expect(start).toBeGreaterThanOrEqual(at === 0 ? START : parts[at - 1][1]);
            expect(end).toBeLessThanOrEqual(START + LENGTH);
          }
          if (number % 2 === 0 && parts.length > 0) pool.release(parts.splice(number % parts.length, 1)[0][0]);
        }
        for (const [start] of parts) pool.release(start);
        expect(pool.take(ALL)).toBe(12_288);
      }),
    );
  });

  it('refuses what does not fit', () => {
    const pool = new RegionPool(START, LENGTH);
    expect(pool.take(ALL + 1)).toBe(-1);
    expect(new RegionPool(0, 0).take(1)).toBe(-1);
  });

  it('takes nothing back that it has not given, nor twice', () => {
    const pool = new RegionPool(START, LENGTH);
    const offset = pool.take(5_000);
    pool.release(offset);
    expect(() => pool.release(offset)).toThrow(RangeError);
    expect(() => pool.release(START)).toThrow(RangeError);
  });
});
