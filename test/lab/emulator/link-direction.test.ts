import { describe, expect, it } from 'vitest';
import { type Impairments, NO_IMPAIRMENTS } from '../../../src/lab/emulator/impairments.ts';
import { LinkDirection } from '../../../src/lab/emulator/link-direction.ts';

const COUNT = 200_000;

describe('a direction of a link', () => {
  it('passes everything at once without impairments', () => {
    const arrivals = pass({}, 3, () => 1_000);
    expect(arrivals).toEqual([0, 1_000, 2_000]);
  });

  it('loses its share, each datagram for itself, and the same ones for the same seed', () => {
    const lost = fates({ loss: 0.01 }, 7);
    expect(share(lost)).toBeCloseTo(0.01, 2);
    expect(meanBurst(lost)).toBeLessThan(1.1);
    expect(fates({ loss: 0.01 }, 7)).toEqual(lost);
    expect(fates({ loss: 0.01 }, 8)).not.toEqual(lost);
  });

  it('loses its share in bursts of the mean length', () => {
    const lost = fates({ burst: { share: 0.05, length: 8 } }, 3);
    expect(Math.abs(share(lost) - 0.05)).toBeLessThan(0.01);
    expect(Math.abs(meanBurst(lost) - 8)).toBeLessThan(0.8);
  });

  it('delays, with jitter, and keeps the order', () => {
    const arrivals = pass({ delayMs: 20, jitterMs: 10 }, 10_000, () => 100);
    const delays = arrivals.map((arrival, at) => arrival - at * 100);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(30_000);
    expect(arrivals.toSorted((left, right) => left - right)).toEqual(arrivals);
  });

  it('brings a share later than those behind it', () => {
    const arrivals = pass({ delayMs: 5, reorder: 0.1, reorderMs: 2 }, COUNT, () => 100);
    const late = arrivals.filter((arrival, at) => arrival > (arrivals[at + 1] ?? Number.POSITIVE_INFINITY)).length;
    expect(Math.abs(late / COUNT - 0.09)).toBeLessThan(0.01);
  });

  it('brings a share twice', () => {
    const direction = link({ duplicate: 0.02 });
    let arrivals = 0;
    for (let at = 0; at < COUNT; at += 1) arrivals += direction.pass(at, 100);
    expect(arrivals).toBe(COUNT + direction.figures.duplicated);
    expect(Math.abs(direction.figures.duplicated / COUNT - 0.02)).toBeLessThan(0.003);
  });

  it('gives its rate, overhead counted, and loses what would wait too long', () => {
    const rate = { rateBitsPerSecond: 8e6, overheadBytes: 28, queueMs: 10 };
    const arrivals = pass(rate, 1_000, () => 500, 972);
    // 1,000 bytes each take 1 ms, and two come in each: after the queue is full, every other one is lost.
    expect(arrivals.slice(0, 3)).toEqual([1_000, 2_000, 3_000]);
    const gaps = arrivals.slice(1).map((arrival, at) => arrival - (arrivals[at] ?? 0));
    expect(gaps.every((gap) => Math.abs(gap - 1_000) < 1e-6)).toBe(true);
    expect(arrivals.length).toBeGreaterThan(500);
    expect(arrivals.length).toBeLessThan(515);
  });

  it('passes nothing in a blackout, once or again and again', () => {
    const once = { blackouts: [{ startMs: 10, lengthMs: 5, everyMs: null }] };
    expect(pass(once, 40, () => 1_000)).toHaveLength(35);
    const often = { blackouts: [{ startMs: 10, lengthMs: 5, everyMs: 10 }] };
    expect(pass(often, 40, () => 1_000)).toHaveLength(25);
  });

  it('passes nothing while it is cut', () => {
    const direction = link({});
    direction.isCut = true;
    expect(direction.pass(0, 100)).toBe(0);
    direction.isCut = false;
    expect(direction.pass(1, 100)).toBe(1);
    expect(direction.figures).toMatchObject({ passed: 1, lostBlackout: 1 });
  });

  it('counts each datagram once', () => {
    const direction = link({
      ...{ loss: 0.1, burst: { share: 0.1, length: 3 }, rateBitsPerSecond: 1e6, queueMs: 5, delayMs: 1 },
      blackouts: [{ startMs: 5, lengthMs: 1, everyMs: 9 }],
    });
    for (let at = 0; at < 10_000; at += 1) direction.pass(at * 500, 100);
    const { passed, lostRandom, lostBurst, lostQueue, lostBlackout } = direction.figures;
    expect(passed + lostRandom + lostBurst + lostQueue + lostBlackout).toBe(10_000);
    for (const kind of [passed, lostRandom, lostBurst, lostQueue, lostBlackout]) expect(kind).toBeGreaterThan(0);
  });
});

function link(impairments: Partial<Impairments>, seed = 1): LinkDirection {
  return new LinkDirection({ ...NO_IMPAIRMENTS, ...impairments }, seed);
}

/** Arrivals, us, of those that arrive; each datagram comes `gap` us after the one before. */
function pass(impairments: Partial<Impairments>, count: number, gap: () => number, bytes = 100): number[] {
  const direction = link(impairments);
  const arrivals: number[] = [];
  for (let at = 0, nowUs = 0; at < count; at += 1, nowUs += gap())
    if (direction.pass(nowUs, bytes) > 0) arrivals.push(direction.arrivalsUs[0] ?? 0);
  return arrivals;
}

/** Which of COUNT datagrams are lost. */
function fates(impairments: Partial<Impairments>, seed: number): boolean[] {
  const direction = link(impairments, seed);
  return Array.from({ length: COUNT }, (_, at) => direction.pass(at, 100) === 0);
}

function share(lost: readonly boolean[]): number {
  return lost.filter(Boolean).length / lost.length;
}

function meanBurst(lost: readonly boolean[]): number {
  const bursts = lost.filter((isLost, at) => isLost && lost[at - 1] !== true).length;
  return lost.filter(Boolean).length / bursts;
}
