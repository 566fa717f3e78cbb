/**
 * What the books cost: pairs of runs of gigatun, booking time and not, one right after the other in turns of order. The
 * answer is the median of the pairs' ratios of CPU time per byte: what drifts between pairs cancels in each.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTcp } from '../iperf.ts';
import { busyWarning, examineMachine, type Machine } from '../machine.ts';
import { measureTcp } from '../measure.ts';
import { Lab } from '../namespaces.ts';
import { roughDuration, type Screen, showPhase } from '../progress.ts';
import { percentile, type Summary, summarize } from '../statistics.ts';
import type { BenchOptions } from './options.ts';
import { openSubject, type SubjectName } from './subjects.ts';

const RESULTS = fileURLToPath(new URL('../../../bench/results/', import.meta.url));
const WARM_UP_SECONDS = 2;
const RUN_OVERHEAD_SECONDS = 3;
const WITH: SubjectName = 'gigatun';
const WITHOUT: SubjectName = 'gigatun-no-books';

export interface BooksResult {
  readonly report: 'gigatun bench, cost of the books';
  readonly takenAt: string;
  readonly machine: Machine;
  readonly secondsPerRun: number;
  /** CPU-seconds per GB with the books over those without, less 1, of each pair. */
  readonly cost: Summary;
  /** First and third quartile of the pairs. */
  readonly quartiles: readonly [number, number];
  readonly withBooks: Summary;
  readonly withoutBooks: Summary;
}

/** Runs the pairs, prints and writes the answer. Returns the exit status. */
export async function compareBooks(options: BenchOptions, screen: Screen): Promise<number> {
  const { ledgerPairs, seconds } = options;
  const machine = await examineMachine();
  const warning = busyWarning(machine);
  if (warning !== null) screen.write(`${warning}\n`);
  const pairSeconds = 2 * (seconds + WARM_UP_SECONDS + RUN_OVERHEAD_SECONDS);
  screen.write(`${ledgerPairs} pairs, about ${roughDuration(ledgerPairs * pairSeconds)}\n`);
  const pairs: BooksPair[] = [];
  for (let i = 1; i <= ledgerPairs; i++) {
    const phase = showPhase(screen, `pair ${i} of ${ledgerPairs}`, pairSeconds);
    const pair = await runPair(i % 2 === 0, options);
    pairs.push(pair);
    phase.done(`${pair.on.toFixed(3)} with, ${pair.off.toFixed(3)} without: ${percent(costOf(pair))}`);
  }
  const result = booksResult(pairs, machine, seconds);
  screen.write(`\n${describe(result)}\nWritten: ${write(result, ledgerPairs >= 10)}\n`);
  return 0;
}

/** CPU-seconds per GB of one pair. */
export interface BooksPair {
  readonly on: number;
  readonly off: number;
}

export function booksResult(pairs: readonly BooksPair[], machine: Machine, secondsPerRun: number): BooksResult {
  const costs = pairs.map(costOf);
  return {
    report: 'gigatun bench, cost of the books',
    takenAt: new Date().toISOString(),
    machine,
    secondsPerRun,
    cost: summarize(costs),
    quartiles: [percentile(costs, 0.25), percentile(costs, 0.75)],
    withBooks: summarize(pairs.map(({ on }) => on)),
    withoutBooks: summarize(pairs.map(({ off }) => off)),
  };
}

function costOf({ on, off }: BooksPair): number {
  return on / off - 1;
}

async function runPair(offFirst: boolean, options: BenchOptions): Promise<BooksPair> {
  const first = await runFresh(offFirst ? WITHOUT : WITH, options);
  const second = await runFresh(offFirst ? WITH : WITHOUT, options);
  return offFirst ? { on: second, off: first } : { on: first, off: second };
}

/** New processes for each run, since one process's compiled code may by luck be better than another's. */
async function runFresh(name: SubjectName, options: BenchOptions): Promise<number> {
  const lab = new Lab();
  try {
    const subject = await openSubject(lab, name, options);
    try {
      await runTcp(subject.route4, { seconds: WARM_UP_SECONDS });
      return (await measureTcp(subject.route4, { seconds: options.seconds }, subject.pids)).cpuSecondsPerGb;
    } finally {
      await subject.close();
    }
  } finally {
    lab.close();
  }
}

function describe({ cost, quartiles, withBooks, withoutBooks }: BooksResult): string {
  return (
    `The books cost ${percent(cost.median)} of CPU-seconds per GB: median of ${cost.samples.length} pairs, ` +
    `half of them from ${percent(quartiles[0])} to ${percent(quartiles[1])} ` +
    `(medians ${withBooks.median.toFixed(3)} with, ${withoutBooks.median.toFixed(3)} without).`
  );
}

function write(result: BooksResult, isWorthKeeping: boolean): string {
  const directory = isWorthKeeping ? RESULTS : join(RESULTS, 'tmp');
  const file = join(directory, 'latest-books.json');
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return relative(process.cwd(), file);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}
