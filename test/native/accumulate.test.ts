/** The verb that adds products over GF(256), against products taken bit by bit. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as native from '../../src/native/addon.ts';
import { ACCUMULATE, BOOKS } from '../../src/native/layout.ts';
import { seededRandom } from '../protocol/support.ts';
import { slowProduct } from '../reference/galois.ts';
import { openTestLane, type TestLane } from './support.ts';

const SEED = Number(process.env.GIGATUN_FUZZ_SEED ?? Date.now() % 2 ** 31);
const PIECES = 65_536;
const PIECES_LENGTH = 65_536;
const COUNT_MAX = 16;

let lane: TestLane;
beforeAll(() => {
  lane = openTestLane();
});
afterAll(() => native.closeLane(lane.handle));

type Product = readonly [inOffset: number, outOffset: number, length: number, coefficient: number];

function accumulate(products: readonly Product[], next = 0): void {
  products.forEach((product, at) => {
    lane.words.set(product, at * ACCUMULATE.WORDS);
  });
  native.accumulate(lane.handle, 0, products.length, next);
}

/** Two pieces of the same length that do not overlap. */
function arbitraryProduct(next: () => number): Product {
  const below = (limit: number): number => Math.floor(next() * limit);
  const length = below(4) === 0 ? below(40) : below(2_000);
  const one = below(PIECES_LENGTH - 2 * length);
  const other = one + length + below(PIECES_LENGTH - 2 * length - one + 1);
  const isForward = below(2) === 0;
  const coefficient = below(3) === 0 ? below(3) : below(256);
  return [PIECES + (isForward ? one : other), PIECES + (isForward ? other : one), length, coefficient];
}

test(`batches of products equal those of the slow twin, in order (seed ${SEED})`, () => {
  const next = seededRandom(SEED);
  const bytes = Uint8Array.from({ length: PIECES_LENGTH }, () => Math.floor(next() * 256));
  lane.arena.set(bytes, PIECES);
  for (let round = 0; round < 60; round += 1) {
    const products = Array.from({ length: Math.floor(next() * COUNT_MAX) }, () => arbitraryProduct(next));
    accumulate(products);
    for (const [inOffset, outOffset, length, coefficient] of products) {
      for (let i = 0; i < length; i += 1) {
        const out = outOffset - PIECES + i;
        bytes[out] = (bytes[out] ?? 0) ^ slowProduct(coefficient, bytes[inOffset - PIECES + i] ?? 0);
      }
    }
    expect(Buffer.compare(lane.arena.subarray(PIECES, PIECES + PIECES_LENGTH), bytes), `round ${round}`).toBe(0);
  }
});

test('pieces that overlap, lie outside, or have no such coefficient are refused, and nothing is done', () => {
  const good: Product = [PIECES, PIECES + 100, 100, 3];
  const before = Uint8Array.from(lane.arena);
  const end = lane.arena.length;
  const bad: Product[] = [
    [PIECES, PIECES + 99, 100, 3],
    [PIECES + 99, PIECES, 100, 3],
    [PIECES, PIECES, 1, 1],
    [PIECES, end - 10, 11, 3],
    [end - 10, PIECES, 11, 3],
    [-1, PIECES, 1, 3],
    [PIECES, PIECES + 100, -1, 3],
    [PIECES, PIECES + 100, 100, 256],
    [PIECES, PIECES + 100, 100, -1],
  ];
  for (const product of bad) expect(() => accumulate([good, product]), String(product)).toThrow(RangeError);
  expect(Buffer.compare(lane.arena.subarray(PIECES), before.subarray(PIECES))).toBe(0);
});

test('the time of it stays with the activity at hand', () => {
  native.book(lane.handle, 7);
  const before = lane.books[BOOKS.ACTIVITY_NS + 7] ?? 0;
  accumulate([[PIECES, PIECES + 2_000, 2_000, 9]], 11);
  expect(lane.books[BOOKS.ACTIVITY]).toBe(11);
  expect(lane.books[BOOKS.ACTIVITY_NS + 7]).toBeGreaterThan(before);
});
