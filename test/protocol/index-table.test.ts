import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DenseIds, IndexTable } from '../../src/protocol/index-table.ts';

/** A random source that gives out these int32 values in turn. */
function sourceOf(values: readonly number[]): (length: number) => Uint8Array {
  const left = [...values];
  return (length) => {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setInt32(0, left.shift() ?? 0, true);
    return bytes;
  };
}

describe('The index table', () => {
  it('gives out random int32 values, negative ones too, but neither 0 nor one in use', () => {
    const table = new IndexTable<string>(sourceOf([7, 7, 0, -(2 ** 31), 7]));
    expect(table.take('a')).toBe(7);
    expect(table.take('b')).toBe(-(2 ** 31));
    table.release(7);
    expect(table.take('c')).toBe(7);
    expect([table.find(7), table.find(-(2 ** 31)), table.find(0)]).toEqual(['c', 'b', undefined]);
  });
});

describe('Dense ids', () => {
  it('are always the smallest free number', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(30), { nil: null }), { maxLength: 200 }), (steps) => {
        const ids = new DenseIds();
        const taken = new Set<number>();
        for (const step of steps) {
          if (step !== null && taken.delete(step)) ids.release(step);
          if (step !== null) continue;
          let smallest = 0;
          while (taken.has(smallest)) smallest++;
          expect(ids.take()).toBe(smallest);
          taken.add(smallest);
        }
      }),
    );
  });
});
