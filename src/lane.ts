/**
 * One worker's loop: it waits for its TUN queue, its sockets, or a word from the control lane, and moves one batch in
 * each direction per turn, to completion.
 *
 *     outbound: read (TUN) -> route -> split -> seal -> TX history -> send (UDP)
 *     inbound:  receive (UDP) -> unseal -> RX history -> verify -> coalesce -> write (TUN)
 *
 * A lane owns its arena, its books and its view of the peers. It never runs the event loop: it blocks in one native
 * wait, and commands are taken from the port when the eventfd says so.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { closeFec, settleFec } from './history/fec/fec.ts';
import { PeerHistory } from './history/peer-history.ts';
import { HISTORIES_BYTES_MAX } from './history/settings.ts';
import { HandshakeGate } from './inbound/handshake-gate.ts';
import { InboundPath } from './inbound/receive.ts';
import { LaneContext, type LaneLimits } from './lane-context.ts';
import { ACTIVITY, COUNTER } from './ledger/catalog.ts';
import { Ledger } from './ledger/ledger.ts';
import { collectGarbage } from './memory/collect.ts';
import * as addon from './native/addon.ts';
import { CIPHER_NUMBERS } from './native/cipher-number.ts';
import { BOOKS, ENDPOINT, READY } from './native/layout.ts';
import { OutboundPath } from './outbound/read.ts';
import { STAGED_PER_PEER } from './outbound/stage.ts';
import { Arena } from './packet/arena.ts';
import { readEndpoint, writeEndpoint } from './packet/endpoint.ts';
import { PART_ALIGNMENT } from './packet/region-pool.ts';
import type { LanePaths } from './path/path-types.ts';
import type { Timing } from './protocol/constants.ts';
import { KeypairMemory } from './tables/keypair-memory.ts';
import type { LaneCommand, LaneEvent, PeerEntry } from './tables/lane-messages.ts';
import { LiveIndices } from './tables/live-indices.ts';
import { LaneKeypair, LanePeer } from './tables/peers.ts';

/** The books are committed to shared memory at most this often while a lane is busy, and whenever a snapshot is taken. */
const COMMIT_INTERVAL_NS = 1e8;
/** Staged packets of all peers of a lane: four peers' worth, or one where packets are long. */
const STAGED_PACKETS = 4 * STAGED_PER_PEER;
const STAGED_LONG_BYTES = 4_096;
/** The control lane is told of roaming at most this often, ms. */
const ROAM_INTERVAL_MS = 100;
/** Of the queue to the control lane strangers get this share. */
const STRANGERS_SHARE = 0.75;
/** Room for a staged packet on top of the MTU. */
const STAGED_SLACK = 64;

/** What a lane is started with. Descriptors stay the control lane's to close. */
export interface LaneStart {
  readonly index: number;
  /** Lanes of the device. */
  readonly lanes: number;
  readonly tunFd: number;
  readonly udp4Fd: number;
  readonly udp6Fd: number;
  readonly page: SharedArrayBuffer;
  /** Two Int32: handshake messages on their way to the control lane, and how many there may be. */
  readonly handshakesPending: SharedArrayBuffer;
  /** Of LiveIndices. */
  readonly liveIndices: SharedArrayBuffer;
  readonly timing: Timing;
  readonly limits: LaneLimits;
  readonly aead: 'auto' | 'openssl' | 'ipsec-mb';
  readonly bookTime: boolean;
}

/** Runs a lane until it is told to close or its TUN is gone. */
export function runLane(start: LaneStart, port: MessagePort): void {
  const lane = new Lane(start, port);
  try {
    lane.loop();
  } finally {
    lane.close();
  }
}

class Lane {
  readonly #index: number;
  readonly #port: MessagePort;
  readonly #context: LaneContext;
  readonly #outbound: OutboundPath;
  readonly #inbound: InboundPath;
  readonly #gate: HandshakeGate;
  readonly #handshakesPending: Int32Array;
  /** Keypairs by id. */
  readonly #keypairs: Map<number, LaneKeypair> = new Map();
  #watched: number;
  #closing = false;
  #committedNs = 0;
  #toldRoamedMs = 0;

  constructor(start: LaneStart, port: MessagePort) {
    this.#index = start.index;
    this.#port = port;
    this.#handshakesPending = new Int32Array(start.handshakesPending);
    const stagedPacketBytes = Math.ceil((start.limits.mtu + STAGED_SLACK) / 16) * 16;
    const stagedPackets = stagedPacketBytes > STAGED_LONG_BYTES ? STAGED_PER_PEER : STAGED_PACKETS;
    const arena = new Arena(stagedPackets * stagedPacketBytes, HISTORIES_BYTES_MAX + PART_ALIGNMENT);
    const ledger = new Ledger(start.page);
    const { tunFd, udp4Fd, udp6Fd, aead, bookTime } = start;
    const watchesLink = start.index === 0;
    const opened = addon.openLane({
      ...{ arena: arena.bytes, books: ledger.books, tunFd, udp4Fd, udp6Fd, aead, bookTime },
      watchLink: watchesLink,
    });
    addon.threadUsage(ledger.usage);
    ledger.begin();
    const notify = (event: LaneEvent): void => port.postMessage(event);
    this.#context = new LaneContext(addon, opened.handle, arena, ledger, start.timing, start.limits, notify);
    this.#outbound = new OutboundPath(this.#context, stagedPacketBytes);
    const live = new LiveIndices(start.liveIndices);
    this.#gate = new HandshakeGate(this.#context, start.lanes, live, (isWorthy) => this.#admitHandshake(isWorthy));
    this.#inbound = new InboundPath(this.#context, this.#gate);
    this.#watched = READY.WAKE | READY.TUN | (watchesLink ? READY.LINK : 0);
    this.#watched |= (udp4Fd < 0 ? 0 : READY.UDP4) | (udp6Fd < 0 ? 0 : READY.UDP6);
    notify({ type: 'ready', wakeFd: opened.wakeFd, aead: opened.aead });
  }

  loop(): void {
    const { native, handle } = this.#context;
    while (!this.#closing) {
      const ready = native.wait(handle, this.#waitMs(), this.#watched, ACTIVITY.USER_CONTROL);
      if ((ready & READY.WAKE) !== 0) this.#takeCommands();
      if ((ready & READY.LINK) !== 0) this.#context.notify({ type: 'link' });
      if ((ready & READY.TUN_FAILED) !== 0) this.#tunIsGone('the interface was deleted');
      if ((ready & READY.TUN) !== 0) this.#readTun();
      if ((ready & READY.UDP4) !== 0) this.#inbound.turn(4);
      if ((ready & READY.UDP6) !== 0) this.#inbound.turn(6);
      this.#endTurn();
    }
  }

  close(): void {
    this.#gate.close();
    this.#commit();
    this.#context.native.closeLane(this.#context.handle);
    this.#port.close();
  }

  #readTun(): void {
    try {
      this.#outbound.turn();
    } catch (error) {
      if (!(error instanceof Error) || !('syscall' in error)) throw error;
      this.#tunIsGone(error.message);
    }
  }

  /** Nothing is left to move; the lane waits to be closed, for the control lane still wakes it. */
  #tunIsGone(message: string): void {
    this.#watched = READY.WAKE;
    this.#context.notify({ type: 'gone', message });
  }

  /** For ever, unless the control lane is still to be told of roaming, or something is due for a history. */
  #waitMs(): number {
    const { roamed, due } = this.#context;
    const roamMs = roamed.size === 0 ? Number.POSITIVE_INFINITY : ROAM_INTERVAL_MS;
    if (due.ms === Number.POSITIVE_INFINITY) return roamMs === Number.POSITIVE_INFINITY ? -1 : roamMs;
    return Math.max(0, Math.min(roamMs, Math.ceil(due.ms - this.#context.nowMs())));
  }

  /** Does what is due for histories; the clock may have been early. */
  #obeyClock(): void {
    const { due, histories } = this.#context;
    const nowMs = this.#context.nowMs();
    due.clear();
    for (const history of histories) {
      if (history.sendDueMs <= nowMs) this.#outbound.sendDue(history, nowMs);
      if (history.receiveDueMs <= nowMs) this.#inbound.due(history);
      due.expect(history.dueMs);
    }
  }

  #tellRoamed(): void {
    const { roamed, notify } = this.#context;
    const nowMs = this.#context.nowMs();
    if (nowMs - this.#toldRoamedMs < ROAM_INTERVAL_MS) return;
    this.#toldRoamedMs = nowMs;
    for (const peer of roamed) {
      const endpoint = readEndpoint(new Uint8Array(peer.endpoint.buffer), 0);
      if (endpoint !== null) notify({ type: 'roamed', peer: peer.id, endpoint, serial: peer.endpointSerial });
    }
    roamed.clear();
  }

  #endTurn(): void {
    const { ledger } = this.#context;
    if (this.#context.roamed.size > 0) this.#tellRoamed();
    if (this.#context.due.ms <= this.#context.nowMs()) this.#obeyClock();
    ledger.counts[COUNTER.TURNS] += 1;
    const nowNs = ledger.books[BOOKS.NOW_NS];
    if (nowNs - this.#committedNs < COMMIT_INTERVAL_NS) return;
    this.#committedNs = nowNs;
    ledger.commit();
  }

  /** An exact commit: time up to now, and what the kernel says of this thread at the same moment. */
  #commit(): void {
    const { ledger } = this.#context;
    this.#context.bookControl();
    addon.threadUsage(ledger.usage);
    ledger.commit();
  }

  /** The last quarter of the queue's places is kept for those who are no strangers. */
  #admitHandshake(isWorthy: boolean): boolean {
    const max = Atomics.load(this.#handshakesPending, 1) * (isWorthy ? 1 : STRANGERS_SHARE);
    if (Atomics.add(this.#handshakesPending, 0, 1) < max) return true;
    Atomics.sub(this.#handshakesPending, 0, 1);
    return false;
  }

  #takeCommands(): void {
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port))
      this.#obey(next.message as LaneCommand);
  }

  #obey(command: LaneCommand): void {
    switch (command.type) {
      case 'peers':
        for (const entry of command.peers) this.#addPeer(entry);
        break;
      case 'routes':
        this.#context.ipv4Routes = command.ipv4;
        this.#context.ipv6Routes = command.ipv6;
        break;
      case 'mtu':
        this.#context.limits.mtu = command.mtu;
        break;
      case 'identity':
        this.#gate.setIdentity(command.publicKey);
        break;
      case 'collect':
        collectGarbage();
        break;
      case 'dropAllStaged':
        for (const peer of this.#context.peers) if (peer !== undefined) this.#outbound.dropStaged(peer);
        break;
      case 'forgetSources':
        for (const peer of this.#context.peers) peer?.endpoint.fill(0, ENDPOINT.LOCAL_ADDRESS, ENDPOINT.WORDS);
        break;
      case 'mark':
        this.#context.notify({ type: 'marked', token: command.token });
        break;
      case 'snapshot':
        this.#commit();
        this.#context.notify({ type: 'snapshot', id: command.id });
        break;
      case 'close':
        this.#closing = true;
        break;
      default: {
        const peer = this.#context.peers[command.peer];
        if (peer !== undefined) this.#obeyForPeer(command, peer);
      }
    }
  }

  #addPeer({ peer: id, memory, offset, endpoint }: PeerEntry): void {
    const peer = new LanePeer(id, memory, this.#index, offset);
    if (endpoint !== null) writeEndpoint(new Uint8Array(peer.endpoint.buffer), 0, endpoint);
    this.#context.peers[id] = peer;
  }

  #obeyForPeer(command: PeerCommand, peer: LanePeer): void {
    switch (command.type) {
      case 'unpeer':
        this.#outbound.dropStaged(peer);
        this.#context.roamed.delete(peer);
        this.#dropHistory(peer);
        this.#context.peers[command.peer] = undefined;
        break;
      case 'endpoint':
        writeEndpoint(new Uint8Array(peer.endpoint.buffer), 0, command.endpoint);
        peer.endpointSerial = command.serial;
        this.#context.roamed.delete(peer);
        break;
      case 'groups':
        peer.groupDatagramsMax = command.datagramsMax;
        peer.groupShortTail = command.shortTail;
        break;
      case 'install':
        this.#install(command, peer);
        break;
      case 'promote':
        this.#promote(command.keypair, peer, command.confirm);
        break;
      case 'retire':
        this.#retire(command.keypair, peer);
        break;
      case 'keepalive':
        this.#outbound.keepalive(peer);
        break;
      case 'control':
        this.#outbound.sendControl(peer, command.groups, command.path);
        break;
      case 'history':
        this.#setHistory(peer, command);
        break;
      case 'paths':
        this.#setPaths(peer, command.paths);
        break;
      case 'dropStaged':
        this.#outbound.dropStaged(peer);
        break;
    }
  }

  #setHistory(peer: LanePeer, { settings, memory }: HistoryCommand): void {
    if (settings === null) {
      this.#dropHistory(peer);
      return;
    }
    peer.history ??= new PeerHistory(peer, memory, this.#index);
    peer.history.clock = this.#context.due;
    this.#inbound.releaseOrdered(peer.history);
    if (settings.fec.mode === 'off') closeFec(peer.history);
    peer.history.setSettings(settings, this.#context.historyPool);
    settleFec(this.#context, peer.history);
    this.#context.histories.add(peer.history);
  }

  #setPaths({ history }: LanePeer, paths: LanePaths): void {
    if (history === null) return;
    history.setPaths(paths, this.#context.nowMs());
    this.#outbound.pathsChanged(history);
  }

  #dropHistory(peer: LanePeer): void {
    if (peer.history === null) return;
    this.#context.histories.delete(peer.history);
    this.#inbound.releaseOrdered(peer.history);
    closeFec(peer.history);
    peer.history.close(this.#context.historyPool);
    peer.history = null;
  }

  #install(command: InstallCommand, peer: LanePeer): void {
    const { native, handle, receivers } = this.#context;
    const { keypair: id, localIndex, remoteIndex, initiator, bornMs } = command;
    const memory = new KeypairMemory(command.memory, command.offset);
    const unconfirmed = command.place === 'next';
    const cipher = CIPHER_NUMBERS[command.cipher];
    const keypair = new LaneKeypair(peer, id, localIndex, remoteIndex, initiator, bornMs, memory, unconfirmed);
    native.setKey(handle, keypair.sendKeySlot, command.sendKey, cipher);
    native.setKey(handle, keypair.receiveKeySlot, command.receiveKey, cipher);
    command.sendKey.fill(0);
    command.receiveKey.fill(0);
    this.#keypairs.set(id, keypair);
    receivers.set(localIndex, keypair);
    // A next keypair that another overtook is the previous one: its first message confirms nothing.
    if (peer.next !== null && !unconfirmed) peer.next.unconfirmed = false;
    peer.next = unconfirmed ? keypair : null;
    this.#context.notify({ type: 'installed', token: command.token });
  }

  #promote(id: number, peer: LanePeer, confirm: boolean): void {
    const keypair = this.#keypairs.get(id);
    if (keypair === undefined) return;
    keypair.unconfirmed = false;
    if (peer.next === keypair) peer.next = null;
    peer.current = keypair;
    const released = this.#outbound.release(peer);
    if (confirm && !released) this.#outbound.keepalive(peer);
  }

  #retire(id: number, peer: LanePeer): void {
    const keypair = this.#keypairs.get(id);
    if (keypair === undefined) return;
    const { native, handle, receivers } = this.#context;
    this.#keypairs.delete(id);
    receivers.delete(keypair.localIndex);
    if (peer.current === keypair) peer.current = null;
    if (peer.next === keypair) peer.next = null;
    native.setKey(handle, keypair.sendKeySlot, null);
    native.setKey(handle, keypair.receiveKeySlot, null);
  }
}

type InstallCommand = Extract<LaneCommand, { type: 'install' }>;
type HistoryCommand = Extract<LaneCommand, { type: 'history' }>;
type PeerCommand = Extract<LaneCommand, { peer: number }>;
