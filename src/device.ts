/**
 * A device: one TUN interface, its outer sockets, its lanes, and the control lane that drives them. This file puts the
 * parts together and takes them apart again; what each part does stands in its own file.
 *
 * Order of opening: TUN queues, sockets, control lane, lanes, peers and routes. Closing is the reverse; whatever fails
 * half way closes what was opened before.
 */

import { closeSync, readFileSync } from 'node:fs';
import type { DeviceConfig, NumericEndpoint, PeerConfig } from './control/config-types.ts';
import { formatAddress, formatPrefix, parseAddress } from './control/ip-text.ts';
import { formatKey } from './control/key-text.ts';
import { CONTROL_ARENA_BYTES, ControlLane, type ControlPeer } from './control-lane.ts';
import type { Device, DeviceEnd, DeviceOptions, DeviceStatus, PeerStatus } from './device-types.ts';
import { GigatunError } from './errors.ts';
import type { LaneStart } from './lane.ts';
import { LanePort } from './lane-port.ts';
import { Ledger } from './ledger/ledger.ts';
import { openPage } from './ledger/page.ts';
import { type DeviceSnapshot, readPage, sumSnapshots } from './ledger/snapshot.ts';
import { closeLane, linkInfo, openLane, openTun, threadUsage } from './native/addon.ts';
import { TUN_OFFLOAD } from './native/layout.ts';
import type { LaneOpened, LinkInfo, TunOpened } from './native/types.ts';
import type { Endpoint } from './packet/endpoint.ts';
import { WIREGUARD_TIMING } from './protocol/constants.ts';
import { closeSockets, openSockets, type Sockets } from './sockets.ts';
import { buildAllowedIps } from './tables/allowed-ips.ts';
import type { LaneCommand, LaneEvent } from './tables/lane-messages.ts';

export type { Device, DeviceEnd, DeviceOptions, DeviceStatus, PeerStatus } from './device-types.ts';

/** Largest inner packet over an outer path of 1,500 bytes: 1500 - 40 (IPv6) - 8 (UDP) - 32 (message). */
export const DEFAULT_MTU = 1420;
const LANES_MAX = 64;
const LINK_POLL_MS = 1_000;
const SNAPSHOT_TIMEOUT_MS = 1_000;

/** Opens a device; rejects with GigatunError and leaves nothing behind. */
export async function openDevice(options: DeviceOptions): Promise<Device> {
  const lanes = options.lanes ?? 1;
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > LANES_MAX)
    throw new GigatunError('CONFIG', `expected 1 to ${LANES_MAX} lanes, got ${lanes}`);
  const device = new TunnelDevice(options, lanes);
  try {
    await device.open();
  } catch (error) {
    await device.close();
    throw error;
  }
  return device;
}

interface DevicePeer {
  readonly config: PeerConfig;
  readonly control: ControlPeer;
}

class TunnelDevice implements Device {
  readonly closed: Promise<DeviceEnd>;
  readonly #options: DeviceOptions;
  readonly #laneCount: number;
  readonly #queues: TunOpened[] = [];
  readonly #lanes: LanePort[] = [];
  readonly #handshakesPending: SharedArrayBuffer = new SharedArrayBuffer(4);
  readonly #controlPage: SharedArrayBuffer = openPage();
  readonly #controlLedger: Ledger = new Ledger(this.#controlPage);
  readonly #openedNs: bigint = process.hrtime.bigint();
  readonly #snapshotWaiters: Map<number, () => void> = new Map();
  readonly #peers: Map<string, DevicePeer> = new Map();
  #sockets: Sockets | null = null;
  #controlHandle: LaneOpened | null = null;
  #control: ControlLane | null = null;
  #linkTimer: NodeJS.Timeout | null = null;
  #link: LinkInfo;
  #lastSnapshotId = 0;
  #gsoDemoted = false;
  #closing: Promise<void> | null = null;
  #resolveClosed: (end: DeviceEnd) => void = () => undefined;

  constructor(options: DeviceOptions, lanes: number) {
    this.#options = options;
    this.#laneCount = lanes;
    this.#link = { index: 0, mtu: options.mtu ?? DEFAULT_MTU, up: false };
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get name(): string {
    return this.#queues[0]?.name ?? this.#options.name;
  }

  get listenPort(): number {
    return this.#sockets?.port ?? 0;
  }

  async open(): Promise<void> {
    const { config } = this.#options;
    this.#openQueues();
    this.#sockets = openSockets(this.#laneCount, config.listenPort, config.fwmark);
    this.#openControl(config);
    for (let index = 0; index < this.#laneCount; index += 1) await this.#openLane(index);
    for (const peer of config.peers) this.#addPeer(peer);
    this.#publishRoutes();
    this.#linkTimer = setInterval(() => this.#followLink(), LINK_POLL_MS);
  }

  status(): DeviceStatus {
    this.#followLink();
    const { config } = this.#options;
    const publicKey = this.#control?.machine.publicKey ?? null;
    return {
      interface: this.name,
      publicKey: publicKey === null ? null : formatKey(publicKey),
      listenPort: this.listenPort,
      fwmark: config.fwmark,
      mtu: this.#link.mtu,
      up: this.#link.up,
      aead: this.#lanes[0]?.aead ?? '',
      lanes: this.#laneCount,
      offloads: this.#offloads(),
      pid: process.pid,
      peers: [...this.#peers.values()].map((peer) => this.#peerStatus(peer)),
    };
  }

  async snapshot(): Promise<DeviceSnapshot> {
    await Promise.all(this.#lanes.map((lane) => this.#commitLane(lane)));
    threadUsage(this.#controlLedger.usage);
    this.#controlLedger.commit();
    const lanes = this.#lanes.map((lane) => readPage(lane.page, `lane ${lane.index}`));
    lanes.push(readPage(this.#controlPage, 'control'));
    const { user, system } = process.cpuUsage();
    return {
      interface: this.name,
      aead: this.#lanes[0]?.aead ?? '',
      takenAtMs: Date.now(),
      wallNs: Number(process.hrtime.bigint() - this.#openedNs),
      rssBytes: process.memoryUsage.rss(),
      processCpuNs: (user + system) * 1_000,
      lanes,
      total: sumSnapshots(lanes),
    };
  }

  setPeerEndpoint(publicKey: Uint8Array, endpoint: Endpoint): void {
    const peer = this.#peers.get(formatKey(publicKey));
    if (peer === undefined)
      throw new GigatunError(
        'NOT_FOUND',
        `expected a peer of ${this.name}, got an unknown public key ${formatKey(publicKey)}`,
      );
    this.#control?.setEndpoint(peer.control, endpoint);
  }

  close(): Promise<void> {
    return this.#end({ reason: 'closed', error: null });
  }

  #end(end: DeviceEnd): Promise<void> {
    this.#closing ??= this.#closeAll().then(() => this.#resolveClosed(end));
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    if (this.#linkTimer !== null) clearInterval(this.#linkTimer);
    this.#control?.close();
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    if (this.#controlHandle !== null) closeLane(this.#controlHandle.handle);
    if (this.#sockets !== null) closeSockets(this.#sockets);
    for (const queue of this.#queues) closeSync(queue.fd);
  }

  #openQueues(): void {
    const { CSUM, TSO4, TSO6, USO4, USO6 } = TUN_OFFLOAD;
    const offloads = CSUM | TSO4 | TSO6 | USO4 | USO6;
    for (let queue = 0; queue < this.#laneCount; queue += 1)
      this.#queues.push(openTun({ name: this.name, multiQueue: this.#laneCount > 1, offloads }));
  }

  #openControl(config: DeviceConfig): void {
    const arena = new Uint8Array(new SharedArrayBuffer(CONTROL_ARENA_BYTES));
    const { books } = this.#controlLedger;
    const sockets = this.#sockets?.lanes[0];
    const fds = { tunFd: -1, udp4Fd: sockets?.ipv4?.fd ?? -1, udp6Fd: sockets?.ipv6?.fd ?? -1 };
    this.#controlHandle = openLane({ arena, books, ...fds, aead: 'openssl', bookTime: false });
    threadUsage(this.#controlLedger.usage);
    this.#controlLedger.begin();
    this.#control = new ControlLane({
      privateKey: config.privateKey,
      timing: this.#options.timing ?? WIREGUARD_TIMING,
      lanes: this.#laneCount,
      arena,
      handle: this.#controlHandle.handle,
      ledger: this.#controlLedger,
      handshakesPending: new Int32Array(this.#handshakesPending),
      post: (command, to) => this.#post(command, to),
    });
  }

  async #openLane(index: number): Promise<void> {
    const sockets = this.#sockets?.lanes[index];
    const { timing, mtu, aead, bookTime } = this.#options;
    const start: LaneStart = {
      index,
      tunFd: this.#queues[index].fd,
      udp4Fd: sockets?.ipv4?.fd ?? -1,
      udp6Fd: sockets?.ipv6?.fd ?? -1,
      page: openPage(),
      handshakesPending: this.#handshakesPending,
      timing: timing ?? WIREGUARD_TIMING,
      limits: {
        gsoDatagramsMax: this.#gsoDatagramsMax(),
        udpSuperPackets: this.#takesUdpSuperPackets(),
        mtu: mtu ?? DEFAULT_MTU,
      },
      aead: aead ?? 'auto',
      bookTime: bookTime ?? true,
    };
    const lane = await LanePort.open(start, (event, from) => this.#take(event, from));
    this.#lanes.push(lane);
    void lane.ended.then((error) => this.#laneEnded(index, error));
  }

  /** Groups must fit the weaker of the two families' sockets. */
  #gsoDatagramsMax(): number {
    const sockets = (this.#sockets?.lanes ?? []).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
    return Math.min(...sockets.map((socket) => socket?.gsoDatagramsMax ?? Number.POSITIVE_INFINITY));
  }

  #takesUdpSuperPackets(): boolean {
    const both = TUN_OFFLOAD.USO4 | TUN_OFFLOAD.USO6;
    return ((this.#queues[0]?.offloads ?? 0) & both) === both;
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
    else if (event.type === 'snapshot') this.#snapshotWaiters.get(event.id)?.();
    else if (event.type === 'gsoDemoted') this.#noteGsoDemoted(event.errno);
    else this.#control?.take(event, lane);
  }

  #noteGsoDemoted(errno: number): void {
    this.#gsoDemoted = true;
    this.#options.log.warn('UDP GSO failed where single datagrams pass; it is off from now on', { errno });
  }

  #commitLane(lane: LanePort): Promise<void> {
    this.#lastSnapshotId += 1;
    const id = this.#lastSnapshotId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(), SNAPSHOT_TIMEOUT_MS);
      const finish = (): void => {
        clearTimeout(timer);
        this.#snapshotWaiters.delete(id);
        resolve();
      };
      this.#snapshotWaiters.set(id, finish);
      lane.post({ type: 'snapshot', id });
    });
  }

  #addPeer(config: PeerConfig): void {
    const control = this.#control;
    if (control === null) return;
    const endpoint = config.endpoint === null ? null : endpointOf(config.endpoint);
    const { publicKey, presharedKey, persistentKeepaliveSeconds } = config;
    const peer = control.addPeer(publicKey, presharedKey, endpoint, persistentKeepaliveSeconds);
    this.#peers.set(formatKey(publicKey), { config, control: peer });
  }

  #publishRoutes(): void {
    const prefixes = [...this.#peers.values()].flatMap(({ config, control }) =>
      config.allowedIps.map(({ address, length }) => ({ address, length, peer: control.id })),
    );
    const { ipv4, ipv6 } = buildAllowedIps(prefixes);
    this.#post({ type: 'routes', ipv4, ipv6 }, 'all');
  }

  /** The interface's MTU and state may change at any time; lanes pad by the MTU. */
  #followLink(): void {
    const fd = this.#queues[0]?.fd;
    if (fd === undefined) return;
    try {
      const link = linkInfo(fd, this.name);
      // Until the interface is up, its MTU is not the one that it will have.
      if (!link.up && !this.#link.up) return;
      if (link.mtu !== this.#link.mtu) this.#post({ type: 'mtu', mtu: link.mtu }, 'all');
      this.#link = link;
    } catch (error) {
      // The interface may be on its way out, which the lanes notice, or in another namespace.
      this.#options.log.debug('the interface could not be read', { error: String(error) });
    }
  }

  #offloads(): string[] {
    const accepted = this.#queues[0]?.offloads ?? 0;
    const sockets = this.#sockets?.lanes[0];
    const tun = Object.entries(TUN_OFFLOAD).flatMap(([name, bit]) =>
      (accepted & bit) === 0 ? [] : [name.toLowerCase()],
    );
    const gso = this.#gsoDatagramsMax() > 1 && !this.#gsoDemoted ? ['gso'] : [];
    const gro = (sockets?.ipv4?.gro ?? sockets?.ipv6?.gro) ? ['gro'] : [];
    return [...tun, ...gso, ...gro];
  }

  #peerStatus({ config, control }: DevicePeer): PeerStatus {
    const machine = this.#control?.machine.status(control.id);
    const transfer = this.#control?.transfer(control);
    return {
      publicKey: formatKey(config.publicKey),
      endpoint: control.endpoint === null ? null : formatEndpoint(control.endpoint),
      allowedIps: config.allowedIps.map(formatPrefix),
      latestHandshakeMs: machine?.lastHandshakeRealMs ?? 0,
      rxBytes: transfer?.receivedBytes ?? 0,
      txBytes: transfer?.sentBytes ?? 0,
      persistentKeepaliveSeconds: config.persistentKeepaliveSeconds,
      hasPresharedKey: config.presharedKey !== null,
      lastFailure: machine?.lastFailure ?? null,
    };
  }
}

function endpointOf({ address, port }: NumericEndpoint): Endpoint {
  const [numeric = '', zone] = address.split('%');
  const bytes = parseAddress(numeric);
  if (bytes === null)
    throw new GigatunError('CONFIG', `expected a numeric endpoint address, got '${address}': resolve names first`);
  const scope = zone === undefined ? 0 : scopeOf(zone);
  return { family: bytes.length === 4 ? 4 : 6, address: bytes, port, scope, localAddress: null, localInterface: 0 };
}

/** Interface index of an IPv6 zone: a number, or the name of an interface of this host. */
function scopeOf(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  try {
    return Number(readFileSync(`/sys/class/net/${zone}/ifindex`, 'utf8'));
  } catch (cause) {
    throw new GigatunError('NOT_FOUND', `expected an interface of this host behind '%', got '${zone}'`, { cause });
  }
}

function formatEndpoint({ family, address, port }: Endpoint): string {
  return family === 4 ? `${formatAddress(address)}:${port}` : `[${formatAddress(address)}]:${port}`;
}
