/**
 * The background form of `gigatun up` and of `gigatun IFACE`: starts this program again, detached, passes on what it says
 * while it starts, and ends when it is ready or has failed. What is needed only then is loaded while that one starts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { logPath, prepareRunDirectory, runDirectory, socketPath } from '../control/run-directory.ts';
import { asGigatunError } from '../control/system-error.ts';
import { READY_FD, READY_FD_VARIABLE } from './start-channel.ts';

export interface BackgroundStart {
  /** Interface name. */
  readonly name: string;
  /** For node. */
  readonly nodeArgs: readonly string[];
  /** For this program; with them it stays in the foreground. */
  readonly args: readonly string[];
  /** Where its stderr goes: to a file of the run directory, emptied first, or where this process's goes. */
  readonly log: 'file' | 'stderr';
  readonly env?: Readonly<Record<string, string>>;
  /** Open descriptors that it gets from number FIRST_PASSED_FD on. */
  readonly passedFds?: readonly number[];
}

/** First of the descriptors that are passed on. */
export const FIRST_PASSED_FD: number = READY_FD + 1;

/**
 * Starts this program in the background and waits until it is ready.
 *
 * @throws GigatunError what the background process said; BUSY when the interface is up already.
 */
export async function startInBackground(start: BackgroundStart): Promise<void> {
  const directory = resolve(runDirectory());
  prepareRunDirectory(directory);
  // Before the log is emptied: it may be of one that runs.
  if (existsSync(socketPath(directory, start.name)))
    await (await import('../control/name-wait.ts')).untilNameFree(directory, start.name);
  const log = start.log === 'file' ? logPath(directory, start.name) : null;
  const child = spawnDetached(start, directory, log);
  const exited = new Promise<string>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('exit', (status, signal) => done(signal ?? `exit code ${status}`));
  });
  const passOn = (): void => {
    child.kill('SIGTERM');
  };
  process.on('SIGINT', passOn).on('SIGTERM', passOn);
  await (await import('./start-wait.ts')).untilReady(child.stdio[READY_FD] as Readable, exited, log);
  child.unref();
}

function spawnDetached(start: BackgroundStart, directory: string, log: string | null): ChildProcess {
  const script = process.argv[1] ?? '';
  const args = [...process.execArgv, ...start.nodeArgs, script, ...start.args];
  const env = { ...process.env, ...start.env, [READY_FD_VARIABLE]: `${READY_FD}`, GIGATUN_RUN_DIR: directory };
  const logFd = log === null ? 2 : openLog(log);
  try {
    const stdio = ['ignore', logFd, logFd, 'pipe', ...(start.passedFds ?? [])] as const;
    return spawn(process.execPath, args, { cwd: '/', detached: true, env, stdio: [...stdio] });
  } finally {
    if (log !== null) closeSync(logFd);
  }
}

/** Starts each run with an empty log: it lies in memory. */
function openLog(log: string): number {
  try {
    return openSync(log, 'w', 0o600);
  } catch (error) {
    throw asGigatunError(error, `open ${log}`);
  }
}
