/** What counts as a suspend, with both clocks in the test's hand. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { USAGE } from '../src/native/layout.ts';

const clock = vi.hoisted(() => ({ monotonicMs: 0, bootMs: 0 }));
vi.mock('../src/native/addon.ts', () => ({
  threadUsage: (cells: Float64Array) => {
    cells[USAGE.MONOTONIC_NS] = clock.monotonicMs * 1e6;
    cells[USAGE.BOOT_NS] = clock.bootMs * 1e6;
  },
}));
const { SuspendWatch } = await import('../src/suspend-watch.ts');

describe('a suspend', () => {
  beforeEach(() => {
    clock.monotonicMs = 5_000;
    clock.bootMs = 7_205_000;
  });

  const pass = (monotonicMs: number, bootMs: number): void => {
    clock.monotonicMs += monotonicMs;
    clock.bootMs += bootMs;
  };

  it('is the time by which the clock since boot ran ahead since the last look, told once', () => {
    const watch = new SuspendWatch();
    pass(1_000, 3_601_000);
    expect(watch.look()).toBeCloseTo(3_600_000);
    pass(1_000, 1_000);
    expect(watch.look()).toBe(0);
    pass(1_000, 2_000);
    expect(watch.look()).toBeCloseTo(1_000);
  });

  it('is not what lay between the clocks from the start, nor a moment without a core between two reads', () => {
    const watch = new SuspendWatch();
    expect(watch.look()).toBe(0);
    pass(1_000, 1_900);
    expect(watch.look()).toBe(0);
    pass(1_000, 100);
    expect(watch.look()).toBe(0);
  });
});
