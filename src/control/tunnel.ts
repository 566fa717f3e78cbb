/**
 * One running tunnel: a device, its link, its hooks and its control socket, brought up in order and taken down in
 * reverse. It comes up whole or not at all, and whatever ends it (a signal, `gigatun down`, a dead lane, somebody who
 * deletes the interface) goes through the same `close`.
 *
 * Order up: control socket under its starting name (which keeps a second start out), what a killed process left, names,
 * mark, MTU, PreUp, device, UAPI socket, link, PostUp, control socket under its final name.
 * A reload (`reloader.ts`) changes what runs; the tunnel keeps what it was last told for the next one.
 * Order down: a reload under way ends, PreDown, link, UAPI socket, device, PostDown, control socket last, so that `gigatun
 * down` hears when all is gone.
 */
import { GigatunError } from '../errors.ts';
import { checkMemory } from '../memory/budget.ts';
import { OFFLOAD_NAMES, type OffloadName } from '../offloads/offload-name.ts';
import type { Applied } from './applied.ts';
import type { RunCommand } from './command.ts';
import type { LoadedConfig } from './config-load.ts';
import type { DeviceConfig, Hooks, LaneChoice, NumericEndpoint, TunnelConfig } from './config-types.ts';
import { CONTROL_PROTOCOL } from './control-protocol.ts';
import type { ControlServer } from './control-server.ts';
import { runHooks } from './hooks.ts';
import { formatKey } from './key-text.ts';
import { type Link, type LinkTools, openLink, recoverLink } from './link-apply.ts';
import { deriveMtu, gatherFacts, linkExists } from './link-facts.ts';
import { planLink } from './link-plan.ts';
import type { Logger } from './log.ts';
import { openStartingServer } from './name-wait.ts';
import { NameWatch, type OutgoingInitiation } from './name-watch.ts';
import { appliedOf, type ReloadDevice, type ReloadPlan, type RunningTunnel } from './reload.ts';
import { Reloader } from './reloader.ts';
import { type LookUp, lookUpAddresses, type ResolvedPeer, resolvePeers } from './resolve.ts';
import { journalPath, prepareRunDirectory, socketPath } from './run-directory.ts';
import type { ServiceManager } from './service-manager.ts';
import { asGigatunError, messageOf } from './system-error.ts';
import {
  checkMtu,
  chooseLanes,
  chooseMark,
  effectivePeers,
  endpointsOf,
  hasDefaultRoute,
  memoryUse,
  mtuReserve,
} from './tunnel-settings.ts';

/** What a tunnel needs of a device; `openDevice` gives more. */
export interface TunnelDevice extends ReloadDevice {
  /** Survives JSON. */
  status(): unknown;
  /** More endpoints for an initiation that nobody has answered yet. */
  alsoTry(publicKey: Uint8Array, endpoints: readonly NumericEndpoint[]): void;
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
  readonly txQueueLength: number | null;
  /** To be asked where each initiation goes, before it does. */
  readonly candidates: (initiation: OutgoingInitiation) => readonly NumericEndpoint[] | null;
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
  /** Reads the file of `config` again, for a reload; absent: there is none. */
  readonly load?: () => LoadedConfig;
  /** Told of each reload. */
  readonly manager?: Pick<ServiceManager, 'reloading' | 'reloaded'>;
  /** Told behind each reload, which leaves behind what a start does. */
  readonly onReloaded?: () => void;
  /** Null: what the file says, else 1. */
  readonly lanes: LaneChoice | null;
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
  /** The system's resolver unless replaced. */
  readonly lookup?: LookUp;
}

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
  readonly #reloader: Reloader;
  readonly #names: NameWatch;
  #server: ControlServer | null = null;
  #device: TunnelDevice | null = null;
  #link: Link | null = null;
  /** Of the file that was applied last. */
  #hooks: Hooks = { preUp: [], postUp: [], preDown: [], postDown: [] };
  #applied: Applied | null = null;
  /** As the device was opened. */
  #opened: DeviceRequest | null = null;
  #state: 'starting' | 'running' | 'closing' = 'starting';

  constructor({ config, ...request }: TunnelRequest, tools: TunnelTools) {
    this.#request = request;
    this.#config = config;
    this.#tools = tools;
    this.#signal = AbortSignal.any([request.signal, this.#stopping.signal]);
    this.closed = this.#closed.promise;
    const { lookup = lookUpAddresses } = tools;
    this.#names = new NameWatch({
      ...{ lookup, log: request.log, nowMs: () => performance.now() },
      alsoTry: (publicKey, endpoints) => this.#device?.alsoTry(publicKey, endpoints),
    });
    this.#reloader = new Reloader({
      ...{ name: request.name, run: tools.run, lookup, log: request.log, load: request.load ?? null },
      running: () => this.#runningTunnel(),
      applied: (plan) => this.#takeOver(plan),
      ...{ manager: request.manager, finished: request.onReloaded },
    });
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

  /** Applies the file as it is now; the log tells what came of it. Never rejects. */
  async reload(): Promise<void> {
    await this.#reloader.reloadAndLog();
  }

  /** Takes everything down and resolves when it is gone; later calls wait for the first. Never rejects. */
  async close(end: TunnelEnd): Promise<void> {
    if (this.#state === 'starting') this.#stopping.abort(end.error ?? new GigatunError('GONE', end.reason));
    if (this.#state === 'running') {
      this.#state = 'closing';
      await this.#reloader.stop();
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
      reload: (): Promise<unknown> => this.#reloader.reload(false),
      difference: (): Promise<unknown> => this.#reloader.reload(true),
      down: (): Promise<unknown> => this.#down(),
    };
    this.#server = await openStartingServer(directory, name, handlers, log);
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
    const { request, peers } = await this.#timed('lookups', () => this.#deviceRequest(config));
    this.#hooks = config.interface.hooks;
    await this.#runHooks('PreUp', 'preUp', 'PostDown', 'postDown');
    await this.#timed('device', () => this.#openDevice(request));
    this.#watchNames(config, peers);
    await this.#timed('link', () => this.#setUpLink(config, request));
    await this.#runHooks('PostUp', 'postUp', 'PreDown', 'preDown');
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
  async #deviceRequest(config: TunnelConfig): Promise<{ request: DeviceRequest; peers: readonly ResolvedPeer[] }> {
    const { name, log, report } = this.#request;
    const { run, lookup = lookUpAddresses } = this.#tools;
    const sizes = this.#sizes(config);
    const peers = await resolvePeers(effectivePeers(config), { report, lookup, signal: this.#signal });
    const fwmark = await chooseMark(config, null, run);
    const derived = { endpoints: peers.flatMap(endpointsOf), mark: fwmark, reserve: mtuReserve(peers) };
    const mtu = this.#request.mtu ?? config.interface.mtu ?? (await deriveMtu(run, derived));
    checkMtu(mtu, config);
    const { privateKey, listenPort } = config;
    const request = {
      name,
      config: { privateKey, listenPort, fwmark, peers },
      ...sizes,
      mtu,
      offloads: config.settings.offloads ?? OFFLOAD_NAMES,
      txQueueLength: config.settings.txQueueLength,
      candidates: (initiation: OutgoingInitiation) => this.#names.candidates(initiation),
      log,
    };
    return { request, peers };
  }

  /** Refused here, before anything runs, if it cannot fit. */
  #sizes(config: TunnelConfig): { lanes: number; memoryCapBytes: number | null } {
    const { lanes: lanesAsked, memoryCapBytes: capAsked } = this.#request;
    const lanes = chooseLanes(lanesAsked ?? config.settings.lanes, config.peers);
    const memoryCapBytes = capAsked ?? config.settings.memoryCapBytes;
    checkMemory(memoryCapBytes, memoryUse(lanes, config.peers));
    return { lanes, memoryCapBytes };
  }

  async #openDevice(settings: DeviceRequest): Promise<void> {
    this.#signal.throwIfAborted();
    const device = await this.#tools.openDevice(settings);
    this.#device = device;
    this.#undos.push({ what: 'close the device', run: () => this.#closeDevice(device) });
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

  async #closeDevice(device: TunnelDevice): Promise<void> {
    this.#names.close();
    await device.close();
  }

  #watchNames({ peers: named }: TunnelConfig, peers: readonly ResolvedPeer[]): void {
    peers.forEach(({ publicKey, addresses }, at) => {
      const endpoint = named[at]?.endpoint ?? null;
      if (endpoint !== null && addresses.length > 0) this.#names.watch(formatKey(publicKey), endpoint, addresses);
    });
  }

  async #setUpLink(config: TunnelConfig, opened: DeviceRequest): Promise<void> {
    const { name, log } = this.#request;
    const { mtu, config: device } = opened;
    const prefixes = config.peers.flatMap(({ allowedIps }) => allowedIps);
    const facts = await gatherFacts(this.#tools.run, hasDefaultRoute(config) ? device.fwmark : 0);
    const plan = planLink({ name, mtu, interface: config.interface, prefixes }, facts);
    for (const warning of plan.warnings) {
      log.warn(warning);
      this.#request.report(`warning: ${warning}`);
    }
    const link = openLink(this.#linkTools());
    this.#link = link;
    this.#undos.push({ what: 'undo the link', run: () => link.undo() });
    await link.carryOut(plan);
    this.#opened = { ...opened, config: { ...device, privateKey: null, peers: [] } };
    this.#applied = appliedOf(config, { name, mtu, fwmark: device.fwmark }, facts);
  }

  #runningTunnel(): RunningTunnel {
    const [device, link, applied, opened] = [this.#running(), this.#link, this.#applied, this.#opened];
    if (link === null || applied === null || opened === null)
      throw new GigatunError('INTERNAL', 'a tunnel runs without its link');
    const { name, lanes, memoryCapBytes = null, mtu } = this.#request;
    const sizes = { lanes: opened.lanes, memoryCapBytes: opened.memoryCapBytes, offloads: opened.offloads };
    return { name, device, link, applied, hooks: this.#hooks, ...sizes, asked: { lanes, memoryCapBytes, mtu } };
  }

  /** What a reload has made true. */
  #takeOver({ applied, hooks, matches, resolved }: ReloadPlan): void {
    this.#applied = applied;
    this.#hooks = hooks;
    for (const { key, moves, wanted } of matches) {
      if (!moves && wanted?.endpoint != null) continue;
      const addresses = resolved.get(key)?.addresses ?? [];
      if (wanted?.endpoint == null || addresses.length === 0) this.#names.forget(key);
      else this.#names.watch(key, wanted.endpoint, addresses);
    }
  }

  #linkTools(): LinkTools {
    const { directory, name, log } = this.#request;
    return { run: this.#tools.run, log, journal: journalPath(directory, name), signal: this.#signal };
  }

  /** Runs the hooks of one stage of the way up; from then on their counterparts belong to the way down, even if one fails. */
  async #runHooks(key: string, stage: keyof Hooks, undoKey: string, undoStage: keyof Hooks): Promise<void> {
    this.#signal.throwIfAborted();
    const { name, log, force = NEVER } = this.#request;
    this.#undos.push({
      what: `${undoKey} commands`,
      run: () => runHooks(undoKey, this.#hooks[undoStage], { name, log, signal: force }),
    });
    await runHooks(key, this.#hooks[stage], { name, log, signal: this.#signal });
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
