/**
 * An end under attack: the stages of a lane over a fake addon, and the control lane's part of paths in fake time, as the real ones
 * are put together. The attacker holds the peer's keys: what it seals is authentic, from whatever address it sends. All that leaves
 * is looked at: what goes where, and how much of it was sent before.
 */
import { vi } from 'vitest';
import type { Logger } from '../../src/control/log.ts';
import { closeFec, settleFec } from '../../src/history/fec/fec.ts';
import { HISTORY_CELL } from '../../src/history/history-cells.ts';
import { PeerHistory } from '../../src/history/peer-history.ts';
import type { HistorySettings } from '../../src/history/settings.ts';
import { InboundPath } from '../../src/inbound/receive.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import { type Endpoint, readEndpoint, writeEndpoint } from '../../src/packet/endpoint.ts';
import { PathControl } from '../../src/path/path-control.ts';
import { firstOf } from '../../src/path/path-news.ts';
import { CONTROL_HEADER_LENGTH, CONTROL_KIND, controlKind } from '../../src/protocol/control-header.ts';
import type { LaneCommand, LaneEvent } from '../../src/tables/lane-messages.ts';
import { type LanePeer, PEER_CELL } from '../../src/tables/peers.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { FakeLane, openMessage, transportMessage } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';
import { plainFromTun } from '../support/virtio.ts';

const HISTORIES_BYTES = 16_777_216;
const CAPABILITIES = 0xff;
const QUIET: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A datagram that left. */
export interface Left {
  readonly to: Endpoint;
  readonly length: number;
  readonly counter: number;
  readonly receiver: number;
  readonly plaintext: Uint8Array;
  /** Kind of a control message; 0 for all else. */
  readonly kind: number;
  /** Whether the same counter left before. */
  readonly isAgain: boolean;
}

export class HostilePeer {
  readonly lane: FakeLane = new FakeLane({ historiesBytes: HISTORIES_BYTES, tcpSuperPackets: false });
  readonly peer: LanePeer;
  readonly paths: PathControl;
  /** Keypairs that were made; the last one is the present one. */
  keypairs = 0;
  /** How often another path became the first. */
  switches = 0;
  firstBytes = 0;
  againBytes = 0;
  /** Inner packets that the attacker sealed; and those that were delivered, with how often. */
  readonly sealed: Set<string> = new Set();
  readonly delivered: Map<string, number> = new Map();
  readonly #outbound: OutboundPath;
  readonly #inbound: InboundPath;
  readonly #sent: Map<string, string> = new Map();
  #endpoint: Endpoint;
  #first = -1;

  constructor(settings: HistorySettings, endpoint: Endpoint) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { lane } = this;
    this.peer = lane.addPeer(0, endpoint);
    this.#endpoint = endpoint;
    lane.route([
      { address: Uint8Array.of(10, 0, 1, 0), length: 24, peer: 0 },
      { address: Uint8Array.of(10, 0, 0, 0), length: 25, peer: 0 },
    ]);
    this.#outbound = new OutboundPath(lane.context, 1_500);
    this.#inbound = new InboundPath(lane.context, openGate(lane));
    this.rekey();
    this.paths = this.#openPaths();
    this.paths.configure(0, 'liar', settings);
  }

  #openPaths(): PathControl {
    const { lane } = this;
    const local = { addressesOf: () => [], has: () => true, indexOf: () => 0 };
    return new PathControl({
      ...{ lanes: 1, log: QUIET, nowMs: () => lane.addon.nowMs, local: () => local },
      peer: () => this.#facts(),
      capabilities: () => CAPABILITIES,
      offer: () => {},
      move: (_id, to) => this.#place(to),
      wantHandshake: () => {},
      rest: () => {},
      booked: () => undefined,
      begins: () => {},
      post: (command) => this.#obey(command),
    });
  }

  #facts(): ReturnType<ConstructorParameters<typeof PathControl>[0]['peer']> {
    const { cells, sentBytesCell, receivedBytesCell } = this.peer;
    return {
      ...{ isUp: true, endpoint: this.#endpoint, persistentKeepaliveSeconds: 0 },
      unansweredSinceMs: cells[PEER_CELL.UNANSWERED_SINCE_MS],
      bytes: cells[sentBytesCell] + cells[receivedBytesCell],
    };
  }

  #place(to: Endpoint): void {
    this.#endpoint = to;
    writeEndpoint(new Uint8Array(this.peer.endpoint.buffer), 0, to);
  }

  /** As a lane does it. */
  #obey(command: LaneCommand): void {
    const { lane, peer } = this;
    if (command.type === 'control') this.#outbound.sendControl(peer, command.groups, command.path);
    else if (command.type === 'history') this.#setHistory(command.settings, command.memory);
    else if (command.type === 'paths' && peer.history !== null) {
      const first = firstOf(command.paths);
      if (first !== this.#first) this.switches += 1;
      this.#first = first;
      peer.history.setPaths(command.paths, lane.context.nowMs());
      this.#outbound.pathsChanged(peer.history);
    }
  }

  #setHistory(settings: HistorySettings | null, memory: SharedArrayBuffer): void {
    const { peer } = this;
    const { context } = this.lane;
    if (settings === null) {
      if (peer.history === null) return;
      context.histories.delete(peer.history);
      this.#inbound.releaseOrdered(peer.history);
      closeFec(peer.history);
      peer.history.close(context.historyPool);
      peer.history = null;
      return;
    }
    peer.history ??= new PeerHistory(peer, memory, 0);
    peer.history.clock = context.due;
    peer.history.setSettings(settings, context.historyPool);
    settleFec(context, peer.history);
    context.histories.add(peer.history);
  }

  /** A new keypair, as after a handshake; the last two may be received on. */
  rekey(): void {
    const { lane, peer, keypairs } = this;
    peer.current = lane.addKeypair(peer, { id: keypairs, bornMs: lane.addon.nowMs });
    lane.context.receivers.delete(1_000 + keypairs - 2);
    this.keypairs += 1;
  }

  /** The local user sends packets of this length. */
  send(count: number, length: number): void {
    for (let packet = 0; packet < count; packet += 1)
      this.lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 0, length, packet)));
  }

  /** What the attacker seals with keypair `id`; an inner packet (`isData`) may be delivered, once. */
  seal(plaintext: Uint8Array, counter: number, id: number, isData: boolean): Uint8Array {
    if (isData) this.sealed.add(Buffer.from(plaintext).toString('hex'));
    return transportMessage(1_000 + id, counter, plaintext, id);
  }

  /** Does all that is to be done, lets time pass, and returns what left. */
  turn(ms: number): Left[] {
    const { lane } = this;
    while (this.#inbound.turn(4) > 0);
    while (this.#outbound.turn() > 0);
    this.#tellControl();
    lane.addon.nowMs += ms;
    lane.addon.book(lane.context.handle, 0);
    vi.advanceTimersByTime(ms);
    this.#obeyClock();
    for (const { packet } of lane.addon.tunWrites.splice(0)) this.#deliver(packet);
    lane.addon.udpTries.length = 0;
    return lane.addon.udpSends
      .splice(0)
      .flatMap(({ endpoint, datagrams }) => datagrams.map((datagram) => this.#note(datagram, endpoint)));
  }

  #obeyClock(): void {
    const { due, histories } = this.lane.context;
    const { nowMs } = this.lane.addon;
    due.clear();
    for (const history of histories) {
      if (history.sendDueMs <= nowMs) this.#outbound.sendDue(history, nowMs);
      if (history.receiveDueMs <= nowMs) this.#inbound.due(history);
    }
  }

  #tellControl(): void {
    const { events, context } = this.lane;
    for (const peer of context.roamed) {
      const endpoint = readEndpoint(new Uint8Array(peer.endpoint.buffer), 0);
      if (endpoint !== null && !this.paths.moved(0, endpoint)) this.#endpoint = endpoint;
    }
    context.roamed.clear();
    for (const event of events.splice(0) as LaneEvent[]) if (event.type === 'control') this.paths.take(event);
  }

  #deliver(packet: Uint8Array): void {
    const key = Buffer.from(packet).toString('hex');
    this.delivered.set(key, (this.delivered.get(key) ?? 0) + 1);
  }

  #note(datagram: Uint8Array, to: Endpoint | null): Left {
    const receiver = new DataView(datagram.buffer, datagram.byteOffset).getInt32(4, true);
    const { counter, plaintext, isAuthentic } = openMessage(datagram, receiver - 2_000);
    if (to === null || !isAuthentic) throw new Error('expected an authentic datagram to an address');
    const key = `${receiver}:${counter}`;
    const bytes = Buffer.from(datagram).toString('latin1');
    const before = this.#sent.get(key);
    if (before !== undefined && before !== bytes) throw new Error(`expected the same bytes under counter ${key}`);
    this.#sent.set(key, bytes);
    const isAgain = before !== undefined;
    if (isAgain) this.againBytes += datagram.length;
    else this.firstBytes += datagram.length;
    return { to, length: datagram.length, counter, receiver, plaintext, kind: kindOf(plaintext), isAgain };
  }

  cell(name: Exclude<keyof typeof HISTORY_CELL, 'CELLS'>): number {
    return this.peer.history?.cells[HISTORY_CELL[name]] ?? 0;
  }

  /** Packets that wait for those before them. */
  get held(): number {
    return this.peer.history?.rx.order?.held ?? 0;
  }

  /** Whether all memory of histories is free. */
  get isMemoryFree(): boolean {
    const { historyPool } = this.lane.context;
    const offset = historyPool.take(HISTORIES_BYTES - 4_096);
    if (offset !== -1) historyPool.release(offset);
    return offset !== -1;
  }

  /** Configuration wants no histories any more. */
  end(): void {
    this.#obey({ type: 'history', peer: 0, settings: null, memory: new SharedArrayBuffer(8) });
    this.paths.close();
    vi.useRealTimers();
  }
}

function kindOf(plaintext: Uint8Array): number {
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  if (plaintext.length < CONTROL_HEADER_LENGTH) return 0;
  const kind = controlKind(view, 0);
  return kind >= CONTROL_KIND.ANNOUNCE && kind <= CONTROL_KIND.GONE ? kind : 0;
}
