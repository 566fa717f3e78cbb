/** Outcomes as Markdown: one table per scenario, a row per subject, then what was expected and what came. */
import { median, significant } from '../statistics.ts';
import { judge, type Outcome, type Sample, type SubjectOutcome } from './outcome.ts';
import type { Load } from './scenarios.ts';
import { SCENARIOS } from './scenarios.ts';

/** Ends in a line break. */
export function formatOutcomes(outcomes: readonly Outcome[], takenAt: string, conditions: string): string {
  const sections = outcomes.map((outcome) => formatOutcome(outcome));
  return `# Scenarios of ${takenAt.slice(0, 16).replace('T', ' ')} UTC\n\n${conditions}\n\n${sections.join('\n')}`;
}

function formatOutcome(outcome: Outcome): string {
  const { title, links, loads, subjects } = outcome;
  const columns = loads.flatMap((load, at) => columnsOf(load, at));
  const head = ['subject', ...columns.map(({ name }) => name)];
  const rows = subjects.map((subject) => [subject.name, ...columns.map((column) => cell(subject, column))]);
  const table = [head, head.map((_, at) => (at === 0 ? '---' : '---:')), ...rows].map(
    (row) => `| ${row.join(' | ')} |`,
  );
  const failures = subjects.flatMap(({ name, failures: all }) => all.map((failure) => `- ${name}: ${failure}`));
  const scenario = SCENARIOS.find(({ name }) => name === outcome.name);
  const verdicts = scenario === undefined ? [] : judge(scenario, outcome);
  const expected = verdicts.map(
    ({ text, value, isMet }) => `- ${isMet ? 'met' : '**missed**'}: ${text}: ${significant(value)}`,
  );
  const where = links.map((link, at) => `- link ${at + 1}: \`${link === '' ? 'no impairments' : link}\``);
  return [
    `## ${title}`,
    '',
    ...where,
    ...(where.length > 0 ? [''] : []),
    ...table,
    '',
    ...expected,
    ...failures,
    '',
  ].join('\n');
}

interface Column {
  readonly name: string;
  readonly load: number;
  readonly value: (sample: Sample) => number;
}

function columnsOf(load: Load, at: number): Column[] {
  if (load.kind === 'bulk')
    return [
      {
        name: `TCP, ${load.streams === 1 ? '1 stream' : `${load.streams} streams`}, Mbit/s${load.omitSeconds === undefined ? '' : ` after ${load.omitSeconds} s`}`,
        load: at,
        value: megabits,
      },
    ];
  if (load.kind === 'steady')
    return [{ name: `TCP at ${load.megabits} Mbit/s: longest stall, ms`, load: at, value: gap }];
  return [
    { name: `UDP at ${load.megabits} Mbit/s: lost, %`, load: at, value: lostPercent },
    { name: 'lost packets', load: at, value: lost },
    { name: 'twice', load: at, value: twice },
    { name: 'latency least, ms', load: at, value: (sample) => latency(sample, 'least') },
    { name: 'p50, ms', load: at, value: (sample) => latency(sample, 'p50') },
    { name: 'p99, ms', load: at, value: (sample) => latency(sample, 'p99') },
    { name: 'longest gap, ms', load: at, value: gap },
  ];
}

const megabits = (sample: Sample): number => (sample.kind === 'bulk' ? sample.figures.megabitsPerSecond : Number.NaN);
const gap = (sample: Sample): number => (sample.kind === 'bulk' ? Number.NaN : sample.figures.longestGapMs);
const lost = (sample: Sample): number =>
  sample.kind === 'stream' ? sample.figures.sent - sample.figures.received : Number.NaN;
const lostPercent = (sample: Sample): number =>
  sample.kind === 'stream' ? (100 * lost(sample)) / sample.figures.sent : Number.NaN;
const twice = (sample: Sample): number => (sample.kind === 'stream' ? sample.figures.duplicates : Number.NaN);

function latency(sample: Sample, which: 'least' | 'p50' | 'p99'): number {
  return sample.kind === 'stream' ? sample.figures.latencyMs[which] : Number.NaN;
}

function cell(subject: SubjectOutcome, { load, value }: Column): string {
  const values = (subject.loads[load] ?? []).map(value);
  return values.length === 0 ? '–' : significant(median(values));
}
