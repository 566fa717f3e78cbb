/** Medians, percentiles and how figures are written. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { median, percentile, significant, summarize } from '../../src/lab/statistics.ts';

const samples = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 60 });

describe('median', () => {
  it('is the middle sample of an odd number', () => expect(median([9, 1, 5])).toBe(5));
  it('is the mean of the middle two of an even number', () => expect(median([4, 1, 3, 2])).toBe(2.5));
  it('is not a number without samples', () => expect(median([])).toBeNaN());
  it('has as many samples at or below it as at or above it', () => {
    fc.assert(
      fc.property(samples, (values) => {
        const middle = median(values);
        const below = values.filter((value) => value <= middle).length;
        const above = values.filter((value) => value >= middle).length;
        expect(Math.min(below, above) * 2).toBeGreaterThanOrEqual(values.length);
      }),
    );
  });
  it('leaves its samples as they were', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  it('is the nearest rank', () => {
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile(hundred, 1)).toBe(100);
    expect(percentile([7], 0.99)).toBe(7);
  });
  it('is a sample that at least its share of all lie at or below', () => {
    fc.assert(
      fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const value = percentile(values, share);
        expect(values).toContain(value);
        const below = values.filter((one) => one <= value).length;
        expect(below).toBeGreaterThanOrEqual(Math.ceil(share * values.length));
      }),
    );
  });
});

it('a summary holds median, least, most and the samples in their order', () => {
  expect(summarize([2, 9, 4])).toEqual({ median: 4, least: 2, most: 9, samples: [2, 9, 4] });
});

it.each([
  [0, '0'],
  [0.0561, '0.056'],
  [0.5, '0.50'],
  [4.4567, '4.46'],
  [44.567, '44.6'],
  [445.67, '446'],
  [253_600.4, '253,600'],
  [1_234_567, '1,234,567'],
  [-4.4567, '-4.46'],
  [Number.NaN, '–'],
  [Number.POSITIVE_INFINITY, '–'],
])('%d is written %s', (value, text) => expect(significant(value)).toBe(text));
