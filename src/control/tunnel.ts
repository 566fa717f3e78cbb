/**
 * One running tunnel: a device, its link, its hooks and its control socket, brought up in order and taken down in
 * reverse. It comes up whole or not at all, and whatever ends it (a signal, `gigatun down`, a dead lane, somebody who
 * deletes the interface) goes through the same `close`.
 *
 * Order up: control socket under its starting name (which keeps a second start out), what a killed process left, names,
 * mark, MTU, PreUp, device, UAPI socket, link, PostUp, control socket under its final name.
 * Order down: PreDown, link, UAPI socket, device, PostDown, control socket last, so that `gigatun down` hears when all is gone.
 */
import { rmSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { checkMemory } from '../memory/budget.ts';
import { OFFLOAD_NAMES, type OffloadName } from '../offloads/offload-name.ts';
import type { UapiDevice } from '../uapi/connection.ts';
import type { RunCommand } from './command.ts';
import { MTU_MIN_IPV6 } from './config-limits.ts';
import type { DeviceConfig, TunnelConfig } from './config-types.ts';
import { CONTROL_PROTOCOL } from './control-protocol.ts';
import { type ControlServer, isAlive, openControlServer } from './control-server.ts';
import { runHooks } from './hooks.ts';
import { type LinkTools, openLink, recoverLink } from './link-apply.ts';
import { deriveMtu, findFreeTable, gatherFacts, linkExists } from './link-facts.ts';
import { needsMark, planLink } from './link-plan.ts';
import type { Logger } from './log.ts';
import { resolvePeers } from './resolve.ts';
import { journalPath, prepareRunDirectory, socketPath, startingSocketPath } from './run-directory.ts';
import { asGigatunError, messageOf } from './system-error.ts';

/** What a tunnel needs of a device; `openDevice` gives more. */
export interface TunnelDevice extends UapiDevice {
  /** Survives JSON. */
  status(): unknown;
  /** Survives JSON. */
  snapshot(): Promise<unknown>;
  close(): Promise<void>;
  /** Resolves when it ended, by close() or by itself. */
  readonly closed: Promise<TunnelEnd>;
}

export interface DeviceRequest {
  readonly name: string;
  readonly config: DeviceConfig;
  readonly lanes: number;
  /** Null for no cap. */
  readonly memoryCapBytes: number | null;
  /** Bytes. */
  readonly mtu: number;
  readonly offloads: readonly OffloadName[];
  readonly announces: boolean;
  readonly txQueueLength: number | null;
  readonly log: Logger;
}

export interface TunnelEnd {
  readonly reason: string;
  /** Null when it was asked to end. */
  readonly error: GigatunError | null;
}

export interface TunnelRequest {
  readonly name: string;
  readonly config: TunnelConfig;
  /** Null: what the file says, else 1. */
  readonly lanes: number | null;
  /** Most resident memory, bytes; null or absent: what the file says, else no cap. */
  readonly memoryCapBytes?: number | null;
  /** Null: what the file says, else derived from the routes. */
  readonly mtu: number | null;
  /** For the control socket and the journal. */
  readonly directory: string;
  /** As `version` reports it. */
  readonly version: string;
  readonly log: Logger;
  /** Told of anything that takes long, in words for a person. */
  readonly report: (text: string) => void;
  /** Ends the start, a hook under way included; its reason is what bringUp then throws. */
  readonly signal: AbortSignal;
  /** Ends the hooks of the way down; what is behind them is still undone. Without it they take their time. */
  readonly force?: AbortSignal;
}

export interface TunnelTools {
  readonly openDevice: (request: DeviceRequest) => Promise<TunnelDevice>;
  /**
   * Opens the socket by which `wg` reads and changes the device; `onRemoved` is called when somebody has removed it.
   * Absent: there is none.
   */
  readonly openUapi?: (
    name: string,
    device: TunnelDevice,
    onRemoved: () => void,
  ) => Promise<{ close(): Promise<void> }>;
  readonly run: RunCommand;
}

const LANES_DEFAULT = 1;
const NEVER: AbortSignal = new AbortController().signal;

/**
 * Brings a tunnel up.
 *
 * @throws GigatunError of the step that failed; by then everything before it is undone, or the error says what is not.
 */
export async function bringUp(request: TunnelRequest, tools: TunnelTools): Promise<Tunnel> {
  prepareRunDirectory(request.directory);
  const tunnel = new Tunnel(request, tools);
  await tunnel.start();
  return tunnel;
}

interface Undo {
  readonly what: string;
  readonly run: () => Promise<void>;
}

export class Tunnel {
  /** Resolves when everything is gone; with an error if something could not be undone. */
  readonly closed: Promise<TunnelEnd>;
  /** How long the phases of the start took, milliseconds by name; those that are over. */
  readonly phasesMs: Record<string, number> = {};
  readonly #request: Omit<TunnelRequest, 'config'>;
  /** Dropped when the tunnel is up: thousands of peers take megabytes, and nobody asks for them again. */
  #config: TunnelConfig | null;
  readonly #tools: TunnelTools;
  readonly #stopping: AbortController = new AbortController();
  readonly #signal: AbortSignal;
  readonly #undos: Undo[] = [];
  readonly #failures: string[] = [];
  readonly #removed: Deferred<void> = deferred();
  readonly #closed: Deferred<TunnelEnd> = deferred();
  #server: ControlServer | null = null;
  #device: TunnelDevice | null = null;
  #state: 'starting' | 'running' | 'closing' = 'starting';

  constructor({ config, ...request }: TunnelRequest, tools: TunnelTools) {
    this.#request = request;
    this.#config = config;
    this.#tools = tools;
    this.#signal = AbortSignal.any([request.signal, this.#stopping.signal]);
    this.closed = this.#closed.promise;
  }

  /** Called once, by bringUp. */
  async start(): Promise<void> {
    try {
      await this.#openSocket();
      if (this.#config !== null) await this.#bringUp(this.#config);
      this.#config = null;
      this.#signal.throwIfAborted();
      this.#state = 'running';
      this.#server?.moveTo(socketPath(this.#request.directory, this.#request.name));
    } catch (error) {
      this.#state = 'closing';
      await this.#removeAll();
      throw this.#startError(this.#signal.aborted ? this.#signal.reason : error);
    }
  }

  /** Takes everything down and resolves when it is gone; later calls wait for the first. Never rejects. */
  async close(end: TunnelEnd): Promise<void> {
    if (this.#state === 'starting') this.#stopping.abort(end.error ?? new GigatunError('GONE', end.reason));
    if (this.#state === 'running') {
      this.#state = 'closing';
      await this.#removeAll();
      this.#closed.resolve({ ...end, error: end.error ?? this.#leftError() });
    }
    await this.#removed.promise;
  }

  async #openSocket(): Promise<void> {
    const { directory, name, version, log } = this.#request;
    const handlers = {
      status: (): unknown => this.#running().status(),
      stats: (): unknown => this.#running().snapshot(),
      version: (): unknown => ({ version, pid: process.pid, protocol: CONTROL_PROTOCOL, state: this.#state }),
      down: (): Promise<unknown> => this.#down(),
    };
    this.#server = await openControlServer(startingSocketPath(directory, name), handlers, log);
    if (await isAlive(socketPath(directory, name)))
      throw new GigatunError('BUSY', `${name} is up already; end it with: gigatun down ${name}`);
    // A killed process may have left it: nobody shall take it for ours before we are ready.
    rmSync(socketPath(directory, name), { force: true });
  }

  async #down(): Promise<unknown> {
    // Not awaited: close() ends with this very connection, after its answer.
    void this.close({ reason: 'asked by gigatun down', error: null });
    await this.#removed.promise;
    const error = this.#leftError();
    if (error !== null) throw error;
    return { removed: true };
  }

  #running(): TunnelDevice {
    if (this.#device !== null && this.#state === 'running') return this.#device;
    throw new GigatunError('BUSY', `${this.#request.name} is ${this.#state}; try again in a moment`);
  }

  async #bringUp(config: TunnelConfig): Promise<void> {
    const { name, log } = this.#request;
    if (await recoverLink(this.#linkTools())) log.info('undid what an earlier process had left behind', { name });
    await this.#checkFree();
    const settings = await this.#timed('lookups', () => this.#deviceSettings(config));
    const { preUp, postUp, preDown, postDown } = config.interface.hooks;
    await this.#hooks('PreUp', preUp, 'PostDown', postDown);
    await this.#timed('device', () => this.#openDevice(settings));
    await this.#timed('link', () => this.#setUpLink(config, settings.config.fwmark, settings.mtu));
    await this.#hooks('PostUp', postUp, 'PreDown', preDown);
  }

  async #timed<T>(phase: string, action: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const result = await action();
    this.phasesMs[`${phase}Ms`] = Math.round(performance.now() - startedMs);
    return result;
  }

  async #checkFree(): Promise<void> {
    const { name } = this.#request;
    if (!(await linkExists(this.#tools.run, name))) return;
    throw new GigatunError(
      'BUSY',
      `an interface ${name} exists already; delete it (ip link delete dev ${name}) or rename the file`,
    );
  }

  /** Names looked up, mark chosen, MTU found. */
  async #deviceSettings(config: TunnelConfig): Promise<DeviceRequest> {
    const { name, log, report } = this.#request;
    const { run } = this.#tools;
    const sizes = this.#sizes(config);
    const peers = await resolvePeers(config.peers, { report, signal: this.#signal });
    const prefixes = peers.flatMap(({ allowedIps }) => allowedIps);
    const marked = config.fwmark === 0 && needsMark(config.interface, prefixes);
    const fwmark = marked ? await findFreeTable(run) : config.fwmark;
    const endpoints = peers.flatMap(({ endpoint }) => endpoint ?? []);
    const mtu = this.#request.mtu ?? config.interface.mtu ?? (await deriveMtu(run, endpoints, fwmark));
    checkMtu(mtu, config);
    const { privateKey, listenPort } = config;
    return {
      name,
      config: { privateKey, listenPort, fwmark, peers },
      ...sizes,
      mtu,
      offloads: config.settings.offloads ?? OFFLOAD_NAMES,
      announces: config.settings.announces ?? true,
      txQueueLength: config.settings.txQueueLength,
      log,
    };
  }

  /** Refused here, before anything runs, if it cannot fit. */
  #sizes(config: TunnelConfig): { lanes: number; memoryCapBytes: number | null } {
    const { lanes: lanesAsked, memoryCapBytes: capAsked } = this.#request;
    const lanes = lanesAsked ?? config.settings.lanes ?? LANES_DEFAULT;
    const memoryCapBytes = capAsked ?? config.settings.memoryCapBytes;
    checkMemory(memoryCapBytes, { lanes, peers: config.peers.length });
    return { lanes, memoryCapBytes };
  }

  async #openDevice(settings: DeviceRequest): Promise<void> {
    this.#signal.throwIfAborted();
    const device = await this.#tools.openDevice(settings);
    this.#device = device;
    this.#undos.push({ what: 'close the device', run: () => device.close() });
    device.closed.then((end) => this.close(end));
    await this.#openUapi(device);
  }

  /** A tunnel that `wg` does not reach is still one: its own control socket is what it lives by. */
  async #openUapi(device: TunnelDevice): Promise<void> {
    const { name, log, report } = this.#request;
    const onRemoved = () => void this.close({ reason: 'its UAPI socket was removed', error: null });
    try {
      const uapi = await this.#tools.openUapi?.(name, device, onRemoved);
      if (uapi !== undefined) this.#undos.push({ what: 'close the UAPI socket', run: () => uapi.close() });
    } catch (error) {
      const warning = `wg will not find ${name}: ${messageOf(error)}`;
      log.warn(warning);
      report(`warning: ${warning}`);
    }
  }

  async #setUpLink(config: TunnelConfig, fwmark: number, mtu: number): Promise<void> {
    const { name, log } = this.#request;
    const prefixes = config.peers.flatMap(({ allowedIps }) => allowedIps);
    const facts = await gatherFacts(this.#tools.run, needsMark(config.interface, prefixes) ? fwmark : 0);
    const plan = planLink({ name, mtu, interface: config.interface, prefixes }, facts);
    for (const warning of plan.warnings) {
      log.warn(warning);
      this.#request.report(`warning: ${warning}`);
    }
    const link = openLink(this.#linkTools());
    this.#undos.push({ what: 'undo the link', run: () => link.undo() });
    await link.carryOut(plan);
  }

  #linkTools(): LinkTools {
    const { directory, name, log } = this.#request;
    return { run: this.#tools.run, log, journal: journalPath(directory, name), signal: this.#signal };
  }

  /** Runs the hooks of one stage of the way up; from then on their counterparts belong to the way down, even if one fails. */
  async #hooks(key: string, commands: readonly string[], undoKey: string, undos: readonly string[]): Promise<void> {
    this.#signal.throwIfAborted();
    const { name, log, force = NEVER } = this.#request;
    this.#undos.push({
      what: `${undoKey} commands`,
      run: () => runHooks(undoKey, undos, { name, log, signal: force }),
    });
    await runHooks(key, commands, { name, log, signal: this.#signal });
  }

  async #removeAll(): Promise<void> {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      this.#request.log.debug(undo.what, { name: this.#request.name });
      await undo.run().catch((error) => this.#note(error));
    }
    this.#removed.resolve();
    await this.#server?.close();
  }

  #note(error: unknown): void {
    this.#failures.push(messageOf(error));
    this.#request.log.error(messageOf(error));
  }

  /** Null when nothing is left. */
  #leftError(): GigatunError | null {
    if (this.#failures.length === 0) return null;
    return new GigatunError('SYSTEM', `not all could be undone: ${this.#failures.join('; ')}`);
  }

  #startError(cause: unknown): GigatunError {
    const error = asGigatunError(cause, `bring ${this.#request.name} up`);
    const left = this.#leftError();
    return left === null ? error : new GigatunError(error.code, `${error.message}; ${left.message}`, { cause: error });
  }
}

function checkMtu(mtu: number, config: TunnelConfig): void {
  const hasIpv6 = config.interface.addresses.some(({ address }) => address.length === 16);
  if (mtu >= MTU_MIN_IPV6 || !hasIpv6) return;
  throw new GigatunError(
    'CONFIG',
    `expected an MTU of at least ${MTU_MIN_IPV6}, got ${mtu}; the interface has an IPv6 address`,
  );
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

function deferred<T>(): Deferred<T> {
  let settle: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    settle = resolve;
  });
  return { promise, resolve: settle };
}
