/** The rounds of a bench: each test, each subject, again and again, so that what the machine does meanwhile meets all alike. */
import { setTimeout as delay } from 'node:timers/promises';
import { roughDuration, type Screen, showPhase } from '../progress.ts';
import { significant, summarize } from '../statistics.ts';
import { usageOfAll } from '../usage.ts';
import { costBetween } from './cost.ts';
import type { BenchOptions } from './options.ts';
import type { BenchFailure, Run, SubjectFacts } from './result.ts';
import type { Subject, SubjectName } from './subjects.ts';
import { METRICS, type Sample, TESTS, type TestId } from './tests.ts';

const SETTLE_MS = 200;
const ATTEMPTS = 2;

/** The rounds of a run, and what they brought. */
export class Tour {
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
    const before = (await subject.stats?.()) ?? null;
    const sample = await this.#attempt(test, subject);
    phase.done(sample === null ? '–' : `${significant(sample[headline] ?? Number.NaN)} ${METRICS[headline].unit}`);
    const after = (await subject.stats?.()) ?? null;
    const cost = before === null || after === null ? null : costBetween(before, after);
    if (sample !== null) this.runs.push({ test, subject: subject.name, sample, cost });
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
