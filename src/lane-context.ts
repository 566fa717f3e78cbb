/**
 * What the stages of a lane share: its native handle and arena, its books, its view of peers, keypairs and routes, and
 * the way to tell the control lane something. One object per lane, owned by its thread; nothing here is per packet.
 */
import { DueClock } from './history/due-clock.ts';
import type { MessageSender, MessageTaker } from './history/message-sender.ts';
import type { Injector } from './history/parity-receiver.ts';
import type { PeerHistory } from './history/peer-history.ts';
import { GroWatch } from './inbound/gro-watch.ts';
import { SuperKinds } from './inbound/super-kinds.ts';
import { ACTIVITY } from './ledger/catalog.ts';
import type { Ledger } from './ledger/ledger.ts';
import { BOOKS } from './native/layout.ts';
import type { Addon, LaneHandle } from './native/types.ts';
import { Backoff } from './offloads/backoff.ts';
import type { Arena } from './packet/arena.ts';
import { RegionPool } from './packet/region-pool.ts';
import type { Timing } from './protocol/constants.ts';
import { emptyTable } from './tables/allowed-ips.ts';
import type { LaneEvent } from './tables/lane-messages.ts';
import type { LaneKeypair, LanePeer } from './tables/peers.ts';

/** A lane asks the control lane for a handshake with the same peer at most this often. */
const WANT_INTERVAL_MS = 100;

const GSO_RETRY_FIRST_MS = 30_000;
const GSO_RETRY_MOST_MS = 30 * 60_000;
/** Control messages that a lane hands over in a second: a few peers may probe at once. */
const CONTROL_PER_SECOND_MAX = 4_096;
/** Of these, one peer's: more than the datagrams of a probe session in a second, and not all that there is. */
const CONTROL_OF_PEER_PER_SECOND_MAX = 1_024;

export interface LaneLimits {
  /** Most datagrams in one GSO send; 1 where there is no GSO. */
  gsoDatagramsMax: number;
  /** Whether TCP segments are merged for the TUN, and may come merged from it. */
  tcpSuperPackets: boolean;
  /** Whether the TUN takes UDP super-packets (USO, Linux 6.2). */
  udpSuperPackets: boolean;
  /** Largest inner packet, bytes; follows the interface. */
  mtu: number;
}

export class LaneContext {
  readonly native: Addon;
  readonly handle: LaneHandle;
  readonly arena: Arena;
  readonly ledger: Ledger;
  readonly timing: Timing;
  readonly limits: LaneLimits;
  /** Sends an event to the control lane. Not for every packet. */
  readonly notify: (event: LaneEvent) => void;
  readonly peers: (LanePeer | undefined)[] = [];
  /** Keypairs by the receiver index of the messages that they open. */
  readonly receivers: Map<number, LaneKeypair> = new Map();
  /** Peers whose endpoint moved and of which the control lane was not told yet. */
  readonly roamed: Set<LanePeer> = new Set();
  /** Histories of the peers that have any. */
  readonly histories: Set<PeerHistory> = new Set();
  /** The other direction's part, for control messages of the lane's own; null while the lane is put together. */
  sender: MessageSender | null = null;
  taker: MessageTaker | null = null;
  /** This direction's, for datagrams that were remade. */
  injector: Injector | null = null;
  /** Memory for them. */
  readonly historyPool: RegionPool;
  readonly due: DueClock = new DueClock();
  #controlSinceMs = Number.NEGATIVE_INFINITY;
  #controlCount = 0;
  /** Until then (ms) no datagram groups are sent: the device refused one. */
  gsoOffUntilMs = 0;
  /** Whether a group that is sent shows that the device takes groups again. */
  isGsoOnTrial = false;
  readonly #gsoBackoff: Backoff = new Backoff(GSO_RETRY_FIRST_MS, GSO_RETRY_MOST_MS);
  readonly groWatch: GroWatch = new GroWatch();
  /** Kinds of super-packet that the TUN takes. */
  readonly superKinds: SuperKinds;
  ipv4Routes: Int32Array = emptyTable(4);
  ipv6Routes: Int32Array = emptyTable(6);

  constructor(
    native: Addon,
    handle: LaneHandle,
    arena: Arena,
    ledger: Ledger,
    timing: Timing,
    limits: LaneLimits,
    notify: (event: LaneEvent) => void,
  ) {
    this.native = native;
    this.handle = handle;
    this.arena = arena;
    this.ledger = ledger;
    this.timing = timing;
    this.limits = limits;
    this.notify = notify;
    this.historyPool = new RegionPool(arena.histories, arena.historiesLength);
    this.superKinds = new SuperKinds(limits.tcpSuperPackets, limits.udpSuperPackets);
  }

  /** The lane's clock, CLOCK_MONOTONIC ms: the last switch of activity, which is never more than a stage ago. */
  nowMs(): number {
    return this.ledger.books[BOOKS.NOW_NS] / 1e6;
  }

  /** Asks the control lane for a handshake with this peer. */
  wantHandshake(peer: LanePeer): void {
    const nowMs = this.nowMs();
    if (peer.wantedAtMs !== 0 && nowMs - peer.wantedAtMs < WANT_INTERVAL_MS) return;
    peer.wantedAtMs = nowMs;
    this.notify({ type: 'want', peer: peer.id });
  }

  /** The device cannot send groups (EIO): none for a while, then ever longer. */
  demoteGso(errno: number): void {
    if (this.gsoOffUntilMs > this.nowMs()) return;
    this.gsoOffUntilMs = this.nowMs() + this.#gsoBackoff.take();
    this.isGsoOnTrial = true;
    this.notify({ type: 'gsoDemoted', errno, offUntilMs: this.gsoOffUntilMs });
  }

  /** A group went out after groups were off. */
  promoteGso(): void {
    if (this.gsoOffUntilMs > this.nowMs()) return;
    this.isGsoOnTrial = false;
    this.#gsoBackoff.reset();
    this.notify({ type: 'gsoPromoted' });
  }

  /** Switches kinds of super-packet off and on, between two batches. */
  settleSuperKinds(): void {
    this.superKinds.settle(this.nowMs(), (kind, offUntilMs) => this.notify({ type: 'superPackets', kind, offUntilMs }));
  }

  /** Whether one more control message of this peer may be handed over: a bounded number each second, of it and of all. */
  admitControl(peer: LanePeer): boolean {
    const nowMs = this.nowMs();
    if (nowMs - peer.controlSinceMs >= 1_000) {
      peer.controlSinceMs = nowMs;
      peer.controlCount = 0;
    }
    peer.controlCount += 1;
    if (peer.controlCount > CONTROL_OF_PEER_PER_SECOND_MAX) return false;
    if (nowMs - this.#controlSinceMs >= 1_000) {
      this.#controlSinceMs = nowMs;
      this.#controlCount = 0;
    }
    this.#controlCount += 1;
    return this.#controlCount <= CONTROL_PER_SECOND_MAX;
  }

  /** Makes sure that the control lane watches this peer's timers, after its cells changed. */
  watch(peer: LanePeer): void {
    if (peer.markWatched()) this.notify({ type: 'watch', peer: peer.id });
  }

  /** Switches the books to control work: messages, hand-over, anything that is no stage. */
  bookControl(): void {
    this.native.book(this.handle, ACTIVITY.USER_CONTROL);
  }
}
