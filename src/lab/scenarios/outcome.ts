/** What came of a scenario: samples per subject and load, their medians, and which expectations they meet. Pure. */
import { median } from '../statistics.ts';
import type { SteadyFigures, TcpFigures } from './loads.ts';
import type { StreamFigures } from './numbered.ts';
import type { Expectation, Load, Scenario } from './scenarios.ts';

/** What one load of one subject gave in one round. */
export type Sample =
  | { readonly kind: 'bulk'; readonly figures: TcpFigures }
  | { readonly kind: 'stream'; readonly figures: StreamFigures }
  | { readonly kind: 'steady'; readonly figures: SteadyFigures };

export interface SubjectOutcome {
  readonly name: string;
  /** Load by load: the samples of all rounds. */
  readonly loads: readonly (readonly Sample[])[];
  /** Why a round could not be measured. */
  readonly failures: readonly string[];
}

export interface Outcome {
  readonly name: string;
  readonly title: string;
  readonly links: readonly string[];
  readonly loads: readonly Load[];
  readonly subjects: readonly SubjectOutcome[];
}

export interface Verdict {
  readonly text: string;
  readonly value: number;
  readonly isMet: boolean;
}

export function judge(scenario: Scenario, outcome: Outcome): Verdict[] {
  return scenario.expectations.flatMap((expectation) => verdictOf(expectation, outcome));
}

/** Median of a figure over the rounds; NaN where it was not measured. */
export function figureOf(outcome: Outcome, subject: string, load: number, figure: Expectation['figure']): number {
  const samples = outcome.subjects.find(({ name }) => name === subject)?.loads[load] ?? [];
  const values = samples.map((sample) => sampleValue(sample, figure)).filter((value) => !Number.isNaN(value));
  // Duplicates and losses must not be in any round.
  return figure === 'duplicates' || figure === 'lost'
    ? Math.max(...values, values.length === 0 ? Number.NaN : 0)
    : median(values);
}

function verdictOf({ subject, load, figure, of, least, most }: Expectation, outcome: Outcome): Verdict[] {
  if (!outcome.subjects.some(({ name }) => name === subject)) return [];
  const own = figureOf(outcome, subject, load, figure);
  const value = of === undefined ? own : own / figureOf(outcome, of, load, figure);
  const limit = [least === undefined ? '' : `at least ${least}`, most === undefined ? '' : `at most ${most}`].join('');
  const text = `${subject}, load ${load + 1}: ${NAMES[figure]} ${limit}${of === undefined ? '' : ` times that of ${of}`}`;
  return [{ text, value, isMet: value >= (least ?? -Infinity) && value <= (most ?? Infinity) }];
}

const NAMES: Readonly<Record<Expectation['figure'], string>> = {
  megabits: 'goodput, Mbit/s,',
  residual: 'residual loss (share)',
  lost: 'packets lost',
  addedP99Ms: 'added latency p99, ms,',
  longestGapMs: 'longest stall, ms,',
  blackoutMs: 'longest time of loss, ms,',
  duplicates: 'packets delivered twice',
};

function sampleValue(sample: Sample, figure: Expectation['figure']): number {
  if (sample.kind === 'bulk') return figure === 'megabits' ? sample.figures.megabitsPerSecond : Number.NaN;
  if (sample.kind === 'steady') return figure === 'longestGapMs' ? sample.figures.longestGapMs : Number.NaN;
  const { sent, received, duplicates, latencyMs, longestGapMs } = sample.figures;
  const values: Partial<Record<Expectation['figure'], number>> = {
    residual: (sent - received) / sent,
    lost: sent - received,
    addedP99Ms: latencyMs.p99 - latencyMs.least,
    longestGapMs,
    blackoutMs: longestGapMs,
    duplicates,
  };
  return values[figure] ?? Number.NaN;
}
