/**
 * Reloads of one running tunnel, one at a time: reads the file, plans, carries out, and tells. A reload that is stopped,
 * because the tunnel ends, takes back what it has done before the way down begins. Keys of the file are zeroed behind it.
 */
import { GigatunError } from '../errors.ts';
import type { RunCommand } from './command.ts';
import type { LoadedConfig } from './config-load.ts';
import type { TunnelConfig } from './config-types.ts';
import type { Logger } from './log.ts';
import { carryOutReload, planReload, type ReloadPlan, type RunningTunnel } from './reload.ts';
import { boundedReport, type ReloadReport } from './reload-report.ts';
import { type LookUp, triesFromEnvironment } from './resolve.ts';
import type { ServiceManager } from './service-manager.ts';
import { messageOf } from './system-error.ts';

export interface ReloaderOptions {
  readonly name: string;
  /** Reads the file that the tunnel was started with, as it is now; null where there is none. */
  readonly load: (() => LoadedConfig) | null;
  /** The tunnel as it is; @throws GigatunError BUSY while it starts or ends. */
  readonly running: () => RunningTunnel;
  /** Takes over what holds now. */
  readonly applied: (plan: ReloadPlan) => void;
  /** Told when a reload that may change something has begun and when it is over; waited for. */
  readonly manager: Pick<ServiceManager, 'reloading' | 'reloaded'> | undefined;
  /** Called behind each reload, however it went: it leaves behind what a start does. */
  readonly finished: (() => void) | undefined;
  readonly run: RunCommand;
  readonly lookup: LookUp;
  readonly log: Logger;
}

/** Somebody waits for the answer: a name that nobody answers for is given up in some seconds. */
const TRIES_MAX = 5;

export class Reloader {
  readonly #options: ReloaderOptions;
  readonly #stop: AbortController = new AbortController();
  #isBusy = false;
  #carryingOut: Promise<void> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /**
   * Applies the file as it is now, or only says what that would do.
   *
   * @throws GigatunError with every problem of the file, or of what failed; then everything is as before.
   */
  async reload(dryRun: boolean): Promise<ReloadReport> {
    const { name, load, manager } = this.#options;
    if (this.#isBusy) throw new GigatunError('BUSY', `a reload of ${name} is under way; try again in a moment`);
    if (load === null) throw new GigatunError('UNSUPPORTED', `${name} was not started from a file; change it with: wg`);
    this.#isBusy = true;
    try {
      if (!dryRun) await manager?.reloading();
      return await this.#reload(this.#read(load), dryRun);
    } finally {
      if (!dryRun) await manager?.reloaded();
      this.#isBusy = false;
      // Behind the answer, when nothing of the plan is in use any more.
      setImmediate(() => this.#options.finished?.());
    }
  }

  /** The same for a signal, which nobody waits for: the log tells. */
  async reloadAndLog(): Promise<void> {
    const { name, log } = this.#options;
    try {
      const { changes, changesCount, warnings, needsRestart } = await this.reload(false);
      for (const { sign, text } of changes) log.info(`${sign} ${text}`, { name });
      for (const warning of warnings) log.warn(warning, { name });
      for (const text of needsRestart) log.warn(`needs a restart: ${text}`, { name });
      log.info('reloaded', { name, changesCount });
    } catch (error) {
      log.error(`not reloaded: ${messageOf(error)}`, { name });
    }
  }

  /** Ends a reload under way, and resolves when what it had done is taken back, or all of it was done. */
  async stop(): Promise<void> {
    this.#stop.abort(new GigatunError('GONE', `${this.#options.name} is being taken down`));
    await this.#carryingOut;
  }

  #read(load: () => LoadedConfig): LoadedConfig {
    try {
      return load();
    } catch (cause) {
      if (!(cause instanceof GigatunError) || cause.code !== 'PERMISSION') throw cause;
      const hint = 'the running process has kept few privileges: let the file belong to its user';
      throw new GigatunError('PERMISSION', `${cause.message}; ${hint}`, { cause });
    }
  }

  async #reload({ config, warnings }: LoadedConfig, dryRun: boolean): Promise<ReloadReport> {
    try {
      const plan = await this.#plan(config);
      if (!dryRun) await this.#carryOut(plan);
      return boundedReport({
        interface: this.#options.name,
        dryRun,
        changesCount: plan.lines.length,
        changes: plan.lines,
        warnings: [...warnings, ...plan.warnings],
        needsRestart: plan.needsRestart,
      });
    } finally {
      config.privateKey.fill(0);
      for (const { presharedKey } of config.peers) presharedKey?.fill(0);
    }
  }

  /** A look-up cannot be ended; it is not waited for any more. */
  async #plan(config: TunnelConfig): Promise<ReloadPlan> {
    const { run, lookup, log, running } = this.#options;
    const { signal } = this.#stop;
    const triesMax = Math.min(TRIES_MAX, triesFromEnvironment(process.env.WG_ENDPOINT_RESOLUTION_RETRIES));
    const resolve = { lookup, signal, triesMax, report: (text: string) => log.warn(text) };
    const planning = planReload(running(), config, { run, resolve });
    let stop = (): void => {};
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason);
    });
    signal.addEventListener('abort', stop, { once: true });
    // When it is later than the stop, nobody waits for it.
    planning.catch(() => {});
    try {
      return await Promise.race([planning, stopped]);
    } finally {
      // Else the signal would hold the race, and with it the plan, for as long as the tunnel lives.
      signal.removeEventListener('abort', stop);
    }
  }

  async #carryOut(plan: ReloadPlan): Promise<void> {
    const { running, applied } = this.#options;
    this.#stop.signal.throwIfAborted();
    const done = carryOutReload(running(), plan, this.#stop.signal).then(() => applied(plan));
    this.#carryingOut = done.catch(() => {});
    await done;
  }
}
