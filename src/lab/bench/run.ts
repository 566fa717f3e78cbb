/**
 * A bench run: opens all subjects that this machine can run, goes round them, and gives back everything that was measured. What
 * is shown and kept of it is the caller's: `npm run bench` (bench/run.mjs) or `gigatun bench` (src/cli/bench.ts).
 */
import { GigatunError } from '../../errors.ts';
import { defaultCongestion, runTcp } from '../iperf.ts';
import { busyWarning, examineMachine } from '../machine.ts';
import { Lab } from '../namespaces.ts';
import { examinePrivilege, judgePrivilege } from '../privilege.ts';
import { endAllNow } from '../process.ts';
import type { Screen } from '../progress.ts';
import { compareBooks } from './books.ts';
import { toMarkdown } from './markdown.ts';
import { requirePrograms, runnable } from './needs.ts';
import { type BenchOptions, benchUsage, parseBenchOptions } from './options.ts';
import { type BenchResult, costsOf, figuresOf } from './result.ts';
import { soak } from './soak.ts';
import { stageBench } from './stage-report.ts';
import { openSubject, type Subject } from './subjects.ts';
import { readable } from './table.ts';
import { Tour } from './tour.ts';
import { writeResult } from './write.ts';

const WARM_UP_SECONDS = 1;

/** What a bench prints: progress on one screen, results on another, which may be the same. */
export interface BenchScreens {
  readonly progress: Screen;
  readonly results: Screen;
}

/** `npm run bench`: from its arguments to files under bench/results/. Returns the exit status: 1 when a run failed or a byte was wrong. */
export async function runBench(args: readonly string[], screen: Screen): Promise<number> {
  const options = parseBenchOptions(args, 'developer');
  if (options !== 'help' && options.mode === 'compare') {
    const result = await measureSubjects(options, screen);
    const files = writeResult(result, options.complete);
    screen.write(`\n${toMarkdown(result)}\nWritten: ${files.join(', ')}\n`);
    return isFaultless(result) ? 0 : 1;
  }
  return await runMode(options, 'developer', { progress: screen, results: screen });
}

/** `gigatun bench`: the same engine, nothing written. `--json` keeps standard output to the figures. */
export async function runUserBench(args: readonly string[], out: Screen, error: Screen): Promise<number> {
  const options = parseBenchOptions(args, 'user');
  const json = options !== 'help' && options.json;
  return await runMode(options, 'user', { progress: json ? error : out, results: out });
}

async function runMode(
  options: BenchOptions | 'help',
  face: 'developer' | 'user',
  screens: BenchScreens,
): Promise<number> {
  const { progress, results } = screens;
  if (options === 'help') {
    results.write(benchUsage(face));
    return 0;
  }
  switch (options.mode) {
    case 'stages':
      return await stageBench(options, screens);
    case 'books':
      requireRoot();
      return await compareBooks(options, progress);
    case 'soak':
      requireRoot();
      return await soak(options, screens);
    case 'compare': {
      const result = await measureSubjects(options, progress);
      results.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `\n${readable(toMarkdown(result))}`);
      return isFaultless(result) ? 0 : 1;
    }
  }
}

/** Compares the subjects that can run here. Throws GigatunError PERMISSION without root, UNSUPPORTED without the programs it needs. */
export async function measureSubjects(options: BenchOptions, screen: Screen): Promise<BenchResult> {
  requireRoot();
  requirePrograms();
  const { subjects, leftOut } = runnable(options.subjects, screen);
  const chosen = { ...options, subjects };
  const result = await withSubjects(chosen, screen, (opened) => measure(opened, chosen, screen));
  return { ...result, leftOut };
}

/** No run failed and every transfer arrived whole. */
export function isFaultless({ failures, figures }: BenchResult): boolean {
  const transfers = Object.values(figures.integrity ?? {});
  return (
    failures.length === 0 &&
    transfers.every((sum) => sum.corruptedBytes?.most === 0 && sum.intactTransfers?.least === sum.transfers?.most)
  );
}

function requireRoot(): void {
  const privilege = judgePrivilege(examinePrivilege());
  if (privilege.kind === 'own') return;
  const reasons = privilege.kind === 'missing' ? `: ${privilege.reasons.join('; ')}` : '';
  throw new GigatunError(
    'PERMISSION',
    `the bench needs root, since it makes network namespaces and compares on equal terms only there${reasons}. ` +
      'Without root, gigatun bench --stages works: every stage alone, without a network.',
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
    endAllNow(); // a subject that failed to open may have left a program
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
  const own = subjects.find(({ name }) => name === 'gigatun');
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
    leftOut: [],
    figures: figuresOf(tour.runs),
    costs: costsOf(tour.runs),
    books: (await own?.stats?.()) ?? [],
    failures: tour.failures,
  };
}
