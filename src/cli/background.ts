/**
 * The background form of `gigatun up`: starts this program again, detached and with its output in a log file, passes on
 * what it says while it starts, and ends when it is ready or has failed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { LoadedConfig } from '../control/config-load.ts';
import type { TunnelConfig } from '../control/config-types.ts';
import { isAlive } from '../control/control-server.ts';
import { logPath, prepareRunDirectory, runDirectory, socketPath } from '../control/run-directory.ts';
import { asGigatunError } from '../control/system-error.ts';
import { GigatunError } from '../errors.ts';
import { heapOptions } from '../memory/budget.ts';
import { EXIT_OK } from './exit-code.ts';
import { say } from './print.ts';
import { parseStartMessage, READY_FD, READY_FD_VARIABLE } from './start-channel.ts';
import type { UpOptions } from './up.ts';

/** So much of the log's end is shown when the start failed without a word. */
const LOG_LINES_SHOWN = 10;

/**
 * Starts a tunnel in the background and waits until it is ready.
 *
 * @throws GigatunError what the background process said.
 */
export async function startInBackground(loaded: LoadedConfig, options: UpOptions): Promise<number> {
  const directory = resolve(runDirectory());
  prepareRunDirectory(directory);
  if (await isAlive(socketPath(directory, loaded.name))) {
    throw new GigatunError('BUSY', `${loaded.name} is up already; end it with: gigatun down ${loaded.name}`);
  }
  const log = logPath(directory, loaded.name);
  const child = spawnDetached(loaded, options, directory, log);
  const passOn = (): void => {
    child.kill('SIGTERM');
  };
  process.on('SIGINT', passOn).on('SIGTERM', passOn);
  await untilReady(child, log);
  child.unref();
  say(`gigatun: ${loaded.name} is up`);
  return EXIT_OK;
}

function spawnDetached(
  { path, config }: LoadedConfig,
  options: UpOptions,
  directory: string,
  log: string,
): ChildProcess {
  const flags = [
    ...(options.lanes === undefined ? [] : ['--lanes', `${options.lanes}`]),
    ...(options.memory === undefined ? [] : ['--memory', `${options.memory / 1e6}`]),
    ...(options.books === false ? ['--no-books'] : []),
    ...(options.dropPrivileges === false || options.disableDropPrivileges ? ['--no-drop-privileges'] : []),
    ...(options.mtu === undefined ? [] : ['--mtu', `${options.mtu}`]),
  ];
  const script = process.argv[1] ?? '';
  const env = { ...process.env, [READY_FD_VARIABLE]: `${READY_FD}`, GIGATUN_RUN_DIR: directory };
  const logFd = openLog(log);
  try {
    return spawn(
      process.execPath,
      [...process.execArgv, ...heapFlags(config, options), script, 'up', path, '--foreground', ...flags],
      {
        cwd: '/',
        detached: true,
        env,
        stdio: ['ignore', logFd, logFd, 'pipe'],
      },
    );
  } finally {
    closeSync(logFd);
  }
}

/** Under a cap, the main thread's heap has its limit too: it can only be set when a process starts. */
function heapFlags({ settings, peers }: TunnelConfig, options: UpOptions): string[] {
  const capBytes = options.memory ?? settings.memoryCapBytes;
  const lanes = options.lanes ?? settings.lanes ?? 1;
  return capBytes === null ? [] : heapOptions(capBytes, { lanes, peers: peers.length });
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
async function untilReady(child: ChildProcess, log: string): Promise<void> {
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
    `the background process ended before it was ready (${how}); its log ${log} ends:\n${tailOf(log)}`,
  );
}

function tailOf(log: string): string {
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  return lines.slice(-LOG_LINES_SHOWN).join('\n');
}
