/** A path's capacity by what arrives, step by step: what tells of it, and what only seems to. */
import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/path/path-health.ts';
import { PathRate } from '../../src/path/path-rate.ts';

const DATAGRAM = 1_250;

interface Load {
  /** Bytes per ms, and which share of them is lost. */
  readonly sent: number;
  readonly loss?: number;
  /** What the second of two probes waited, ms; it comes behind all that was sent before it. */
  readonly queueMs: number;
}

/** Answers each 100 ms for so long; when that is over. */
function run(rate: PathRate, fromMs: number, forMs: number, load: (nowMs: number) => Load): number {
  let beforeMs = load(fromMs).queueMs;
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += 100) {
    const { sent, loss = 0, queueMs } = load(nowMs);
    const [sentBytes, deliveredBytes] = [sent * 100, sent * 100 * (1 - loss)];
    const delivery: Delivery = {
      ...{ spanMs: 100, arrivedSpanMs: 100 + queueMs - beforeMs, sentBytes, deliveredBytes, queueMs },
      ...{ sentDatagrams: sentBytes / DATAGRAM, deliveredDatagrams: deliveredBytes / DATAGRAM },
    };
    rate.take(delivery, nowMs);
    beforeMs = queueMs;
  }
  return fromMs + forMs;
}

describe('the capacity of a path', () => {
  it('is what comes through while a queue stands, be the first guess too high or too low', () => {
    for (const first of [9_000, 15_000]) {
      const rate = new PathRate(first);
      run(rate, 0, 6_000, () => ({ sent: 12_500, queueMs: 8 }));
      expect(rate.bytesPerMs).toBeGreaterThan(12_400);
      expect(rate.bytesPerMs).toBeLessThan(12_600);
    }
  });

  it('stays where less is sent, and grows where all of it is used and nothing waits', () => {
    const rate = new PathRate(12_500);
    const now = run(rate, 0, 5_000, () => ({ sent: 6_000, queueMs: 1 }));
    expect(rate.bytesPerMs).toBe(12_500);
    run(rate, now, 2_000, () => ({ sent: rate.bytesPerMs, queueMs: 1 }));
    expect(rate.bytesPerMs).toBeGreaterThan(20_000);
  });

  it('is not lost by a program that wakes late, at this end or at the other', () => {
    const rate = new PathRate(12_500);
    run(rate, 0, 20_000, (nowMs) => {
      const late = nowMs % 1_000;
      if (late === 300) return { sent: 12_000, queueMs: 33 };
      if (late === 600) return { sent: 7_000, queueMs: 0 };
      return late === 700 ? { sent: 16_500, queueMs: 25 } : { sent: 12_000, queueMs: 3 };
    });
    expect(rate.bytesPerMs).toBeGreaterThan(12_000);
  });

  it.for([13_500, 30_000])('falls where a buffer too short to see loses what is too much (guess %i)', (first) => {
    const rate = new PathRate(first);
    const now = run(rate, 0, 2_000, () => ({ sent: 6_000, queueMs: 1 }));
    run(rate, now, 8_000, () => {
      const sent = Math.min(rate.bytesPerMs, 15_000);
      return { sent, loss: Math.max(0, 1 - 10_000 / sent), queueMs: 2 };
    });
    expect(rate.bytesPerMs).toBeLessThan(11_500);
    expect(rate.bytesPerMs).toBeGreaterThan(9_000);
  });

  it('does not fall by what the path loses anyway', () => {
    const rate = new PathRate(12_500);
    run(rate, 0, 20_000, () => ({ sent: 10_500, loss: 0.08, queueMs: 2 }));
    expect(rate.bytesPerMs).toBe(12_500);
  });
});
