/**
 * A device that others configure: it opens without keys, peers, addresses and routes, and everything it shall be comes
 * over its UAPI socket, from `wg`, `wg-quick` or another program. It comes up whole or not at all, and whatever ends it (a
 * signal, `gigatun down`, a deleted interface, a removed UAPI socket, a dead lane) goes through the same `close`.
 *
 * Order up: control socket under its starting name (which keeps a second start out), what a killed process left, device,
 * UAPI socket, control socket under its final name. Order down: UAPI socket, device, control socket last.
 */
import { existsSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import type { RunCommand } from './command.ts';
import { CONTROL_PROTOCOL } from './control-protocol.ts';
import type { ControlServer } from './control-server.ts';
import type { Logger } from './log.ts';
import { openStartingServer } from './name-wait.ts';
import { journalPath, prepareRunDirectory, socketPath } from './run-directory.ts';
import { asGigatunError, messageOf } from './system-error.ts';
import type { TunnelDevice, TunnelEnd } from './tunnel.ts';

export interface DaemonRequest {
  /** Interface name. */
  readonly name: string;
  /** For the control socket. */
  readonly directory: string;
  /** As `version` reports it. */
  readonly version: string;
  readonly log: Logger;
  /** Ends the start; its reason is what openDaemon then throws. */
  readonly signal: AbortSignal;
}

export interface DaemonTools<Device extends TunnelDevice> {
  readonly openDevice: () => Promise<Device>;
  /** Opens the socket that takes configuration; `onRemoved` is called when somebody has removed it. */
  readonly openUapi: (device: Device, onRemoved: () => void) => Promise<{ close(): Promise<void> }>;
  readonly run: RunCommand;
}

/**
 * Opens a daemon.
 *
 * @throws GigatunError of the step that failed, BUSY where the name is taken; by then everything before it is undone.
 */
export async function openDaemon<Device extends TunnelDevice>(
  request: DaemonRequest,
  tools: DaemonTools<Device>,
): Promise<Daemon> {
  prepareRunDirectory(request.directory);
  const daemon = new Daemon(request);
  await daemon.start(tools);
  return daemon;
}

export class Daemon {
  /** Resolves when everything is gone. */
  readonly closed: Promise<TunnelEnd>;
  readonly #request: DaemonRequest;
  readonly #stopping: AbortController = new AbortController();
  readonly #signal: AbortSignal;
  readonly #undos: (() => Promise<void>)[] = [];
  readonly #removed: Promise<void>;
  #resolveClosed: (end: TunnelEnd) => void = () => undefined;
  #resolveRemoved: () => void = () => undefined;
  #server: ControlServer | null = null;
  #device: TunnelDevice | null = null;
  #state: 'starting' | 'running' | 'closing' = 'starting';

  constructor(request: DaemonRequest) {
    this.#request = request;
    this.#signal = AbortSignal.any([request.signal, this.#stopping.signal]);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#removed = new Promise((resolve) => {
      this.#resolveRemoved = resolve;
    });
  }

  /** Called once, by openDaemon. */
  async start<Device extends TunnelDevice>(tools: DaemonTools<Device>): Promise<void> {
    const { name, directory } = this.#request;
    try {
      await this.#openSocket();
      await this.#undoLeftovers(tools.run);
      await this.#openDevice(tools);
      this.#signal.throwIfAborted();
      this.#state = 'running';
      this.#server?.moveTo(socketPath(directory, name));
    } catch (error) {
      this.#state = 'closing';
      await this.#removeAll();
      throw asGigatunError(this.#signal.aborted ? this.#signal.reason : error, `open ${name}`);
    }
  }

  /** Takes everything down and resolves when it is gone; later calls wait for the first. Never rejects. */
  async close(end: TunnelEnd): Promise<void> {
    if (this.#state === 'starting') this.#stopping.abort(end.error ?? new GigatunError('GONE', end.reason));
    if (this.#state === 'running') {
      this.#state = 'closing';
      await this.#removeAll();
      this.#resolveClosed(end);
    }
    await this.#removed;
  }

  async #openSocket(): Promise<void> {
    const { directory, name, version, log } = this.#request;
    const handlers = {
      status: (): unknown => this.#running().status(),
      stats: (): unknown => this.#running().snapshot(),
      version: (): unknown => ({ version, pid: process.pid, protocol: CONTROL_PROTOCOL, state: this.#state }),
      reload: () => this.#reload(),
      difference: () => this.#reload(),
      down: (): Promise<unknown> => this.#down(),
    };
    this.#server = await openStartingServer(directory, name, handlers, log);
  }

  #reload(): never {
    throw new GigatunError('CONFIG', `${this.#request.name} has no file to reload; change it with: wg`);
  }

  /** Rules and routes of a `gigatun up` that was killed. */
  async #undoLeftovers(run: RunCommand): Promise<void> {
    const { directory, name, log } = this.#request;
    const journal = journalPath(directory, name);
    if (!existsSync(journal)) return;
    const { recoverLink } = await import('./link-apply.ts');
    await recoverLink({ run, log, journal, signal: this.#signal });
    log.info('undid what an earlier process had left behind', { name });
  }

  async #openDevice<Device extends TunnelDevice>(tools: DaemonTools<Device>): Promise<void> {
    this.#signal.throwIfAborted();
    const device = await tools.openDevice();
    this.#device = device;
    this.#undos.push(() => device.close());
    void device.closed.then((end) => this.close(end));
    const uapi = await tools.openUapi(
      device,
      () => void this.close({ reason: 'its UAPI socket was removed', error: null }),
    );
    this.#undos.push(() => uapi.close());
  }

  async #down(): Promise<unknown> {
    // Not awaited: close() ends with this very connection, after its answer.
    void this.close({ reason: 'asked by gigatun down', error: null });
    await this.#removed;
    return { removed: true };
  }

  #running(): TunnelDevice {
    if (this.#device !== null && this.#state === 'running') return this.#device;
    throw new GigatunError('BUSY', `${this.#request.name} is ${this.#state}; try again in a moment`);
  }

  async #removeAll(): Promise<void> {
    const { name, log } = this.#request;
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop())
      await undo().catch((error: unknown) => log.error(messageOf(error), { name }));
    this.#resolveRemoved();
    await this.#server?.close();
  }
}
