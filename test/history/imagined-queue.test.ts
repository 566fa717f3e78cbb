/** The imagined queue of a path beside the real one, in fake time: what probes see of it comes late, and sometimes wrong. */
import { describe, expect, it } from 'vitest';
import { ImaginedQueue } from '../../src/history/imagined-queue.ts';

/** 50 Mbit/s. */
const REAL = 6_250;
const GROUP = 11_616;
const RTT_MS = 70;

/**
 * Sends bursts for a while, at `load` of the real rate, where `told` is believed, and probes each 100 ms; how far off the imagined
 * queue was in the last second, ms in the mean, with its sign.
 */
function errorMs(told: number, load: number, forMs: number, spoil: (seenMs: number, probe: number) => number): number {
  const queue = new ImaginedQueue();
  const answers: { atMs: number; seenMs: number; comesMs: number }[] = [];
  let realFreeMs = 0;
  let credit = 0;
  let sum = 0;
  let count = 0;
  queue.tell(told, 0, Number.NEGATIVE_INFINITY, 0);
  for (let nowMs = 0; nowMs < forMs; nowMs += 1) {
    // The load comes in waves: for 30 ms of 60 it is half as much again.
    credit += REAL * load * (nowMs % 60 < 30 ? 1.5 : 0.5);
    for (; credit >= GROUP; credit -= GROUP) {
      queue.remember(nowMs);
      queue.add(GROUP, nowMs);
      realFreeMs = Math.max(realFreeMs, nowMs) + GROUP / REAL;
    }
    const realMs = Math.max(0, realFreeMs - nowMs);
    if (nowMs % 100 === 0)
      answers.push({ atMs: nowMs, seenMs: spoil(realMs + 1, nowMs / 100), comesMs: nowMs + RTT_MS + realMs });
    if (answers[0] !== undefined && answers[0].comesMs <= nowMs) {
      const { seenMs, atMs } = answers[0];
      answers.shift();
      queue.tell(told, seenMs, atMs, nowMs);
    }
    if (nowMs < forMs - 1_000) continue;
    sum += queue.lengthMs(nowMs) - realMs;
    count += 1;
  }
  return sum / count;
}

const same = (seenMs: number): number => seenMs;

describe('an imagined queue', () => {
  it('is the real one where the rate is right, whatever comes in waves', () => {
    expect(Math.abs(errorMs(REAL, 0.95, 5_000, same))).toBeLessThan(2);
  });

  it.for([0.85, 1.2])('comes near the real one where the rate is wrong (%f of it), by what is seen', (share) => {
    expect(Math.abs(errorMs(share * REAL, 0.95, 10_000, same))).toBeLessThan(2);
  });

  it('is not led astray by a probe now and then that somebody took late', () => {
    const spoil = (seenMs: number, probe: number): number => (probe % 3 === 0 ? seenMs + 25 : seenMs);
    expect(Math.abs(errorMs(REAL, 0.95, 10_000, spoil))).toBeLessThan(3);
  });

  it('is empty while the rate is unknown and nothing was seen', () => {
    const queue = new ImaginedQueue();
    queue.tell(0, 0, Number.NEGATIVE_INFINITY, 0);
    for (let nowMs = 0; nowMs < 100; nowMs += 1) queue.add(1e6, nowMs);
    expect(queue.lengthMs(100)).toBe(0);
  });

  it('takes what a probe saw once', () => {
    const queue = new ImaginedQueue();
    for (let time = 0; time < 3; time += 1) queue.tell(REAL, 40, 100, 200);
    queue.tell(REAL, 40, 200, 300);
    expect(queue.lengthMs(300)).toBeLessThan(21);
  });
});
