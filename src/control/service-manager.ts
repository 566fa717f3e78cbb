/**
 * Tells a service manager that is waiting (systemd, `Type=notify`) how this process is. Its socket is a datagram socket,
 * which Node.js does not open, so the manager's own program `systemd-notify` says it; that is a child of this process, for
 * which the unit needs `NotifyAccess=all`. Without NOTIFY_SOCKET nobody waits, and nothing happens.
 */
import { execFile } from 'node:child_process';
import type { Logger } from './log.ts';

const VARIABLE = 'NOTIFY_SOCKET';
const PROGRAM = 'systemd-notify';
/** The program waits until the manager has read what it said. */
const TIME_LIMIT_MS = 10_000;

export interface ServiceManager {
  /** The start is over. */
  ready(status: string): Promise<void>;
  /** A reload has begun. */
  reloading(): Promise<void>;
  /** It is over, however it went. */
  reloaded(): Promise<void>;
  /** The end has begun: what is told later is not passed on. */
  stopping(): Promise<void>;
}

/** The manager of this process. Forgets the variable, so that commands of hooks do not inherit it. */
export function openServiceManager(log: Logger): ServiceManager {
  const socket = process.env[VARIABLE] ?? '';
  delete process.env[VARIABLE];
  let last: Promise<void> = Promise.resolve();
  let isStopping = false;
  const tell = (...words: readonly string[]): Promise<void> => {
    if (socket !== '' && !isStopping) last = last.then(() => notify(socket, words, log));
    return last;
  };
  return {
    ready: (status) => tell('--ready', `--status=${status}`),
    reloading: () => tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`),
    reloaded: () => tell('READY=1'),
    stopping: () => {
      const told = tell('STOPPING=1');
      isStopping = true;
      return told;
    },
  };
}

/** A manager that hears nothing ends the process when its patience is over: the log says why. */
function notify(socket: string, words: readonly string[], log: Logger): Promise<void> {
  const options = { env: { ...process.env, [VARIABLE]: socket }, timeout: TIME_LIMIT_MS };
  return new Promise((resolve) => {
    execFile(PROGRAM, words, options, (error) => {
      if (error !== null) log.error(`the service manager was not told ${words[0]}`, { error: error.message });
      resolve();
    });
  });
}
