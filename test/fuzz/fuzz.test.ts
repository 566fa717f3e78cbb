/** A bounded part of the fuzz campaign, with a fixed seed, and proof that its oracles can fail. `npm run fuzz` runs more. */
import { describe, expect, it } from 'vitest';
import { runCampaign, runInput } from './campaign.ts';
import { Finding, type Target } from './target.ts';
import { TARGETS } from './targets.ts';

const SEED = 1;
const INPUTS = 40_000;

describe('the fuzz campaign', () => {
  it.each(TARGETS)('finds nothing in $name', (target) => {
    const inputs = Math.ceil((INPUTS * target.weight) / TARGETS.reduce((sum, { weight }) => sum + weight, 0));
    const [report] = runCampaign([target], inputs, SEED);
    expect(report?.findings).toEqual([]);
    expect(report?.inputs).toBe(inputs);
  });

  it('tells what it found, by a number from which the same comes again', () => {
    const planted: Target = {
      ...{ name: 'planted', what: 'one input in fifty', weight: 1 },
      open: () => (random) => {
        const word = random.word();
        if (word % 50 === 0) throw new Finding(`found ${word}`);
      },
    };
    const [report] = runCampaign([planted], 1_000, SEED);
    expect(report?.findings.length).toBe(10);
    for (const { input, message } of report?.findings ?? []) {
      const [, found = 'nothing'] = /found (\d+)/.exec(message) ?? [];
      expect(() => runInput(planted, input, SEED)).toThrow(`found ${found}`);
    }
  });
});
