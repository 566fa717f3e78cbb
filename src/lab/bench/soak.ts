/**
 * `--soak`: full load for minutes or hours, the direction changing each minute; throughput by the minute, and whether memory stays
 * flat. Each subject is soaked alone, one after the other.
 */
import { examineMachine, type Machine } from '../machine.ts';
import { measureTcp } from '../measure.ts';
import { Lab } from '../namespaces.ts';
import { endAllNow } from '../process.ts';
import { showPhase } from '../progress.ts';
import { significant } from '../statistics.ts';
import { usageOf } from '../usage.ts';
import { requirePrograms, runnable } from './needs.ts';
import type { BenchOptions } from './options.ts';
import type { BenchScreens } from './run.ts';
import { openSubject, type Subject, type SubjectName } from './subjects.ts';
import { readable, section, type Table } from './table.ts';

const STREAMS = 4;
const LOAD_SECONDS = 59;
const MINUTE_SECONDS = 60;
const SAMPLE_MS = 1_000;
/** Growth over a soak, less its first minute, below which memory counts as flat. */
const FLAT_BYTES = 2e6;

export interface SoakMinute {
  readonly minute: number;
  readonly reverse: boolean;
  readonly gigabitsPerSecond: number;
  /** Resident memory of each end at its highest in this minute, bytes. */
  readonly residentBytes: readonly number[];
}

export interface SoakResult {
  readonly report: 'gigatun bench, soak';
  readonly takenAt: string;
  readonly machine: Machine;
  readonly minutes: number;
  readonly subjects: readonly {
    readonly name: SubjectName;
    readonly version: string;
    readonly minutes: SoakMinute[];
  }[];
}

/** Runs, prints, and returns the exit status: 1 when memory of a gigatun grew. */
export async function soak(options: BenchOptions, { progress, results }: BenchScreens): Promise<number> {
  requirePrograms();
  const chosen = runnable(options.subjects, progress).subjects;
  const machine = await examineMachine();
  const subjects: { name: SubjectName; version: string; minutes: SoakMinute[] }[] = [];
  for (const name of chosen) subjects.push(await soakSubject(name, options, progress));
  const takenAt = new Date().toISOString();
  const result: SoakResult = {
    report: 'gigatun bench, soak',
    takenAt,
    machine,
    minutes: options.soakMinutes,
    subjects,
  };
  results.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `\n${readable(soakMarkdown(result))}`);
  return subjects.every(({ name, minutes }) => name !== 'gigatun' || growthOf(minutes) <= FLAT_BYTES) ? 0 : 1;
}

export function soakMarkdown({ machine, takenAt, minutes, subjects }: SoakResult): string {
  const head =
    `# Soak of ${minutes} min, ${takenAt.slice(0, 16).replace('T', ' ')} UTC\n\n` +
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; ${STREAMS} TCP streams, the direction ` +
    'changing each minute.';
  const tables = subjects.map(({ name, version, minutes: all }) =>
    section(`${name}, ${version}`, tableOf(all), explainSoak(name, all)),
  );
  return `${[head, ...tables].join('\n\n')}\n`;
}

/** Growth of the end that grew more, from the second minute (the first fills caches and compiles) to the last; bytes. */
export function growthOf(minutes: readonly SoakMinute[]): number {
  const first = minutes[Math.min(1, minutes.length - 1)];
  const last = minutes.at(-1);
  if (first === undefined || last === undefined) return 0;
  return Math.max(0, ...last.residentBytes.map((bytes, end) => bytes - (first.residentBytes[end] ?? bytes)));
}

export function explainSoak(name: string, minutes: readonly SoakMinute[]): string[] {
  const growth = growthOf(minutes);
  const rates = minutes.map(({ gigabitsPerSecond }) => gigabitsPerSecond);
  const [least, most] = [Math.min(...rates), Math.max(...rates)];
  const memory =
    minutes.length < 3
      ? 'Memory was watched too briefly to call it flat'
      : growth <= FLAT_BYTES
        ? 'Memory is flat'
        : 'Memory GROWS';
  return [
    `${memory}: ${significant(growth / 1e6)} MB more in the last minute than in the second, at the end of ${name} that grew more.`,
    `Throughput was ${significant(least)} to ${significant(most)} Gbit/s.`,
  ];
}

function tableOf(minutes: readonly SoakMinute[]): Table {
  const rows = minutes.map(({ minute, reverse, gigabitsPerSecond, residentBytes }) => [
    String(minute),
    reverse ? 'b to a' : 'a to b',
    significant(gigabitsPerSecond),
    ...residentBytes.map((bytes) => significant(bytes / 1e6)),
  ]);
  return [['minute', 'direction', 'Gbit/s', 'RSS of a, MB', 'RSS of b, MB'], ...rows];
}

async function soakSubject(
  name: SubjectName,
  options: BenchOptions,
  progress: BenchScreens['progress'],
): Promise<{ name: SubjectName; version: string; minutes: SoakMinute[] }> {
  const lab = new Lab();
  try {
    const subject = await openSubject(lab, name, options);
    try {
      const minutes: SoakMinute[] = [];
      for (let minute = 1; minute <= options.soakMinutes; minute += 1) {
        const phase = showPhase(progress, `${name}: minute ${minute} of ${options.soakMinutes}`, MINUTE_SECONDS);
        const done = await soakMinute(subject, minute);
        minutes.push(done);
        phase.done(`${significant(done.gigabitsPerSecond)} Gbit/s, ${megabytes(done.residentBytes)}`);
      }
      return { name, version: subject.version, minutes };
    } finally {
      await subject.close();
    }
  } finally {
    endAllNow();
    lab.close();
  }
}

async function soakMinute(subject: Subject, minute: number): Promise<SoakMinute> {
  const residentBytes = subject.pids.map(() => 0);
  const sample = () => {
    for (const [end, pid] of subject.pids.entries()) {
      residentBytes[end] = Math.max(residentBytes[end] ?? 0, usageOf(pid).residentBytes);
    }
  };
  const timer = setInterval(sample, SAMPLE_MS);
  const reverse = minute % 2 === 0;
  try {
    sample();
    const load = { seconds: LOAD_SECONDS, streams: STREAMS, reverse };
    const { gigabitsPerSecond } = await measureTcp(subject.route4, load, subject.pids);
    return { minute, reverse, gigabitsPerSecond, residentBytes };
  } finally {
    clearInterval(timer);
  }
}

function megabytes(residentBytes: readonly number[]): string {
  return residentBytes.length === 0
    ? 'no processes'
    : `${residentBytes.map((bytes) => significant(bytes / 1e6)).join(' and ')} MB`;
}
