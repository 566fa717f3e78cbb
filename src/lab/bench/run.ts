/**
 * A bench run: opens all subjects, then goes round: each test, each subject, again and again, so that what the machine does
 * meanwhile meets all alike. Writes the result as JSON, Markdown and SVG.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { GigatunError } from '../../errors.ts';
import { defaultCongestion, runTcp } from '../iperf.ts';
import { busyWarning, examineMachine } from '../machine.ts';
import { Lab } from '../namespaces.ts';
import { examinePrivilege, judgePrivilege } from '../privilege.ts';
import { roughDuration, type Screen, showPhase } from '../progress.ts';
import { significant, summarize } from '../statistics.ts';
import { usageOfAll } from '../usage.ts';
import { compareBooks } from './books.ts';
import { toMarkdown } from './markdown.ts';
import { BENCH_USAGE, type BenchOptions, parseBenchOptions } from './options.ts';
import { type BenchFailure, type BenchResult, figuresOf, type Run, type SubjectFacts } from './result.ts';
import { openSubject, type Subject, type SubjectName } from './subjects.ts';
import { METRICS, type Sample, TESTS, type TestId } from './tests.ts';
import { writeResult } from './write.ts';

const WARM_UP_SECONDS = 1;
const SETTLE_MS = 200;
const ATTEMPTS = 2;

/** Runs a bench from its command-line arguments. Returns the exit status: 1 when a run failed or a byte was wrong. */
export async function runBench(args: readonly string[], screen: Screen): Promise<number> {
  const options = parseBenchOptions(args);
  if (options === 'help') {
    screen.write(BENCH_USAGE);
    return 0;
  }
  const privilege = judgePrivilege(examinePrivilege());
  if (privilege.kind !== 'own')
    throw new GigatunError('PERMISSION', 'the bench needs root: it compares on equal terms only there');
  if (options.ledgerPairs > 0) return compareBooks(options, screen);
  const result = await withSubjects(options, screen, (subjects) => measure(subjects, options, screen));
  const files = writeResult(result, options.complete);
  screen.write(`\n${toMarkdown(result)}\nWritten: ${files.join(', ')}\n`);
  return isFaultless(result) ? 0 : 1;
}

/** No run failed and every transfer arrived whole. */
export function isFaultless({ failures, figures }: BenchResult): boolean {
  const transfers = Object.values(figures.integrity ?? {});
  return (
    failures.length === 0 &&
    transfers.every((sum) => sum.corruptedBytes?.most === 0 && sum.intactTransfers?.least === sum.transfers?.most)
  );
}

async function withSubjects<T>(
  options: BenchOptions,
  screen: Screen,
  action: (subjects: readonly Subject[]) => Promise<T>,
): Promise<T> {
  const lab = new Lab();
  const subjects: Subject[] = [];
  try {
    for (const name of options.subjects) {
      const subject = await openSubject(lab, name, options);
      subjects.push(subject);
      await warmUp(subject);
      screen.write(`ready: ${subject.title}, ${subject.version}\n`);
    }
    return await action(subjects);
  } finally {
    await Promise.all(subjects.map((subject) => subject.close()));
    lab.close();
  }
}

/** Just-in-time compilers, caches and congestion windows get the same time everywhere. */
async function warmUp(subject: Subject): Promise<void> {
  for (const reverse of [false, true]) await runTcp(subject.route4, { seconds: WARM_UP_SECONDS, reverse });
}

async function measure(subjects: readonly Subject[], options: BenchOptions, screen: Screen): Promise<BenchResult> {
  const machine = await examineMachine();
  const warning = busyWarning(machine);
  if (warning !== null) screen.write(`${warning}\n`);
  const tour = new Tour(subjects, options, screen);
  await tour.run();
  const books = await Promise.all(subjects.map(async (subject) => (await subject.stats?.()) ?? []));
  return {
    report: 'gigatun bench',
    takenAt: new Date().toISOString(),
    machine,
    conditions: {
      secondsPerLoad: options.seconds,
      repeats: options.repeats,
      congestion: defaultCongestion() ?? "the kernel's default",
      outerMtu: 1500,
      innerMtu: 1420,
      lanes: options.lanes,
    },
    warnings: warning === null ? [] : [warning],
    subjects: subjects.map((subject) => tour.factsOf(subject)),
    figures: figuresOf(tour.runs),
    books: books.flat(),
    failures: tour.failures,
  };
}

/** The rounds of a run, and what they brought. */
class Tour {
  readonly runs: Run[] = [];
  readonly failures: BenchFailure[] = [];
  readonly #subjects: readonly Subject[];
  readonly #options: BenchOptions;
  readonly #screen: Screen;
  readonly #resident = new Map<SubjectName, number[]>();
  readonly #startedMs = performance.now();
  #estimatedSecondsDone = 0;

  constructor(subjects: readonly Subject[], options: BenchOptions, screen: Screen) {
    this.#subjects = subjects;
    this.#options = options;
    this.#screen = screen;
  }

  async run(): Promise<void> {
    const { tests, repeats } = this.#options;
    for (let round = 1; round <= repeats; round++) {
      this.#screen.write(`\nround ${round} of ${repeats}, about ${roughDuration(this.#secondsLeft())} left\n`);
      for (const test of tests) for (const subject of this.#subjects) await this.#runOne(test, subject);
      for (const subject of this.#subjects) this.#noteMemory(subject);
    }
  }

  factsOf({ name, title, version }: Subject): SubjectFacts {
    const resident = this.#resident.get(name);
    return { name, title, version, residentBytes: resident === undefined ? null : summarize(resident) };
  }

  async #runOne(test: TestId, subject: Subject): Promise<void> {
    const { title, estimate, headline } = TESTS[test];
    const seconds = estimate(this.#options.seconds);
    const phase = showPhase(this.#screen, `${title}: ${subject.name}`, seconds);
    const sample = await this.#attempt(test, subject);
    phase.done(sample === null ? '–' : `${significant(sample[headline] ?? Number.NaN)} ${METRICS[headline].unit}`);
    if (sample !== null) this.runs.push({ test, subject: subject.name, sample });
    this.#estimatedSecondsDone += seconds;
    await delay(SETTLE_MS);
  }

  /** Control connections can starve under a flood: a failed run is repeated once before it counts as failed. */
  async #attempt(test: TestId, subject: Subject): Promise<Sample | null> {
    let message = '';
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return await TESTS[test].run(subject, this.#options.seconds);
      } catch (error) {
        message = error instanceof Error ? error.message : String(error);
        await delay(1_000);
      }
    }
    this.failures.push({ test, subject: subject.name, message });
    this.#screen.write(`${subject.name}, ${test}: ${message}\n${subject.log()}\n`);
    return null;
  }

  #noteMemory(subject: Subject): void {
    if (subject.pids.length === 0) return;
    const samples = this.#resident.get(subject.name) ?? [];
    samples.push(usageOfAll(subject.pids).residentBytes);
    this.#resident.set(subject.name, samples);
  }

  /** From the estimates, corrected by how they held so far. */
  #secondsLeft(): number {
    const { tests, repeats, seconds } = this.#options;
    const runSeconds = (test: TestId) => TESTS[test].estimate(seconds) + SETTLE_MS / 1_000;
    const all = tests.reduce((sum, test) => sum + runSeconds(test), 0) * repeats * this.#subjects.length;
    const done = this.#estimatedSecondsDone;
    const correction = done === 0 ? 1 : (performance.now() - this.#startedMs) / 1_000 / done;
    return (all - done) * correction;
  }
}
