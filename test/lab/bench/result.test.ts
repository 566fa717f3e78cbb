/** Medians, ratios and verdicts of a bench. */
import { describe, expect, it } from 'vitest';
import { booksResult } from '../../../src/lab/bench/books.ts';
import { figuresOf, medianOf, ratioOf } from '../../../src/lab/bench/result.ts';
import { isFaultless } from '../../../src/lab/bench/run.ts';
import { benchResult, runsOf } from '../support/bench-result.ts';

const result = benchResult();

describe('figures', () => {
  it('are medians over the runs of a test and subject', () => {
    expect(medianOf(result, 'tcp1', 'gigatun', 'gigabitsPerSecond')).toBe(4.5);
    expect(result.figures.tcp1?.gigatun?.gigabitsPerSecond).toMatchObject({
      least: 4.25,
      most: 5,
      samples: [5, 4.5, 4.25],
    });
  });
  it('that were not measured are null', () => {
    expect(medianOf(result, 'tcp4', 'gigatun', 'gigabitsPerSecond')).toBeNull();
    expect(medianOf(result, 'udp64', 'floor', 'deliveredPerSecond')).toBeNull();
  });
  it('of different subjects do not mix', () => {
    const figures = figuresOf([...runsOf('ping', 'veth', { p50Ms: 1 }), ...runsOf('ping', 'floor', { p50Ms: 3 })]);
    expect(figures.ping?.veth?.p50Ms?.median).toBe(1);
    expect(figures.ping?.floor?.p50Ms?.median).toBe(3);
  });
  it('give ratios', () => {
    expect(ratioOf(result, 'tcp1', 'gigabitsPerSecond', 'gigatun', 'wireguard-go')).toBeCloseTo(4.5 / 0.8);
    expect(ratioOf(result, 'tcp1', 'cpuSecondsPerGb', 'gigatun', 'veth')).toBeNull();
  });
});

describe('a result', () => {
  it('with whole transfers and no failure is faultless', () => expect(isFaultless(result)).toBe(true));
  it('with a failed run is not', () => {
    expect(isFaultless(benchResult({ failures: [{ test: 'tcp1', subject: 'floor', message: 'x' }] }))).toBe(false);
  });
  it.each([
    ['a wrong byte', { comparedBytes: 1, corruptedBytes: 1, intactTransfers: 1, transfers: 1 }],
    ['a transfer that did not arrive whole', { comparedBytes: 1, corruptedBytes: 0, intactTransfers: 0, transfers: 1 }],
  ])('with %s is not', (_, sample) => {
    expect(isFaultless(benchResult({ figures: figuresOf(runsOf('integrity', 'gigatun', sample)) }))).toBe(false);
  });
});

it('the cost of the books is the median of the ratios of pairs, whatever drifts between pairs', () => {
  const pairs = [
    { on: 1.01, off: 1 },
    { on: 2.04, off: 2 },
    { on: 3.0, off: 3 },
  ];
  const { cost, quartiles } = booksResult(pairs, result.machine, 5);
  expect(cost.median).toBeCloseTo(0.01);
  expect(quartiles[0]).toBeCloseTo(0);
  expect(quartiles[1]).toBeCloseTo(0.02);
});
