import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { paddedLength } from '../../src/protocol/padding.ts';
import { referencePaddedLength } from '../reference/padding.ts';

describe('Padding', () => {
  it('reaches the next multiple of 16, but never past the MTU', () => {
    const table = [
      [0, 1420, 0],
      [1, 1420, 16],
      [16, 1420, 16],
      [17, 1420, 32],
      [1408, 1420, 1408],
      [1409, 1420, 1420],
      [1420, 1420, 1420],
      [1279, 1280, 1280],
      [1280, 1280, 1280],
      [65_535, 65_535, 65_535],
      [65_521, 65_535, 65_535],
    ];
    for (const [length, mtu, padded] of table) expect(paddedLength(length, mtu), `${length} of ${mtu}`).toBe(padded);
  });

  it('pads a packet longer than a lowered MTU as its last part', () => {
    expect(paddedLength(1421, 1420)).toBe(1436);
    expect(paddedLength(2 * 1420, 1420)).toBe(2 * 1420);
    expect(paddedLength(2 * 1420 - 1, 1420)).toBe(2 * 1420);
  });

  it('takes an MTU of 0 for no limit', () => {
    expect(paddedLength(1419, 0)).toBe(1424);
  });

  it('agrees with its slow twin', () => {
    fc.assert(
      fc.property(fc.nat(65_535), fc.oneof(fc.nat(65_535), fc.constantFrom(0, 1280, 1420, 1500)), (length, mtu) => {
        expect(paddedLength(length, mtu)).toBe(referencePaddedLength(length, mtu));
      }),
      { numRuns: 2000 },
    );
  });
});
