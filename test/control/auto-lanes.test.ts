/** How many lanes `auto` means. */
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { autoLanes, lanesForCores } from '../../src/control/auto-lanes.ts';
import { readLanes } from '../../src/control/config-values.ts';

describe('lanes for cores', () => {
  it.each([
    [0.5, 1],
    [1, 1],
    [2, 1],
    [3, 1],
    [3.9, 1],
    [4, 2],
    [8, 4],
    [16, 8],
    [128, 8],
  ])('%d cores: %d', (cores, lanes) => expect(lanesForCores(cores)).toBe(lanes));

  it('of this machine are at most half its cores, and at least one', () => {
    expect(autoLanes()).toBeGreaterThanOrEqual(1);
    expect(autoLanes()).toBeLessThanOrEqual(Math.max(1, availableParallelism() / 2));
  });

  it.each(['auto', 'AUTO'])('are what %s reads as', (text) => {
    expect(readLanes(text)).toEqual({ ok: true, value: autoLanes() });
  });
});
