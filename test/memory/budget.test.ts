/** What fits under a memory cap, and what is refused. */
import { describe, expect, it } from 'vitest';
import {
  checkMemory,
  heapLimitMib,
  heapOptions,
  laneHeapLimits,
  leastCapBytes,
  memoryNeedBytes,
} from '../../src/memory/budget.ts';

describe('a memory cap', () => {
  it('of 100 MB has room for one lane and some peers, as the project promises', () => {
    expect(() => checkMemory(100e6, { lanes: 1, peers: 100 })).not.toThrow();
    expect(leastCapBytes({ lanes: 1, peers: 1 })).toBeLessThanOrEqual(100e6);
  });

  it('that is just enough is taken, one of a byte less is refused', () => {
    const use = { lanes: 3, peers: 1_000 };
    const least = leastCapBytes(use);
    expect(() => checkMemory(least, use)).not.toThrow();
    expect(() => checkMemory(least - 1, use)).toThrow(/expected a memory cap of at least \d+ MB/);
  });

  it('that is absent is no cap', () => expect(() => checkMemory(null, { lanes: 64, peers: 65_000 })).not.toThrow());

  it('that is too small is CONFIG, and says what was asked, what is needed, and what would fit', () => {
    const refuse = (): void => checkMemory(100e6, { lanes: 4, peers: 1 });
    expect(refuse).toThrow(expect.objectContaining({ code: 'CONFIG' }));
    expect(refuse).toThrow(/at least 132 MB for 4 lanes and 1 peer, got 100 MB; allow more, or run 1 lane$/);
  });

  it('that not even one lane fits under says so', () => {
    expect(() => checkMemory(50e6, { lanes: 1, peers: 1 })).toThrow(/got 50 MB; allow more$/);
  });

  it('needs more for each lane and for each peer', () => {
    const need = memoryNeedBytes({ lanes: 1, peers: 1 });
    expect(memoryNeedBytes({ lanes: 2, peers: 1 })).toBeGreaterThan(need);
    expect(memoryNeedBytes({ lanes: 1, peers: 2 })).toBeGreaterThan(need);
  });
});

describe('limits of heaps', () => {
  const use = { lanes: 1, peers: 1 };

  it('grow with the cap, by what it leaves, and never fall below what a thread needs', () => {
    const least = heapLimitMib(leastCapBytes(use), use);
    expect(heapLimitMib(leastCapBytes(use) + 64 * 2 ** 20, use)).toBe(least + 64);
    expect(heapLimitMib(1e6, use)).toBe(24);
  });

  it('hold for lanes and for the whole process alike', () => {
    const limit = heapLimitMib(200e6, use);
    expect(laneHeapLimits(200e6, use)).toEqual({ maxOldGenerationSizeMb: limit, maxYoungGenerationSizeMb: 3 });
    expect(laneHeapLimits(null, use)).toEqual({ maxYoungGenerationSizeMb: 3 });
    expect(heapOptions(200e6, use)).toEqual([`--max-old-space-size=${limit}`, '--max-semi-space-size=1']);
  });

  it('leave room for the peers', () => {
    const many = { lanes: 1, peers: 10_000 };
    expect(heapLimitMib(leastCapBytes(many), many)).toBeGreaterThan(heapLimitMib(leastCapBytes(use), use) + 70);
  });
});
