/** How many parities blocks get: by configuration, or by round trip and loss. */
import { describe, expect, it } from 'vitest';
import { ParityPlan, paritiesFor, RESIDUAL_MAX, residual } from '../../../src/history/fec/plan.ts';
import { type HistorySettings, NO_HISTORY } from '../../../src/history/settings.ts';
import type { LanePaths } from '../../../src/path/path-types.ts';
import { lanePaths } from '../../support/fake-history.ts';

function settings(rest: Partial<HistorySettings> = {}): HistorySettings {
  return { ...NO_HISTORY, fec: { mode: 'auto', data: 10, parity: 2, delayMs: 20 }, ...rest };
}

function paths(loss: number, rttMs = 100, gaps = true, parity = true): LanePaths {
  return lanePaths([], { loss, rttMs, knows: { gaps, paths: true, parity } });
}

function planned(given: HistorySettings, ...seen: LanePaths[]): number[] {
  const plan = new ParityPlan();
  return seen.map((each) => {
    plan.update(given, each);
    expect(plan.isOn).toBe(plan.parities(10) > 0);
    return plan.parities(10);
  });
}

/** By every outcome of every message: which are lost, and what stays missing then. */
function slowResidual(datagrams: number, parities: number, loss: number): number {
  const messages = datagrams + parities;
  let sum = 0;
  for (let outcome = 0; outcome < 2 ** messages; outcome += 1) {
    const lost = Array.from({ length: messages }, (_, message) => (outcome >> message) & 1);
    const lostCount = lost.reduce((count, each) => count + each, 0);
    const missing = lost.slice(0, datagrams).reduce((count, each) => count + each, 0);
    if (lostCount > parities) sum += (missing / datagrams) * loss ** lostCount * (1 - loss) ** (messages - lostCount);
  }
  return sum;
}

describe('what stays missing', () => {
  it('is what all outcomes together say', () => {
    for (const [datagrams, parities] of [
      [1, 1],
      [4, 2],
      [10, 2],
      [9, 4],
    ])
      for (const loss of [0, 0.001, 0.05, 0.5, 1])
        expect(residual(datagrams, parities, loss)).toBeCloseTo(slowResidual(datagrams, parities, loss), 10);
  });

  it('is no more than it may be, with as few parities as do it', () => {
    for (const loss of [0.001, 0.01, 0.05]) {
      const parities = paritiesFor(10, loss);
      expect(residual(10, parities, loss)).toBeLessThanOrEqual(RESIDUAL_MAX);
      expect(parities === 1 || residual(10, parities - 1, loss) > RESIDUAL_MAX).toBe(true);
    }
    expect(paritiesFor(32, 0.5)).toBe(8);
  });
});

describe('a plan', () => {
  it('gives full blocks what configuration says, others their share, whatever is lost', () => {
    const plan = new ParityPlan();
    plan.update(settings({ fec: { mode: 'on', data: 10, parity: 3, delayMs: 20 } }), paths(0));
    expect([1, 3, 4, 6, 7, 10].map((datagrams) => plan.parities(datagrams))).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('has no parity for a peer that does not know it, or when it is off', () => {
    const on = settings({ fec: { mode: 'on', data: 10, parity: 2, delayMs: 20 } });
    expect(planned(on, paths(0.1, 100, true, false), paths(0.1))).toEqual([0, 2]);
    expect(planned(settings({ fec: NO_HISTORY.fec }), paths(0.1))).toEqual([0]);
  });

  it('in mode auto begins and ends with loss, not at the same loss', () => {
    expect(planned(settings(), paths(0), paths(0.001), paths(0.002), paths(0.001), paths(0.0004))).toEqual([
      0, 0, 1, 1, 0,
    ]);
  });

  it('in mode auto follows the loss', () => {
    const counts = planned(settings(), paths(0.01), paths(0.0101), paths(0.05), paths(0.2));
    expect(counts).toEqual([paritiesFor(10, 0.01), paritiesFor(10, 0.01), paritiesFor(10, 0.05), 8]);
  });

  it('in mode auto leaves the work to repeats where they come in time', () => {
    const repeating = settings({ retransmitMs: 150 });
    expect(planned(repeating, paths(0.01, 75))).toEqual([0]);
    expect(planned(repeating, paths(0.01, 76), paths(0.01, 75))).toEqual([paritiesFor(10, 0.01), 0]);
    expect(planned(repeating, paths(0.01, 20, false))).toEqual([paritiesFor(10, 0.01)]);
  });
});
