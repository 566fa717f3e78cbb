/**
 * A device: one TUN interface, its outer sockets, its lanes, and the control lane that drives them. This file puts the
 * parts together and takes them apart again; what each part does stands in its own file.
 *
 * Order of opening: TUN queues, sockets, control lane, lanes one by one, peers and routes. Order of closing: control lane,
 * lanes all at once, and the descriptors of each as soon as its thread has ended. Whatever fails half way closes what was
 * opened before; so does a lane that ends while a later one opens.
 */
import { closeSync } from 'node:fs';
import { DEFAULT_MTU, LANES_MAX, QUEUE_LENGTH_MAX } from './control/config-limits.ts';
import type { DeviceConfig, NumericEndpoint } from './control/config-types.ts';
import type { DeviceChange, DeviceSettings, PeerChange } from './control/device-change.ts';
import { formatKey, publicKeyOf } from './control/key-text.ts';
import type { Logger } from './control/log.ts';
import { heldGroupPeersCount, historiesOf, peersByCipher } from './control-figures.ts';
import { ControlLane, nowMs } from './control-lane.ts';
import type { ControlPeer } from './control-lane-types.ts';
import { CONTROL_ARENA_BYTES } from './control-sender.ts';
import { hasFastAes } from './cpu-features.ts';
import { checkChange, checkPeerCount, type KnownPeers } from './device-change-check.ts';
import { adoptTun, DeviceDescriptors, lanesOfAdopted } from './device-descriptors.ts';
import { checkHistories } from './device-history-check.ts';
import { DeviceLink } from './device-link.ts';
import { DeviceMemory } from './device-memory.ts';
import { DevicePeers } from './device-peers.ts';
import type { Device, DeviceEnd, DeviceOptions, DeviceStatus } from './device-types.ts';
import { endpointsOf, numericEndpointOf } from './endpoint-text.ts';
import { GigatunError } from './errors.ts';
import type { LaneStart } from './lane.ts';
import { LanePort } from './lane-port.ts';
import { Ledger } from './ledger/ledger.ts';
import { openPage } from './ledger/page.ts';
import { type DeviceSnapshot, readPage, sumSnapshots } from './ledger/snapshot.ts';
import { closeLane, linkInfo, openLane, threadUsage } from './native/addon.ts';
import type { LaneOpened, TunOpened } from './native/types.ts';
import { LaneFaults } from './offloads/lane-faults.ts';
import { OFFLOAD_NAMES, type OffloadName } from './offloads/offload-name.ts';
import { type Endpoint, isSameRemote } from './packet/endpoint.ts';
import { type Timing, WIREGUARD_TIMING } from './protocol/constants.ts';
import { SuspendWatch } from './suspend-watch.ts';
import type { LaneCommand, LaneEvent } from './tables/lane-messages.ts';
import { LiveIndices } from './tables/live-indices.ts';
import { PEER_CELL } from './tables/peers.ts';

export type { Device, DeviceEnd, DeviceOptions, DeviceStatus, PeerStatus } from './device-types.ts';

/** The interface and resident memory are looked at so often. */
const WATCH_INTERVAL_MS = 1_000;

/** Opens a device; rejects with GigatunError and leaves nothing behind. */
export async function openDevice(options: DeviceOptions): Promise<Device> {
  return await openTimedDevice(options, WIREGUARD_TIMING);
}

/** `openDevice` with other times of the protocol, on which both ends must agree. For tests; no part of the public API. */
export async function openTimedDevice(options: DeviceOptions, timing: Timing): Promise<Device> {
  const { name, config, log, lanes: lanesWanted = 1, mtu = DEFAULT_MTU, aead = 'auto', bookTime = true } = options;
  const { offloads = OFFLOAD_NAMES, announces = true, txQueueLength = null, memoryCapBytes = null } = options;
  const { socketsFollowLink = false, candidates = null, tunFd } = options;
  if (!Number.isInteger(lanesWanted) || lanesWanted < 1 || lanesWanted > LANES_MAX)
    throw new GigatunError('CONFIG', `expected 1 to ${LANES_MAX} lanes, got ${lanesWanted}`);
  checkQueueLength(txQueueLength);
  const { fwmark, peers } = config;
  const adopted = tunFd === undefined ? null : adoptTun(tunFd, offloads);
  const lanes = adopted === null ? lanesWanted : lanesOfAdopted(adopted, lanesWanted);
  if (lanes < lanesWanted)
    log.info('the TUN that was passed has one queue: there is one lane', { wanted: lanesWanted });
  const settings: Settings = {
    ...{ tun: adopted ?? name, log, lanes, mtu, aead, offloads, announces, txQueueLength, memoryCapBytes, bookTime },
    ...{ timing, fwmark, socketsFollowLink, candidates },
    peers: peers.length,
  };
  const device = newDevice(settings);
  try {
    await device.open(config);
  } catch (error) {
    await device.close();
    throw error;
  }
  return device;
}

/** A device that cannot be made leaves nothing open: not the TUN that was passed either. */
function newDevice(settings: Settings): TunnelDevice {
  try {
    return new TunnelDevice(settings);
  } catch (error) {
    if (typeof settings.tun !== 'string') closeSync(settings.tun.fd);
    throw error;
  }
}

function checkQueueLength(packets: number | null): void {
  if (packets === null || (Number.isInteger(packets) && packets >= 1 && packets <= QUEUE_LENGTH_MAX)) return;
  throw new GigatunError('CONFIG', `expected a queue of 1 to ${QUEUE_LENGTH_MAX} packets, or null, got ${packets}`);
}

/** What a device keeps of its options: no keys. */
interface Settings {
  /** Interface name, or the first queue. */
  readonly tun: string | TunOpened;
  readonly log: Logger;
  readonly lanes: number;
  readonly mtu: number;
  readonly aead: 'auto' | 'openssl' | 'ipsec-mb';
  readonly offloads: readonly OffloadName[];
  readonly announces: boolean;
  readonly txQueueLength: number | null;
  readonly memoryCapBytes: number | null;
  /** Peers to come, by whose number memory is reckoned. */
  readonly peers: number;
  readonly bookTime: boolean;
  readonly timing: Timing;
  readonly fwmark: number;
  readonly candidates: DeviceOptions['candidates'] | null;
  readonly socketsFollowLink: boolean;
}

class TunnelDevice implements Device {
  readonly closed: Promise<DeviceEnd>;
  readonly #settings: Settings;
  readonly #lanes: LanePort[] = [];
  readonly #memory: DeviceMemory;
  readonly #liveIndices: SharedArrayBuffer = LiveIndices.allocate();
  readonly #controlPage: SharedArrayBuffer = openPage();
  readonly #controlLedger: Ledger = new Ledger(this.#controlPage);
  readonly #openedNs: bigint = process.hrtime.bigint();
  #peers: DevicePeers | null = null;
  #descriptors: DeviceDescriptors | null = null;
  #controlHandle: LaneOpened | null = null;
  #control: ControlLane | null = null;
  #linkTimer: NodeJS.Timeout | null = null;
  #link: DeviceLink | null = null;
  readonly #faults: LaneFaults;
  readonly #suspends = new SuspendWatch();
  #closing: Promise<void> | null = null;
  #ending: DeviceEnd | null = null;
  #resolveClosed: (end: DeviceEnd) => void = () => undefined;

  /** Throws GigatunError CONFIG when the device cannot fit under its memory cap. */
  constructor(settings: Settings) {
    this.#settings = settings;
    const { lanes, peers, log, memoryCapBytes: capBytes } = settings;
    const collectLanes = (): void => this.#post({ type: 'collect' }, 'all');
    this.#memory = new DeviceMemory({ capBytes, lanes, peers, log, collectLanes });
    this.#faults = new LaneFaults({
      log: settings.log,
      nowMs,
      setGro: (lane, family, isOn) => this.#descriptors?.sockets.setGro(lane, family, isOn),
    });
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get name(): string {
    const { tun } = this.#settings;
    return this.#descriptors?.name ?? (typeof tun === 'string' ? tun : tun.name);
  }

  get listenPort(): number {
    return this.#descriptors?.sockets.port ?? 0;
  }

  async open(config: DeviceConfig): Promise<void> {
    const { tun, lanes, fwmark, offloads, txQueueLength } = this.#settings;
    const descriptors = new DeviceDescriptors({
      ...{ tun, lanes, fwmark, offloads, listenPort: config.listenPort },
      socketsAreOpen: !this.#settings.socketsFollowLink,
      wake: () => {
        for (const lane of this.#lanes) lane.wakeNow();
      },
    });
    this.#descriptors = descriptors;
    // The control lane keeps the array that it is given; the machine in it, which needs the key, has a copy.
    const privateKey = config.privateKey && Uint8Array.from(config.privateKey);
    try {
      this.#openControl(privateKey, descriptors);
    } finally {
      privateKey?.fill(0);
    }
    if (txQueueLength !== null) linkInfo(descriptors.ofLane(0).tunFd, this.name, txQueueLength);
    for (let index = 0; index < lanes; index += 1) await this.#openLane(index, descriptors);
    this.#control?.tellIdentity();
    this.configure({ peers: config.peers.map(changeOf) });
    this.#peers?.publish();
    this.#link = this.#openLink(descriptors);
    this.#link.look();
    this.#linkTimer = setInterval(() => this.#eachSecond(), WATCH_INTERVAL_MS);
  }

  status(): DeviceStatus {
    this.#lookAtLink();
    const publicKey = this.#control?.machine.publicKey ?? null;
    return {
      interface: this.name,
      publicKey: publicKey === null ? null : formatKey(publicKey),
      listenPort: this.listenPort,
      fwmark: this.#descriptors?.sockets.fwmark ?? 0,
      mtu: this.#link?.mtu ?? this.#settings.mtu,
      up: this.#link?.isUp ?? false,
      aead: this.#lanes[0]?.aead ?? '',
      lanes: this.#settings.lanes,
      offloads: this.#descriptors?.offloads(!this.#faults.holdsGso) ?? [],
      heldOffloads: this.#faults.held(),
      pid: process.pid,
      ...this.#memory.figures(),
      peers: this.#peers?.status() ?? [],
    };
  }

  configure(given: DeviceChange): void {
    const peers = this.#openPeers();
    const checked = checkChange(given);
    const change = given.privateKey?.every((byte) => byte === 0) ? { ...given, privateKey: null } : given;
    const { own, known } = outlookOf(change, peers, this.#control?.machine.publicKey ?? null);
    const peersAfter = checkPeerCount(checked, known, own);
    if (peersAfter > peers.count) this.#memory.check(peersAfter);
    checkHistories(peers.historiesAfter(change, checked), this.#settings.lanes);
    this.#changeSockets(change);
    peers.apply(change, checked);
  }

  settings(): DeviceSettings {
    const peers = this.#openPeers().settings();
    const privateKey = this.#control?.machine.privateKey ?? null;
    return { privateKey, listenPort: this.listenPort, fwmark: this.#descriptors?.sockets.fwmark ?? 0, peers };
  }

  async snapshot(): Promise<DeviceSnapshot> {
    await Promise.all(this.#lanes.map((lane) => lane.commit()));
    threadUsage(this.#controlLedger.usage);
    this.#controlLedger.commit();
    const lanes = this.#lanes.map((lane) => readPage(lane.page, `lane ${lane.index}`));
    lanes.push(readPage(this.#controlPage, 'control'));
    const { user, system } = process.cpuUsage();
    return {
      interface: this.name,
      aead: this.#lanes[0]?.aead ?? '',
      peersByCipher: this.#control === null ? {} : peersByCipher(this.#control),
      heldOffloads: this.#faults.held(),
      heldGroupPeersCount: this.#control === null ? 0 : heldGroupPeersCount(this.#control),
      histories: this.#control === null ? [] : historiesOf(this.#control, nowMs()),
      takenAtMs: Date.now(),
      wallNs: Number(process.hrtime.bigint() - this.#openedNs),
      ...this.#memory.figures(),
      processCpuNs: (user + system) * 1_000,
      lanes,
      total: sumSnapshots(lanes),
    };
  }

  alsoTry(publicKey: Uint8Array, endpoints: readonly NumericEndpoint[]): void {
    const peer = this.#control?.peerOf(publicKey);
    if (peer !== undefined) this.#control?.initiations.alsoTry(peer.id, endpointsOf(endpoints));
  }

  setPeerEndpoint(publicKey: Uint8Array, endpoint: Endpoint): void {
    const peer = this.#control?.peerOf(publicKey);
    if (peer === undefined)
      throw new GigatunError(
        'NOT_FOUND',
        `expected a peer of ${this.name}, got an unknown public key ${formatKey(publicKey)}`,
      );
    this.#control?.setEndpoint(peer, endpoint);
  }

  close(): Promise<void> {
    return this.#end({ reason: 'closed', error: null });
  }

  #end(end: DeviceEnd): Promise<void> {
    this.#ending ??= end;
    this.#closing ??= this.#closeAll().then(() => this.#resolveClosed(end));
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    if (this.#linkTimer !== null) clearInterval(this.#linkTimer);
    this.#link?.close();
    this.#faults.close();
    this.#peers?.close();
    this.#control?.close();
    if (this.#controlHandle !== null) closeLane(this.#controlHandle.handle);
    await Promise.all(this.#lanes.map((lane) => this.#closeLane(lane)));
    for (let index = this.#lanes.length; index < this.#settings.lanes; index += 1) this.#descriptors?.close(index);
  }

  /** The descriptors go when the thread has ended, and not before: it would write to whatever got their numbers next. */
  async #closeLane(lane: LanePort): Promise<void> {
    if (await lane.close()) this.#descriptors?.close(lane.index);
    else {
      const text = 'a lane does not stop: its TUN queue and its sockets stay open until it does';
      this.#settings.log.warn(text, { interface: this.name, lane: lane.index });
      void lane.ended.then(() => this.#descriptors?.close(lane.index));
    }
  }

  #openControl(privateKey: Uint8Array | null, descriptors: DeviceDescriptors): void {
    const arena = new Uint8Array(new SharedArrayBuffer(CONTROL_ARENA_BYTES));
    const { books } = this.#controlLedger;
    const fds = { ...descriptors.ofLane(0), tunFd: -1 };
    this.#controlHandle = openLane({ arena, books, ...fds, aead: 'openssl', bookTime: false });
    threadUsage(this.#controlLedger.usage);
    this.#controlLedger.begin();
    this.#control = new ControlLane({
      privateKey,
      timing: this.#settings.timing,
      prefersAes: hasFastAes(),
      log: this.#settings.log,
      lanes: this.#settings.lanes,
      arena,
      handle: this.#controlHandle.handle,
      ledger: this.#controlLedger,
      handshakesPending: new Int32Array(this.#memory.handshakesPending),
      indexWatcher: new LiveIndices(this.#liveIndices),
      offloads: {
        datagramsMax: descriptors.limits.gsoDatagramsMax,
        announces: this.#settings.announces,
        mtu: () => this.#link?.mtu ?? this.#settings.mtu,
        log: this.#settings.log,
      },
      candidates: (peer, isRetry) => this.#candidates(peer, isRetry),
      post: (command, to) => this.#post(command, to),
    });
    this.#peers = new DevicePeers({ control: this.#control, post: (command) => this.#post(command, 'all') });
  }

  #candidates({ id, endpoint, cells, currentBornMs }: ControlPeer, isRetry: boolean): Endpoint[] | null {
    const { candidates } = this.#settings;
    if (candidates == null || this.#control === null || this.#closing !== null) return null;
    const heardMs = Math.max(cells[PEER_CELL.LAST_RECEIVED_MS], currentBornMs);
    const silentMs = heardMs > 0 ? nowMs() - heardMs : Number.POSITIVE_INFINITY;
    const publicKey = this.#control.machine.peerPublicKey(id);
    const found = candidates({ publicKey, endpoint: endpoint && numericEndpointOf(endpoint), silentMs, isRetry });
    if (found === null) return null;
    const known = endpoint === null ? [] : [endpoint];
    return endpointsOf(found).map((each) => known.find((present) => isSameRemote(present, each)) ?? each);
  }

  #openLink(descriptors: DeviceDescriptors): DeviceLink {
    return new DeviceLink({
      tunFd: descriptors.ofLane(0).tunFd,
      name: descriptors.name,
      mtu: this.#settings.mtu,
      log: this.#settings.log,
      mtuChanged: (mtu) => this.#post({ type: 'mtu', mtu }, 'all'),
      wentUp: () => this.#wentUp(),
      wentDown: () => this.#wentDown(),
    });
  }

  /** Without its sockets a device stays silent; they are tried again when the interface comes up the next time. */
  #wentUp(): void {
    try {
      this.#descriptors?.sockets.open();
    } catch (error) {
      this.#settings.log.error('the interface is up, but its sockets cannot be opened: set it down, and up again', {
        ...{ interface: this.name, error: String(error) },
      });
      return;
    }
    this.#control?.goUp();
  }

  #wentDown(): void {
    this.#control?.goDown();
    if (this.#settings.socketsFollowLink) this.#descriptors?.sockets.shut();
  }

  /** Sockets that could not be opened when the interface came up may be now. */
  #changeSockets({ listenPort, fwmark }: DeviceChange): void {
    const sockets = this.#descriptors?.sockets;
    if (sockets === undefined) return;
    const wereOpen = sockets.areOpen;
    if (sockets.change(listenPort, fwmark, this.#link?.isUp ?? false)) this.#control?.forgetSources();
    if (sockets.areOpen && !wereOpen) this.#control?.goUp();
  }

  #openPeers(): DevicePeers {
    if (this.#peers === null || this.#closing !== null)
      throw new GigatunError('GONE', `expected ${this.name} to be open, but it has ended: open it again`);
    return this.#peers;
  }

  /** From its start on the lane is among those that are closed with the device, which may end before the lane is ready. */
  async #openLane(index: number, descriptors: DeviceDescriptors): Promise<void> {
    const { timing, mtu, aead, bookTime } = this.#settings;
    const start: LaneStart = {
      index,
      lanes: this.#settings.lanes,
      ...descriptors.ofLane(index),
      page: openPage(),
      handshakesPending: this.#memory.handshakesPending,
      liveIndices: this.#liveIndices,
      timing,
      limits: { ...descriptors.limits, mtu },
      aead,
      bookTime,
    };
    const lane = new LanePort(start, (event, from) => this.#take(event, from), this.#memory.laneLimits);
    this.#lanes.push(lane);
    void lane.ended.then((error) => this.#laneEnded(index, error));
    const failure = await lane.started;
    this.#throwIfEnded();
    if (failure !== null) throw failure;
  }

  #throwIfEnded(): void {
    if (this.#ending === null) return;
    const { error, reason } = this.#ending;
    throw error ?? new GigatunError('GONE', `${this.name} ended while it was being opened: ${reason}`);
  }

  #laneEnded(index: number, error: GigatunError | null): void {
    if (this.#closing !== null) return;
    const cause = error ?? new GigatunError('GONE', `lane ${index} ended unexpectedly`);
    void this.#end({ reason: cause.message, error: cause });
  }

  #post(command: LaneCommand, to: number | 'all' | { readonly except: number }): void {
    for (const lane of this.#lanes) {
      const excluded = typeof to === 'number' ? lane.index !== to : to !== 'all' && lane.index === to.except;
      if (!excluded) lane.post(command);
    }
  }

  #take(event: LaneEvent, lane: number): void {
    if (this.#closing !== null) return;
    if (event.type === 'gone') void this.#end({ reason: event.message, error: null });
    else if (event.type === 'link') this.#linkChanged();
    else if (!this.#faults.take(event, lane)) this.#control?.take(event, lane);
  }

  #eachSecond(): void {
    this.#lookAtLink();
    this.#memory.watch();
    this.#control?.histories.look(nowMs());
    this.#lookAtClock();
  }

  /** Nobody can say how old keypairs are after a suspend: all are given up, and the next packet of each peer gets a new one. */
  #lookAtClock(): void {
    const sleptMs = this.#suspends.look();
    if (sleptMs === 0 || this.#link?.isUp !== true) return;
    this.#settings.log.info('the machine was suspended: sessions start anew', { seconds: Math.round(sleptMs / 1_000) });
    this.#control?.goDown();
    this.#control?.goUp();
  }

  #linkChanged(): void {
    this.#link?.heard();
    this.#control?.paths.linkChanged();
  }

  #lookAtLink(): void {
    if (this.#closing === null) this.#link?.look();
  }
}

/** Peers as they will be when the change's own peers come to be looked at, and the key that names nobody then. */
function outlookOf(
  { privateKey, replacePeers = false }: DeviceChange,
  peers: DevicePeers,
  ownKey: Uint8Array | null,
): { readonly own: Uint8Array | null; readonly known: KnownPeers } {
  const own = privateKey === undefined ? ownKey : privateKey && publicKeyOf(privateKey);
  if (replacePeers) return { own, known: { count: 0, has: () => false } };
  const count = peers.count - Number(own !== null && peers.has(own));
  return { own, known: { count, has: (key) => peers.has(key) } };
}

function changeOf({ allowedIps, endpoint, ...peer }: DeviceConfig['peers'][number]): PeerChange {
  const prefixes = allowedIps.map((prefix) => ({ prefix, remove: false }));
  return { ...peer, allowedIps: prefixes, ...(endpoint === null ? {} : { endpoint }) };
}
