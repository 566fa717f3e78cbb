/** Which path a group takes: the first, or the one on which it arrives soonest by what is known of rates and delays. */
import { describe, expect, it } from 'vitest';
import { EARLY_MS, PathChoice } from '../../src/history/path-choice.ts';
import { NO_PATH } from '../../src/path/path-types.ts';
import { lanePath, lanePaths } from '../support/fake-history.ts';

/** 100 Mbit/s and 10 ms, 50 Mbit/s and 30 ms. */
const TWO = [
  lanePath(0, 'first', { rateBytesPerMs: 12_500, delayMs: 10 }),
  lanePath(1, 'first', { rateBytesPerMs: 6_250, delayMs: 30 }),
];

function weighted(): PathChoice {
  const choice = new PathChoice();
  choice.setPaths(lanePaths(TWO, { mode: 'weighted' }), 0);
  return choice;
}

/** Bytes that each path gets of groups of 10,000 bytes at a rate, for so many ms. */
function shares(choice: PathChoice, bytesPerMs: number, ms: number): number[] {
  const bytes = [0, 0];
  for (let nowMs = 0; nowMs < ms; nowMs += 10_000 / bytesPerMs) bytes[choice.take(10_000, nowMs)] += 10_000;
  return bytes;
}

describe('weighted', () => {
  it('sends over the quick path alone while it is not full', () => {
    expect(shares(weighted(), 10_000, 1_000)[1]).toBe(0);
  });

  it('fills both paths by their rates when one is not enough', () => {
    const [quick, slow] = shares(weighted(), 18_000, 2_000);
    expect(quick / 2_000).toBeGreaterThan(11_800);
    expect(slow / 2_000).toBeGreaterThan(5_200);
    expect(slow / 2_000).toBeLessThan(6_300);
  });

  it('sends in such an order that what is sent one after the other arrives so, but for one group and what it is early', () => {
    const choice = weighted();
    const freeMs = [0, 0];
    const arrivals = Array.from({ length: 2_000 }, (_, group) => {
      const nowMs = group * 0.54;
      const path = choice.take(10_000, nowMs);
      freeMs[path] = Math.max(freeMs[path], nowMs) + 10_000 / TWO[path].rateBytesPerMs;
      return freeMs[path] + TWO[path].delayMs;
    });
    const late = arrivals.map((ms, group) => Math.max(...arrivals.slice(Math.max(0, group - 200), group), 0) - ms);
    expect(Math.max(...late)).toBeLessThanOrEqual(10_000 / 6_250 + EARLY_MS);
    // So the queue of the quick one is longer by no more than the rest of the difference.
    expect(freeMs[0] - freeMs[1]).toBeLessThanOrEqual(20 - EARLY_MS + 10_000 / 6_250);
  });

  it('forgets what was sent long ago', () => {
    const choice = weighted();
    for (let group = 0; group < 100; group += 1) choice.take(10_000, 0);
    expect(choice.take(10_000, 1_000)).toBe(0);
  });

  it('takes a path of unknown rate as one that is never full', () => {
    const choice = new PathChoice();
    const unknown = [lanePath(0, 'first', { rateBytesPerMs: 0, delayMs: 5 }), TWO[1]];
    choice.setPaths(lanePaths(unknown, { mode: 'weighted' }), 0);
    expect(shares(choice, 1e6, 10)[1]).toBe(0);
  });

  it('is nothing to choose with one path', () => {
    const choice = new PathChoice();
    choice.setPaths(lanePaths(TWO.slice(1), { mode: 'weighted' }), 0);
    expect([choice.isWeighted, choice.take(1_000, 0)]).toEqual([false, 1]);
  });
});

describe('the path for what did not arrive', () => {
  it('is the other one, its queue counted', () => {
    const choice = weighted();
    expect(choice.takeOther(0, 1_000, 0)).toBe(1);
    expect(choice.takeOther(1, 1_000, 0)).toBe(0);
  });

  it('is the first where there is no other, and none where there are no paths', () => {
    const choice = new PathChoice();
    expect(choice.takeOther(NO_PATH, 1_000, 0)).toBe(NO_PATH);
    choice.setPaths(lanePaths([lanePath(4, 'first'), lanePath(2, 'idle')]), 0);
    expect(choice.takeOther(4, 1_000, 0)).toBe(4);
    expect(choice.takeOther(2, 1_000, 0)).toBe(4);
  });
});
