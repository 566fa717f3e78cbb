/** A gigatun under measurement: started from a configuration text in a namespace, in the foreground, on some cores. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLI } from '../gigatun-end.ts';
import type { Lab, Namespace } from '../namespaces.ts';
import { type Running, run } from '../process.ts';
import { type Usage, usageOf } from '../usage.ts';

/** 100,000 routes take `ip` some seconds, on any machine. */
const READY_MS = 120_000;
const CLOSE_MS = 20_000;

export interface SubjectOptions {
  /** Interface name, unique in the lab. */
  readonly name: string;
  readonly namespace: Namespace;
  /** The configuration file. */
  readonly text: string;
  /** main.js of another build; null for this one. */
  readonly program: string | null;
  /** Core that the whole program is kept on; null for any. */
  readonly core?: number;
}

export interface Subject {
  readonly pid: number;
  /** From the start of the program to its open control socket. */
  readonly startMs: number;
  /** What its log says of the phases of the start, milliseconds by name. */
  readonly phasesMs: Readonly<Record<string, number>>;
  usage(): Usage;
  /** Runs `gigatun COMMAND NAME OPTIONS` against it; what it printed. */
  ask(command: string, ...options: readonly string[]): Promise<string>;
  /** Ends it; how long that took, milliseconds. */
  close(): Promise<number>;
}

/** Starts it and waits until it serves. Throws GigatunError with its log when it fails. */
export async function openSubject(lab: Lab, options: SubjectOptions): Promise<Subject> {
  const { name, namespace, program, core } = options;
  const cli = program ?? CLI;
  const runDirectory = join(lab.directory, `run-${name}`);
  const file = join(lab.directory, `${name}.conf`);
  mkdirSync(runDirectory, { mode: 0o700, recursive: true });
  writeFileSync(file, options.text, { mode: 0o600 });
  const env = { GIGATUN_RUN_DIR: runDirectory, LOG_LEVEL: 'info' };
  const command = [...pinned(core), process.execPath, cli, 'up', file, '--foreground'];
  const startedMs = performance.now();
  const running = namespace.start(command, { env, timeoutMs: Number.POSITIVE_INFINITY });
  await running.waitUntil(() => existsSync(join(runDirectory, `${name}.sock`)), READY_MS, 'open its control socket');
  return {
    pid: running.pid,
    startMs: performance.now() - startedMs,
    phasesMs: phasesOf(running),
    usage: () => usageOf(running.pid),
    ask: async (word, ...more) => (await run([process.execPath, cli, word, name, ...more], { env })).stdout,
    close: () => close(running),
  };
}

/** The command that keeps a program on one core. */
export function pinned(core: number | undefined): string[] {
  return core === undefined ? [] : ['taskset', '-c', String(core)];
}

function phasesOf(running: Running): Record<string, number> {
  const line = / up .*Ms=.*/.exec(running.output)?.[0] ?? '';
  return Object.fromEntries([...line.matchAll(/(\w+)Ms=(\d+)/g)].map(([, phase, ms]) => [phase, Number(ms)]));
}

async function close(running: Running): Promise<number> {
  const startedMs = performance.now();
  running.signal('SIGTERM');
  const late = setTimeout(() => void running.stop(), CLOSE_MS);
  await running.finished;
  clearTimeout(late);
  return performance.now() - startedMs;
}
