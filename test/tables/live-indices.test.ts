/** Which receiver indices may be in use, as lanes see it in shared memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LiveIndices } from '../../src/tables/live-indices.ts';

/** Two indices with this distance share a cell. */
const CELLS = 1 << 18;

function open(): { control: LiveIndices; lane: LiveIndices } {
  const memory = LiveIndices.allocate();
  return { control: new LiveIndices(memory), lane: new LiveIndices(memory) };
}

describe('live indices', () => {
  it('are known wherever the memory is, from taking to releasing', () => {
    const { control, lane } = open();
    for (const index of [0, 1, -1, 0x7fff_ffff, -0x8000_0000]) {
      const before = lane.has(index);
      control.take(index);
      expect([before, lane.has(index)]).toEqual([false, true]);
      control.release(index);
      expect(lane.has(index)).toBe(false);
    }
  });

  it('that share a cell are there until the last has gone', () => {
    const { control, lane } = open();
    control.take(5);
    control.take(5 + CELLS);
    control.release(5);
    expect(lane.has(5 + CELLS)).toBe(true);
    control.release(5 + CELLS);
    expect(lane.has(5)).toBe(false);
  });

  it('let too much through rather than too little: a full cell stays full', () => {
    const { control, lane } = open();
    for (let at = 0; at < 300; at += 1) control.take(7);
    for (let at = 0; at < 300; at += 1) control.release(7);
    expect(lane.has(7)).toBe(true);
  });

  it('that were never taken can be released without harm', () => {
    const { control, lane } = open();
    control.release(9);
    control.take(9);
    expect(lane.has(9)).toBe(true);
  });

  it('never miss one that is in use', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { maxLength: 200 }), (indices) => {
        const { control, lane } = open();
        const used = new Set<number>();
        for (const index of indices) {
          // Some come back, as in a table that gives them out.
          if (used.has(index) || (index & 3) === 0) {
            if (used.delete(index)) control.release(index);
          } else {
            used.add(index);
            control.take(index);
          }
          for (const one of used) expect(lane.has(one)).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });
});
