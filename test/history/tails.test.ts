/** What a sender says after data when nothing follows: how often, when, and for how long. */
import { describe, expect, it } from 'vitest';
import { Tails } from '../../src/history/tails.ts';

/** Times of all tails after data that was sent at 1,000 ms. */
function tailsOf(rttMs: number, retransmitMs: number): number[] {
  const tails = new Tails();
  tails.dataSent(1_000, rttMs, retransmitMs);
  const times: number[] = [];
  for (let nowMs = 1_000; nowMs < 60_000; nowMs += 1) if (tails.take(nowMs)) times.push(nowMs - 1_000);
  expect(tails.dueMs).toBe(Number.POSITIVE_INFINITY);
  return times;
}

describe('tails', () => {
  it('follow each other ever more slowly, until they are a round trip apart, as long as a repeat may be of use', () => {
    expect(tailsOf(20, 150)).toEqual([5, 15, 35, 55, 75, 95, 115]);
    expect(tailsOf(0, 60)).toEqual([5, 15, 35, 55]);
  });

  it('are eight at most', () => expect(tailsOf(20, 10_000).length).toBe(8));

  it('are one at least, however short the time is', () => expect(tailsOf(200, 150)).toEqual([50]));

  it('begin anew with more data, and end when they are stopped', () => {
    const tails = new Tails();
    tails.dataSent(0, 20, 150);
    expect([tails.take(4), tails.take(5)]).toEqual([false, true]);
    tails.dataSent(6, 20, 150);
    expect([tails.dueMs, tails.take(10)]).toEqual([11, false]);
    tails.stop();
    expect(tails.take(1_000)).toBe(false);
  });
});
