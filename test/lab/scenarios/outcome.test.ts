import { describe, expect, it } from 'vitest';
import { countOf, END_NUMBER, numberOf, sentMsOf, writeNumbered } from '../../../src/lab/scenarios/numbered.ts';
import { parseScenarioOptions } from '../../../src/lab/scenarios/options.ts';
import { figureOf, judge, type Outcome, ratioOf, type Sample } from '../../../src/lab/scenarios/outcome.ts';
import { formatOutcomes } from '../../../src/lab/scenarios/results.ts';
import { SCENARIOS, type Scenario } from '../../../src/lab/scenarios/scenarios.ts';
import { StreamTally } from '../../../src/lab/scenarios/stream-tally.ts';

describe('a numbered stream', () => {
  it('is told from other packets, and says what it was given', () => {
    const packet = Buffer.alloc(64);
    expect(numberOf(packet)).toBe(-1);
    expect(numberOf(Buffer.alloc(3))).toBe(-1);
    writeNumbered(packet, 41, 1_234.5, 7);
    expect([numberOf(packet), sentMsOf(packet), countOf(packet)]).toEqual([41, 1_234.5, 7]);
    expect(END_NUMBER).toBeGreaterThan(41);
  });

  it('is tallied: what is lost, comes twice, late, after a gap', () => {
    const tally = new StreamTally();
    for (const [number, nowMs] of [
      [0, 10],
      [1, 11],
      [3, 40],
      [2, 41],
      [2, 42],
      [7, 43],
    ] as const)
      tally.take(number, number, nowMs);
    expect(tally.figures(8)).toEqual({
      ...{ sent: 8, received: 5, duplicates: 1, late: 1, longestGapMs: 29, longestLoss: 3 },
      latencyMs: { least: 10, p50: 36, p99: 39, most: 39 },
    });
  });
});

describe('a scenario', () => {
  const [scenario] = SCENARIOS;

  it('has a name, links, subjects, and expects only what is measured', () => {
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
    for (const { subjects, loads, expectations } of SCENARIOS)
      for (const { subject, of = subject, load } of expectations) {
        const names = subjects.map(({ name }) => name);
        expect(names).toContain(subject);
        expect(names).toContain(of);
        expect(loads[load]).toBeDefined();
      }
  });

  it('is judged by medians, but by the worst round where nothing may happen at all', () => {
    const stream = (received: number, duplicates: number): Sample => ({
      kind: 'stream',
      figures: {
        ...{ sent: 100, received, duplicates, late: 0, longestGapMs: 5, longestLoss: 1 },
        latencyMs: { least: 10, p50: 11, p99: 35, most: 50 },
      },
    });
    const outcome = outcomeOf('x', [stream(100, 0), stream(99, 1), stream(90, 0)]);
    expect(figureOf(outcome, 'x', 0, 'residual')).toBeCloseTo(0.01);
    expect(figureOf(outcome, 'x', 0, 'duplicates')).toBe(1);
    expect(figureOf(outcome, 'x', 0, 'lost')).toBe(10);
    expect(figureOf(outcome, 'x', 0, 'addedP99Ms')).toBe(25);
    const expectations: Scenario['expectations'] = [
      { subject: 'x', load: 0, figure: 'residual', most: 0.01 },
      { subject: 'x', load: 0, figure: 'duplicates', most: 0 },
      { subject: 'not measured', load: 0, figure: 'lost', most: 0 },
    ];
    const verdicts = judge({ ...(scenario ?? fail()), expectations }, outcome);
    expect(verdicts.map(({ isMet }) => isMet)).toEqual([true, false]);
  });

  it('compares subjects round by round, for a machine has faster and slower times', () => {
    const bulk = (megabitsPerSecond: number): Sample => ({
      kind: 'bulk',
      figures: { megabitsPerSecond, retransmits: 0 },
    });
    const outcome: Outcome = {
      ...outcomeOf('x', [bulk(99), bulk(196), bulk(30)]),
      subjects: [
        { name: 'x', loads: [[bulk(99), bulk(196), bulk(30)]], failures: [] },
        { name: 'y', loads: [[bulk(100), bulk(200), bulk(300)]], failures: [] },
        { name: 'z', loads: [[bulk(50), bulk(150)]], failures: ['once'] },
      ],
    };
    expect(ratioOf(outcome, 'x', 'y', 0, 'megabits')).toBe(0.98);
    expect(ratioOf(outcome, 'y', 'z', 0, 'megabits')).toBe(2);
  });

  it('misses what could not be measured', () => {
    const expectations: Scenario['expectations'] = [{ subject: 'x', load: 0, figure: 'megabits', least: 0 }];
    const [verdict] = judge({ ...(scenario ?? fail()), expectations }, outcomeOf('x', []));
    expect(verdict?.isMet).toBe(false);
  });

  it('is told as a table', () => {
    const bulk: Sample = { kind: 'bulk', figures: { megabitsPerSecond: 101.26, retransmits: 3 } };
    const loads = [{ kind: 'bulk', seconds: 1, streams: 1 }] as const;
    const text = formatOutcomes([{ ...outcomeOf('x', [bulk]), loads, name: 'none' }], '2026-01-02T03:04:05Z', 'Here.');
    expect(text).toContain('| subject | TCP, 1 stream, Mbit/s |');
    expect(text).toContain('| x | 101 |');
    expect(text).toContain('- y: it failed');
  });
});

describe('the options', () => {
  it('are all scenarios, unless they say something else', () => {
    expect(parseScenarioOptions([])).toMatchObject({ scenarios: SCENARIOS, rounds: null, time: 1, write: false });
    expect(parseScenarioOptions(['--only', 'cut,loss', '--rounds', '3', '--time', '50'])).toMatchObject({
      ...{ scenarios: [{ name: 'cut' }, { name: 'loss' }], rounds: 3, time: 0.5 },
    });
    expect(parseScenarioOptions(['--help'])).toBe('help');
  });

  it.each([[['--only', 'nothing']], [['--rounds', '0']], [['--time', '5']], [['--no-such']], [['word']]])(
    'refuse %j',
    (args) => {
      expect(() => parseScenarioOptions(args)).toThrowError(expect.objectContaining({ code: 'CONFIG' }));
    },
  );
});

function outcomeOf(name: string, samples: readonly Sample[]): Outcome {
  return {
    ...{ name: 'loss', title: 'A link', links: ['--loss 1%'] },
    loads: [{ kind: 'stream', seconds: 1, megabits: 1, length: 100 }],
    subjects: [
      { name, loads: [samples], failures: [] },
      { name: 'y', loads: [[]], failures: ['it failed'] },
    ],
  };
}

function fail(): never {
  throw new Error('there are no scenarios');
}
