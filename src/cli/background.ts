/**
 * The background form of `gigatun up` and of `gigatun IFACE`: starts this program again, detached, passes on what it says
 * while it starts, and ends when it is ready or has failed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { untilNameFree } from '../control/name-wait.ts';
import { logPath, prepareRunDirectory, runDirectory } from '../control/run-directory.ts';
import { asGigatunError } from '../control/system-error.ts';
import { GigatunError } from '../errors.ts';
import { say } from './print.ts';
import { parseStartMessage, READY_FD, READY_FD_VARIABLE } from './start-channel.ts';

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

/** Behind standard input, output, error and the pipe. */
export const FIRST_PASSED_FD: number = READY_FD + 1;

/** So much of the log's end is shown when the start failed without a word. */
const LOG_LINES_SHOWN = 10;

/**
 * Starts this program in the background and waits until it is ready.
 *
 * @throws GigatunError what the background process said; BUSY when the interface is up already.
 */
export async function startInBackground(start: BackgroundStart): Promise<void> {
  const directory = resolve(runDirectory());
  prepareRunDirectory(directory);
  // Before the log is emptied: it may be of one that runs.
  await untilNameFree(directory, start.name);
  const log = start.log === 'file' ? logPath(directory, start.name) : null;
  const child = spawnDetached(start, directory, log);
  const passOn = (): void => {
    child.kill('SIGTERM');
  };
  process.on('SIGINT', passOn).on('SIGTERM', passOn);
  await untilReady(child, log);
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

/** Resolves at `ready`; throws what the child failed with, or, when it died without a word, the end of its log. */
async function untilReady(child: ChildProcess, log: string | null): Promise<void> {
  const exited = new Promise<string>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('exit', (status, signal) => done(signal ?? `exit code ${status}`));
  });
  const pipe = child.stdio[READY_FD];
  for await (const line of createInterface({ input: pipe as Readable })) {
    const message = parseStartMessage(line);
    if (message?.kind === 'report') say(message.text);
    if (message?.kind === 'ready') return;
    if (message?.kind === 'error') {
      await exited;
      throw message.error;
    }
  }
  const how = await exited;
  throw new GigatunError(
    'GONE',
    `the background process ended before it was ready (${how})${log === null ? '' : `; its log ${log} ends:\n${tailOf(log)}`}`,
  );
}

function tailOf(log: string): string {
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  return lines.slice(-LOG_LINES_SHOWN).join('\n');
}
