/**
 * `gigatun up`: brings a tunnel up and stays with it until it ends. Without `--foreground` it starts itself again in the
 * background (`background.ts`), which comes here too, and waits only until that is ready.
 */
import { runCommand } from '../control/command.ts';
import { type LoadedConfig, loadConfig } from '../control/config-load.ts';
import { createLogger, type Logger, logLevelOf } from '../control/log.ts';
import { runDirectory } from '../control/run-directory.ts';
import { asGigatunError, messageOf } from '../control/system-error.ts';
import { bringUp, type Tunnel, type TunnelRequest, type TunnelTools } from '../control/tunnel.ts';
import { GigatunError } from '../errors.ts';
import { startInBackground } from './background.ts';
import { EXIT_FAILURE, EXIT_OK, exitCodeOf } from './exit-code.ts';
import { type HangUp, onHangUp } from './hang-up.ts';
import { say } from './print.ts';
import { releaseMemory } from './release-memory.ts';
import { openStartChannel, type StartChannel } from './start-channel.ts';
import { packageVersion } from './version.ts';

export interface UpOptions {
  readonly foreground?: true;
  /** Worker threads. */
  readonly lanes?: number;
  /** Bytes: cap of resident memory. */
  readonly memory?: number;
  /** Bytes. */
  readonly mtu?: number;
  /** false: book no time, to measure what the books cost. */
  readonly books?: boolean;
}

/** A terminal and a program around this one may both pass on one Ctrl-C: within this time, two signals are one. */
const ECHO_LIMIT_MS = 500;
/** How long a broken program, or one that is told twice to end, may take to clean up. */
const BROKEN_LIMIT_MS = 10_000;
/** How long this process may live on when everything is closed. */
const LINGER_LIMIT_MS = 2_000;

export async function up(argument: string, options: UpOptions): Promise<number> {
  if (options.foreground !== true) return await startInBackground(loadConfig(argument), options);
  const channel = openStartChannel();
  const stop = new AbortController();
  const force = new AbortController();
  const hangUp = stopOnSignals(stop, force);
  try {
    return await stayUp(argument, options, channel, stop, force.signal, hangUp);
  } catch (error) {
    if (!channel.fail(error)) throw error;
    return exitCodeOf(error);
  } finally {
    setTimeout(() => process.exit(), LINGER_LIMIT_MS).unref();
  }
}

async function stayUp(
  argument: string,
  options: UpOptions,
  channel: StartChannel,
  stop: AbortController,
  force: AbortSignal,
  hangUp: HangUp,
): Promise<number> {
  const log = createLogger(logLevelOf(process.env.LOG_LEVEL, channel.background ? 'error' : 'info', channel.report));
  stopWhenBroken(stop, log);
  const { name, configMs, tunnel } = await start(argument, options, channel, log, stop.signal, force);
  closeWhenStopped(tunnel, stop.signal);
  log.info('up', { name, configMs, ...tunnel.phasesMs });
  channel.ready();
  releaseMemory();
  hangUp.ready(() => tunnel.reload());
  const { reason, error } = await tunnel.closed;
  log.info('down', { name, reason });
  if (error === null) return EXIT_OK;
  log.error(error.message, { name });
  if (!channel.background) say(`gigatun: ${name} ended: ${error.message}`);
  return EXIT_FAILURE;
}

/** A function of its own, so that the configuration, which may be megabytes, is forgotten when the tunnel is up. */
async function start(
  argument: string,
  options: UpOptions,
  channel: StartChannel,
  log: Logger,
  signal: AbortSignal,
  force: AbortSignal,
): Promise<{ name: string; configMs: number; tunnel: Tunnel }> {
  const startedMs = performance.now();
  const loaded = loadConfig(argument);
  const configMs = Math.round(performance.now() - startedMs);
  for (const warning of loaded.warnings) channel.report(warning);
  const request = { ...requestOf(loaded, options, channel, log), signal, force };
  return { name: loaded.name, configMs, tunnel: await bringUp(request, await loadTools(options)) };
}

function requestOf(
  { name, path, config }: LoadedConfig,
  options: UpOptions,
  channel: StartChannel,
  log: Logger,
): Omit<TunnelRequest, 'signal' | 'force'> {
  return {
    name,
    config,
    load: () => loadConfig(path),
    onReloaded: releaseMemory,
    lanes: options.lanes ?? null,
    memoryCapBytes: options.memory ?? null,
    mtu: options.mtu ?? null,
    directory: runDirectory(),
    version: packageVersion(),
    log,
    report: channel.report,
  };
}

/** Native code is loaded here and nowhere before. */
async function loadTools(options: UpOptions): Promise<TunnelTools> {
  const aead = aeadFromEnvironment(process.env.GIGATUN_AEAD);
  const { openDevice } = await import('../device.ts');
  return {
    openDevice: (request) => openDevice({ ...request, aead, bookTime: options.books !== false }),
    run: runCommand,
  };
}

/** Reads GIGATUN_AEAD: the AEAD back end to use, or nothing for the fastest that is there. */
export function aeadFromEnvironment(text: string | undefined): 'auto' | 'openssl' | 'ipsec-mb' {
  const wanted = text ?? 'auto';
  if (wanted === 'auto' || wanted === '' || wanted === 'openssl' || wanted === 'ipsec-mb')
    return wanted === '' ? 'auto' : wanted;
  throw new GigatunError('CONFIG', `expected GIGATUN_AEAD to be auto, openssl or ipsec-mb, got '${wanted}'`);
}

/**
 * SIGTERM and SIGINT ask for an end, as SIGHUP does where there is a terminal; asking again ends the hooks of the way down,
 * too, and limits the time of all.
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

function closeWhenStopped(tunnel: Tunnel, signal: AbortSignal): void {
  const close = (): void => {
    const error = asGigatunError(signal.reason, 'go on');
    void tunnel.close({ reason: error.message, error: error.code === 'GONE' ? null : error });
  };
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });
}
