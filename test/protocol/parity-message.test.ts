import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTROL_KIND, controlKind } from '../../src/protocol/control-header.ts';
import {
  BLOCK_DATAGRAMS_MAX,
  BLOCK_PARITIES_MAX,
  BLOCK_SPAN,
  maskCount,
  PARITY_HEADER_LENGTH,
  PARITY_LENGTH_MIN,
  parityFirst,
  parityIndex,
  parityLength,
  parityMaskHigh,
  parityMaskLow,
  parityNumber,
  parityParities,
  writeParity,
} from '../../src/protocol/parity-message.ts';

interface Parity {
  readonly index: number;
  readonly first: number;
  readonly maskLow: number;
  readonly maskHigh: number;
  readonly number: number;
  readonly parities: number;
  readonly length: number;
}

const FIRST_MAX = Number.MAX_SAFE_INTEGER - BLOCK_SPAN;
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const parity: fc.Arbitrary<Parity> = fc
  .record({
    index: int32,
    first: fc.maxSafeNat().map((first) => Math.min(first, FIRST_MAX)),
    maskLow: int32.map((mask) => mask | 1),
    maskHigh: int32,
    number: fc.nat(BLOCK_PARITIES_MAX - 1),
    parities: fc.integer({ min: 1, max: BLOCK_PARITIES_MAX }),
    length: fc.integer({ min: PARITY_LENGTH_MIN, max: 1_500 }),
  })
  .map((given) => ({ ...given, number: given.number % given.parities }))
  .filter(({ maskLow, maskHigh }) => maskCount(maskLow) + maskCount(maskHigh) <= BLOCK_DATAGRAMS_MAX);
const ONE: Parity = { index: -5, first: 1_000, maskLow: 0x3ff, maskHigh: 0, number: 1, parities: 2, length: 100 };

function written(given: Parity, offset = 0): DataView {
  const view = new DataView(new ArrayBuffer(offset + PARITY_HEADER_LENGTH + given.length + 40));
  const { index, first, maskLow, maskHigh, number, parities, length } = given;
  writeParity(view, offset, index, first, maskLow, maskHigh, number, parities, length);
  return view;
}

function read(view: DataView, offset: number, length: number): Parity {
  return {
    index: parityIndex(view, offset),
    first: parityFirst(view, offset),
    maskLow: parityMaskLow(view, offset),
    maskHigh: parityMaskHigh(view, offset),
    number: parityNumber(view, offset),
    parities: parityParities(view, offset),
    length,
  };
}

function accepted(given: Partial<Parity>): number {
  const parity = { ...ONE, ...given };
  return parityLength(written(parity), 0, PARITY_HEADER_LENGTH + parity.length);
}

describe('A parity message', () => {
  it('reads as it was written, wherever it lies, padded or not', () => {
    fc.assert(
      fc.property(parity, fc.nat(40), fc.nat(40), (given, offset, padding) => {
        const view = written(given, offset);
        expect(controlKind(view, offset)).toBe(CONTROL_KIND.PARITY);
        const length = parityLength(view, offset, PARITY_HEADER_LENGTH + given.length + padding);
        expect(read(view, offset, length)).toEqual(given);
      }),
    );
  });

  it('cut anywhere is refused', () => {
    fc.assert(
      fc.property(parity, (given) => {
        const view = written(given);
        for (let length = 0; length < PARITY_HEADER_LENGTH + given.length; length += 1)
          expect(parityLength(view, 0, length)).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  it('of a block that cannot be is refused', () => {
    expect(accepted({})).toBe(ONE.length);
    expect(accepted({ maskLow: 0 })).toBe(0);
    expect(accepted({ maskLow: 2 })).toBe(0);
    expect(accepted({ maskLow: -1 })).toBe(ONE.length);
    expect(accepted({ maskLow: -1, maskHigh: 1 })).toBe(0);
    expect(accepted({ maskLow: 1, maskHigh: -1 })).toBe(0);
    expect(accepted({ maskLow: 1, maskHigh: -2 })).toBe(ONE.length);
    expect(accepted({ parities: 0, number: 0 })).toBe(0);
    expect(accepted({ parities: BLOCK_PARITIES_MAX + 1 })).toBe(0);
    expect(accepted({ number: 2 })).toBe(0);
    expect(accepted({ length: PARITY_LENGTH_MIN - 1 })).toBe(0);
    expect(accepted({ first: FIRST_MAX })).toBe(ONE.length);
    expect(accepted({ first: FIRST_MAX + 1 })).toBe(0);
  });

  it('of another version is refused', () => {
    const view = written(ONE);
    view.setUint8(0, 2);
    expect(parityLength(view, 0, view.byteLength)).toBe(0);
  });

  it('may have a longer body than this version knows', () => {
    const view = written(ONE);
    view.setUint16(2, view.getUint16(2) + 9);
    expect(parityLength(view, 0, PARITY_HEADER_LENGTH + ONE.length + 9)).toBe(ONE.length);
  });

  it('never says that more is there than is, whatever its bytes', () => {
    fc.assert(
      fc.property(parity, fc.array(fc.tuple(fc.nat(30), fc.nat(255))), fc.nat(1_600), (given, changes, available) => {
        const view = written(given);
        for (const [at, value] of changes) view.setUint8(at, value);
        const plaintextLength = Math.min(available, view.byteLength);
        const length = parityLength(view, 0, plaintextLength);
        if (length === 0) return;
        expect(PARITY_HEADER_LENGTH + length).toBeLessThanOrEqual(plaintextLength);
        const { first, maskLow, maskHigh, number, parities } = read(view, 0, length);
        const datagrams = maskCount(maskLow) + maskCount(maskHigh);
        expect(first >= 0 && Number.isSafeInteger(first + BLOCK_SPAN) && number < parities).toBe(true);
        expect(maskLow & 1 && datagrams <= BLOCK_DATAGRAMS_MAX && parities <= BLOCK_PARITIES_MAX).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});
