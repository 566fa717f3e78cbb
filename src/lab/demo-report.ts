/** The demo's figures as one value for `--json`, and the answer that they give. */
import { type Dearest, dearestOf, readStats } from './gigatun-stats.ts';
import type { Machine } from './machine.ts';
import type { TcpCost } from './measure.ts';
import type { Usage } from './usage.ts';

export interface DemoFigures {
  readonly machine: Machine;
  readonly lanes: number;
  readonly seconds: number;
  readonly ipv6: boolean;
  /** a to b, b to a. */
  readonly phases: readonly TcpCost[];
  /** `gigatun stats --json` of both ends, untouched. */
  readonly stats: readonly unknown[];
  readonly usages: readonly Usage[];
}

export interface DemoReport {
  readonly report: 'gigatun demo';
  readonly takenAt: string;
  readonly machine: Machine;
  readonly lanes: number;
  readonly secondsPerPhase: number;
  readonly ipv6: boolean;
  readonly tcp: { readonly aToB: TcpCost | null; readonly bToA: TcpCost | null };
  readonly answer: Answer;
  readonly ends: readonly { readonly name: string; readonly usage: Usage | null; readonly stats: unknown }[];
}

export interface Answer {
  /** The slower of the two directions. */
  readonly gigabitsPerSecond: number;
  readonly cpuSecondsPerGb: number;
  readonly dearest: Dearest | null;
  readonly residentBytes: number;
}

export function demoReport(figures: DemoFigures): DemoReport {
  const [aToB = null, bToA = null] = figures.phases;
  return {
    report: 'gigatun demo',
    takenAt: new Date().toISOString(),
    machine: figures.machine,
    lanes: figures.lanes,
    secondsPerPhase: figures.seconds,
    ipv6: figures.ipv6,
    tcp: { aToB, bToA },
    answer: answerOf(figures),
    ends: figures.stats.map((stats, index) => ({
      name: 'ab'.charAt(index),
      usage: figures.usages[index] ?? null,
      stats,
    })),
  };
}

export function answerOf({ phases, stats, usages }: Pick<DemoFigures, 'phases' | 'stats' | 'usages'>): Answer {
  const bytes = phases.reduce((sum, phase) => sum + phase.bytes, 0);
  const cpuSeconds = phases.reduce((sum, phase) => sum + phase.cpuSeconds, 0);
  return {
    gigabitsPerSecond: Math.min(...phases.map((phase) => phase.gigabitsPerSecond)),
    cpuSecondsPerGb: cpuSeconds / (bytes / 1e9),
    dearest: dearestOf(stats.map(readStats)),
    residentBytes: usages.reduce((sum, usage) => sum + usage.residentBytes, 0),
  };
}

/** Three lines of figures and the one sentence. */
export function formatAnswer({ tcp, lanes, answer }: DemoReport): string {
  const rate = (cost: TcpCost | null) => `${(cost?.gigabitsPerSecond ?? 0).toFixed(2)} Gbit/s`;
  return [
    `throughput            a to b ${rate(tcp.aToB)}, b to a ${rate(tcp.bToA)}`,
    `CPU-seconds per GB    ${answer.cpuSecondsPerGb.toFixed(2)}, both ends together`,
    `resident memory       ${Math.round(answer.residentBytes / 1e6)} MB, both ends together`,
    '',
    `1 Gbit/s in userspace? ${sentence(answer, lanes)}`,
  ].join('\n');
}

function sentence({ gigabitsPerSecond, dearest }: Answer, lanes: number): string {
  const ends = `${lanes === 1 ? 'one lane' : `${lanes} lanes`} at each end and one TCP stream`;
  const figure = `${gigabitsPerSecond.toFixed(2)} Gbit/s with ${ends}, in the slower direction`;
  const verdict = gigabitsPerSecond >= 1 ? `Yes: ${figure}` : `Not here and now: ${figure}`;
  return `${verdict}; the dearest activity is ${describeDearest(dearest)}.`;
}

function describeDearest(dearest: Dearest | null): string {
  if (dearest === null) return 'unknown, since no time was booked';
  const share = `${Math.round(dearest.shareOfWork * 100)} % of the work`;
  if (dearest.microseconds === null) return `${dearest.name} with ${share}`;
  return `${dearest.name} with ${share}, ${dearest.microseconds.toFixed(3)} µs per ${dearest.per}`;
}
