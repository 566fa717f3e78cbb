/** The result of a bench run: everything that was measured, as it goes into the JSON file and out of it into tables and charts. */
import type { EndStats } from '../gigatun-stats.ts';
import type { Machine } from '../machine.ts';
import { type Summary, summarize } from '../statistics.ts';
import { type Cost, sumCosts } from './cost.ts';
import type { LeftOut } from './needs.ts';
import type { SubjectName } from './subjects.ts';
import type { MetricId, Sample, TestId } from './tests.ts';

export interface SubjectFacts {
  readonly name: SubjectName;
  readonly title: string;
  readonly version: string;
  /** Resident memory of both ends together after each round, bytes; null without processes. */
  readonly residentBytes: Summary | null;
}

/** Medians and spread, by test, subject and metric. A subject that a test could not be run on is absent there. */
export type Figures = Partial<Record<TestId, Partial<Record<SubjectName, Partial<Record<MetricId, Summary>>>>>>;

/** Where gigatun's time went, over all rounds, by test and subject; only of subjects that keep books. */
export type Costs = Partial<Record<TestId, Partial<Record<SubjectName, Cost>>>>;

export interface BenchFailure {
  readonly test: TestId;
  readonly subject: SubjectName;
  readonly message: string;
}

export interface BenchResult {
  readonly report: 'gigatun bench';
  readonly takenAt: string;
  readonly machine: Machine;
  readonly conditions: {
    readonly secondsPerLoad: number;
    readonly repeats: number;
    readonly congestion: string;
    readonly outerMtu: number;
    readonly innerMtu: number;
    readonly lanes: number;
  };
  readonly warnings: readonly string[];
  readonly subjects: readonly SubjectFacts[];
  /** Subjects that this machine cannot run. */
  readonly leftOut: readonly LeftOut[];
  readonly figures: Figures;
  readonly costs: Costs;
  /** Books of gigatun's two ends over the whole run. */
  readonly books: readonly EndStats[];
  readonly failures: readonly BenchFailure[];
}

/** One measured run. */
export interface Run {
  readonly test: TestId;
  readonly subject: SubjectName;
  readonly sample: Sample;
  /** null where the subject keeps no books. */
  readonly cost: Cost | null;
}

/** Medians over all runs of the same test and subject. */
export function figuresOf(runs: readonly Run[]): Figures {
  const figures: Figures = {};
  for (const { test, subject } of runs) {
    const bySubject = figures[test] ?? {};
    figures[test] = bySubject;
    bySubject[subject] ??= summarizeSamples(runs.filter((run) => run.test === test && run.subject === subject));
  }
  return figures;
}

/** Sums over all runs of the same test and subject. */
export function costsOf(runs: readonly Run[]): Costs {
  const costs: Costs = {};
  for (const { test, subject } of runs) {
    const own = runs.filter((run) => run.test === test && run.subject === subject);
    const known = own.flatMap(({ cost }) => (cost === null ? [] : [cost]));
    const bySubject = costs[test] ?? {};
    costs[test] = bySubject;
    if (known.length > 0) bySubject[subject] ??= sumCosts(known);
  }
  return costs;
}

function summarizeSamples(runs: readonly Run[]): Partial<Record<MetricId, Summary>> {
  const metrics = new Set(runs.flatMap(({ sample }) => Object.keys(sample) as MetricId[]));
  const valuesOf = (metric: MetricId) =>
    runs.map(({ sample }) => sample[metric]).filter((value) => value !== undefined);
  return Object.fromEntries([...metrics].map((metric) => [metric, summarize(valuesOf(metric))]));
}

/** Median of one metric, or null where it was not measured. */
export function medianOf(result: BenchResult, test: TestId, subject: SubjectName, metric: MetricId): number | null {
  return result.figures[test]?.[subject]?.[metric]?.median ?? null;
}

/** Ratio of two subjects' medians, or null where one is missing. */
export function ratioOf(
  result: BenchResult,
  test: TestId,
  metric: MetricId,
  subject: SubjectName,
  other: SubjectName,
): number | null {
  const own = medianOf(result, test, subject, metric);
  const others = medianOf(result, test, other, metric);
  return own === null || others === null || others === 0 ? null : own / others;
}
