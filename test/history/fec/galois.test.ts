/** GF(256) and the code's coefficients, against products taken bit by bit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coefficient } from '../../../src/history/fec/code.ts';
import { inverse, invert, product, product16 } from '../../../src/history/fec/galois.ts';
import { BLOCK_PARITIES_MAX, BLOCK_SPAN } from '../../../src/protocol/parity-message.ts';
import { slowProduct } from '../../reference/galois.ts';
import { slowCoefficient } from '../../reference/parity.ts';

const byte = fc.nat(255);

/** Product of two square matrices. */
function matrixProduct(one: ArrayLike<number>, other: ArrayLike<number>, size: number): number[] {
  return Array.from({ length: size * size }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < size; k += 1)
      sum ^= slowProduct(one[Math.floor(at / size) * size + k], other[k * size + (at % size)]);
    return sum;
  });
}

function identity(size: number): number[] {
  return Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0));
}

describe('bytes', () => {
  it('have the products of the slow twin, all of them', () => {
    for (let one = 0; one < 256; one += 1)
      for (let other = 0; other < 256; other += 1) expect(product(one, other)).toBe(slowProduct(one, other));
  });

  it('but 0 have an inverse', () => {
    for (let value = 1; value < 256; value += 1) expect(slowProduct(value, inverse(value))).toBe(1);
  });

  it('are multiplied by pairs as one by one', () => {
    fc.assert(
      fc.property(byte, byte, byte, (factor, high, low) => {
        expect(product16(factor, high * 256 + low)).toBe(slowProduct(factor, high) * 256 + slowProduct(factor, low));
      }),
    );
  });
});

describe('matrices', () => {
  it('times their inverse are the identity, or have none', () => {
    const matrix = fc
      .integer({ min: 1, max: 8 })
      .chain((size) =>
        fc.tuple(
          fc.constant(size),
          fc.array(fc.oneof(byte, fc.constant(0), fc.constant(1)), { minLength: size * size, maxLength: size * size }),
        ),
      );
    let inverted = 0;
    fc.assert(
      fc.property(matrix, ([size, cells]) => {
        const result = new Uint8Array(64);
        if (!invert(Uint8Array.from(cells), result, size)) return;
        inverted += 1;
        expect(matrixProduct(cells, result, size)).toEqual(identity(size));
      }),
      { numRuns: 1_000 },
    );
    expect(inverted).toBeGreaterThan(100);
  });

  it('with two rows alike have no inverse', () => {
    expect(invert(Uint8Array.of(7, 9, 7, 9), new Uint8Array(4), 2)).toBe(false);
  });
});

describe('the code', () => {
  it('has the coefficients of the slow twin, 1 in the first parity', () => {
    for (let place = 0; place < BLOCK_SPAN; place += 1) {
      expect(coefficient(0, place)).toBe(1);
      for (let parity = 0; parity < BLOCK_PARITIES_MAX; parity += 1)
        expect(coefficient(parity, place)).toBe(slowCoefficient(parity, place));
    }
  });

  it('solves for any missing datagrams by as many parities', () => {
    const choice = fc
      .integer({ min: 1, max: BLOCK_PARITIES_MAX })
      .chain((size) =>
        fc.tuple(
          fc.uniqueArray(fc.nat(BLOCK_PARITIES_MAX - 1), { minLength: size, maxLength: size }),
          fc.uniqueArray(fc.nat(BLOCK_SPAN - 1), { minLength: size, maxLength: size }),
        ),
      );
    fc.assert(
      fc.property(choice, ([parities, places]) => {
        const cells = parities.flatMap((parity) => places.map((place) => coefficient(parity, place)));
        const result = new Uint8Array(64);
        expect(invert(Uint8Array.from(cells), result, places.length)).toBe(true);
        expect(matrixProduct(cells, result, places.length)).toEqual(identity(places.length));
      }),
      { numRuns: 2_000 },
    );
  });
});
