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
  const values = valuesOf(outcome, subject, load, figure);
  // Duplicates and losses must not be in any round.
  return figure === 'duplicates' || figure === 'lost'
    ? Math.max(...values, values.length === 0 ? Number.NaN : 0)
    : median(values);
}

/**
 * Median of one subject's figure as a multiple of another's of the same round: a machine's speed drifts, but less from one subject
 * to the next than from round to round. Where a round failed for one of them, the ratio of medians.
 */
export function ratioOf(
  outcome: Outcome,
  subject: string,
  other: string,
  load: number,
  figure: Expectation['figure'],
): number {
  const [own, others] = [valuesOf(outcome, subject, load, figure), valuesOf(outcome, other, load, figure)];
  if (own.length !== others.length) return median(own) / median(others);
  return median(own.map((value, round) => value / (others[round] ?? Number.NaN)));
}

function valuesOf(outcome: Outcome, subject: string, load: number, figure: Expectation['figure']): number[] {
  const samples = outcome.subjects.find(({ name }) => name === subject)?.loads[load] ?? [];
  return samples.map((sample) => sampleValue(sample, figure)).filter((value) => !Number.isNaN(value));
}

function verdictOf({ subject, load, figure, of, least, most }: Expectation, outcome: Outcome): Verdict[] {
  if (!outcome.subjects.some(({ name }) => name === subject)) return [];
  const value =
    of === undefined ? figureOf(outcome, subject, load, figure) : ratioOf(outcome, subject, of, load, figure);
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
