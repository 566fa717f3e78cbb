/**
 * The life of a process that runs a tunnel: it starts it, says when it is ready, stays until it ends by itself or is told
 * to end, and turns how it ended into an exit code. `up.ts` and `daemon.ts` say what is started; everything else is here.
 */
import { createLogger, type LogFields, type Logger, type LogLevel, logLevelOf } from '../control/log.ts';
import { openServiceManager, type ServiceManager } from '../control/service-manager.ts';
import { asGigatunError, messageOf } from '../control/system-error.ts';
import type { TunnelEnd } from '../control/tunnel.ts';
import { GigatunError } from '../errors.ts';
import { EXIT_FAILURE, EXIT_OK, exitCodeOf } from './exit-code.ts';
import { type HangUp, onHangUp } from './hang-up.ts';
import { say } from './print.ts';
import { releaseMemory } from './release-memory.ts';
import { openStartChannel, type StartChannel } from './start-channel.ts';

/** What is served. */
export interface Service {
  /** Interface name. */
  readonly name: string;
  /** Of the line that tells that it is up. */
  readonly fields: LogFields;
  /** Resolves when everything of it is gone. */
  readonly closed: Promise<TunnelEnd>;
  /** Never rejects. */
  close(end: TunnelEnd): Promise<void>;
  /** Reads its file again, for SIGHUP; absent where there is none. Never rejects. */
  reload?(): Promise<void>;
}

/** What a start gets. */
export interface ServiceStart {
  readonly channel: StartChannel;
  readonly log: Logger;
  readonly manager: ServiceManager;
  /** Ends the start, or what it has started; its reason says why. */
  readonly signal: AbortSignal;
  /** Somebody has no patience: what only waits on the way down is to be left out. */
  readonly force: AbortSignal;
}

export interface LogLevels {
  readonly foreground: LogLevel;
  readonly background: LogLevel;
}

/** A terminal and a program around this one may both pass on one Ctrl-C: within this time, two signals are one. */
const ECHO_LIMIT_MS = 500;
/** How long a broken program, or one that is told twice to end, may take to clean up. */
const BROKEN_LIMIT_MS = 10_000;
/** How long this process may live on when everything is closed. */
const LINGER_LIMIT_MS = 2_000;

/**
 * Runs a service from its start to its end.
 *
 * @param levels of the log, where LOG_LEVEL names none.
 * @returns the exit code; everything has been said.
 * @throws what the start failed with, where no parent waits to hear it.
 */
export async function serve(levels: LogLevels, start: (request: ServiceStart) => Promise<Service>): Promise<number> {
  const channel = openStartChannel();
  const stop = new AbortController();
  const force = new AbortController();
  const hangUp = stopOnSignals(stop, force);
  try {
    const level = channel.background ? levels.background : levels.foreground;
    const log = createLogger(logLevelOf(process.env.LOG_LEVEL, level, channel.report));
    const manager = openServiceManager(log);
    stopWhenBroken(stop, log);
    const service = await start({ channel, log, manager, signal: stop.signal, force: force.signal });
    return await stay(service, { manager, channel, log, signal: stop.signal, hangUp });
  } catch (error) {
    if (!channel.fail(error)) throw error;
    return exitCodeOf(error);
  } finally {
    setTimeout(() => process.exit(), LINGER_LIMIT_MS).unref();
  }
}

interface StayTools {
  readonly manager: ServiceManager;
  readonly channel: StartChannel;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly hangUp: HangUp;
}

async function stay(service: Service, { manager, channel, log, signal, hangUp }: StayTools): Promise<number> {
  const { name } = service;
  closeWhenStopped(service, manager, signal);
  log.info('up', { name, ...service.fields });
  channel.ready();
  void manager.ready(`${name} is up`);
  releaseMemory();
  hangUp.ready(service.reload === undefined ? null : () => service.reload?.());
  const { reason, error } = await service.closed;
  log.info('down', { name, reason });
  if (error === null) return EXIT_OK;
  log.error(error.message, { name });
  if (!channel.background) say(`gigatun: ${name} ended: ${error.message}`);
  return EXIT_FAILURE;
}

/**
 * SIGTERM and SIGINT ask for an end, and SIGHUP may (`hang-up.ts`); asking again ends the hooks of the way down, too, and
 * limits the time of all.
 */
function stopOnSignals(stop: AbortController, force: AbortController): HangUp {
  let forceFromMs = Number.POSITIVE_INFINITY;
  const take = (signal: NodeJS.Signals): void => {
    if (performance.now() >= forceFromMs) {
      force.abort();
      setTimeout(() => process.exit(EXIT_FAILURE), BROKEN_LIMIT_MS).unref();
    } else if (!stop.signal.aborted) {
      forceFromMs = performance.now() + ECHO_LIMIT_MS;
      stop.abort(new GigatunError('GONE', `stopped by ${signal}`));
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, take);
  return onHangUp(take);
}

/** A broken program still takes its rules and routes with it, if it can. */
function stopWhenBroken(stop: AbortController, log: Logger): void {
  const broken = (cause: unknown): void => {
    log.error(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
    setTimeout(() => process.exit(EXIT_FAILURE), BROKEN_LIMIT_MS).unref();
    stop.abort(new GigatunError('INTERNAL', `broken program, please report: ${messageOf(cause)}`, { cause }));
  };
  process.on('uncaughtException', broken);
  process.on('unhandledRejection', broken);
}

function closeWhenStopped(service: Service, manager: ServiceManager, signal: AbortSignal): void {
  const close = (): void => {
    const error = asGigatunError(signal.reason, 'go on');
    void manager.stopping();
    void service.close({ reason: error.message, error: error.code === 'GONE' ? null : error });
  };
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });
}
