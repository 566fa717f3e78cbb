/** The machine that figures were measured on: without it they mean nothing. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** Above this share of all cores busy before the start, figures of a run are not to be trusted. */
const BUSY_SHARE_MAX = 0.1;

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  /** Load averages over 1, 5 and 15 minutes at the start. */
  readonly loadAverages: readonly number[];
  /** Share (0 to 1) of all cores that was busy, stolen by the host included, in the second before the start. */
  readonly busyShare: number;
}

/** Looks at the machine for one second. */
export async function examineMachine(): Promise<Machine> {
  const before = readTicks();
  await delay(1_000);
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    loadAverages: loadavg().map((load) => Math.round(load * 100) / 100),
    busyShare: busyShare(before, readTicks()),
  };
}

/** A sentence for a machine that has other work, or null. */
export function busyWarning(machine: Machine): string | null {
  if (machine.busyShare <= BUSY_SHARE_MAX) return null;
  const percent = Math.round(machine.busyShare * 100);
  return `The machine was ${percent} % busy before the first run: these figures say little. Repeat them on a quiet one.`;
}

/** A short name of the kind of machine, for file names: 'amd-epyc-2c'. */
export function machineKind({ cpu, cores }: Machine): string {
  const words = cpu
    .replace(/\((r|tm)\)|\bcpu\b|\bprocessor\b|@.*|\d+-core/gi, ' ')
    .toLowerCase()
    .match(/[a-z0-9-]+/g);
  return `${(words ?? ['unknown']).slice(0, 3).join('-')}-${cores}c`;
}

interface Ticks {
  readonly busy: number;
  readonly all: number;
}

/** Difference of two readings of /proc/stat. */
export function busyShare(before: Ticks, after: Ticks): number {
  const all = after.all - before.all;
  return all === 0 ? 0 : (after.busy - before.busy) / all;
}

/** First line of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)). */
export function parseTicks(text: string): Ticks {
  const fields = (/^cpu +(.*)$/m.exec(text)?.[1] ?? '').split(' ').slice(0, 8).map(Number);
  const all = fields.reduce((sum, ticks) => sum + ticks, 0);
  return { all, busy: all - (fields[3] ?? 0) - (fields[4] ?? 0) };
}

function readTicks(): Ticks {
  return parseTicks(readFileSync('/proc/stat', 'utf8'));
}
