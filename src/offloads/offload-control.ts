/**
 * The control lane's part of the offloads: one path per peer, driven by what lanes tell and by a timer that runs while
 * something flows. Peers are looked at once a second while they are active, and in short steps while one is probed; a few
 * are probed at a time. Idle peers cost nothing.
 */
import { randomInt } from 'node:crypto';
import type { Logger } from '../control/log.ts';
import { KeypairMemory, NEWEST_RECEIVED, NEXT_COUNTER, RECEIVED_COUNT } from '../tables/keypair-memory.ts';
import type { LaneCommand } from '../tables/lane-messages.ts';
import type { SlabSlot } from '../tables/slab.ts';
import type { GroupShapes } from './group-shapes.ts';
import type { PeerOffloads } from './offload-name.ts';
import { type PathFigures, PeerPath, type ShapeReason } from './peer-path.ts';

const LOOK_MS = 1_000;
const STEP_MS = 50;
/** A peer is looked at for so long after its last word; lanes tell of the next one within this time. */
const ACTIVE_MS = 15_000;
const PROBING_PEERS_MAX = 8;
/** Keypairs of a peer that lanes have and do not send with yet. */
const KEYPAIRS_WAITING_MAX = 2;
/** What keepalives amount to between two looks; a peer to and from which no more goes is idle. */
const IDLE_BYTES = 1_024;
/** Sends control messages; any lane could. */
const LANE = 0;

export interface OffloadControlOptions {
  /** Most datagrams that the kernel takes in a group; 1 without GSO. */
  readonly datagramsMax: number;
  /** Whether peers are told what this program is. */
  readonly announces: boolean;
  /** Of the interface, bytes. */
  readonly mtu: () => number;
  /** CLOCK_MONOTONIC, ms. */
  readonly nowMs: () => number;
  /** Bytes sent to and received from a peer so far. */
  readonly transfer: (peer: number) => { readonly sentBytes: number; readonly receivedBytes: number };
  readonly post: (command: LaneCommand, to: number | 'all') => void;
  readonly log: Logger;
}

/** What configuration says of a peer. */
export interface PeerChoice {
  readonly offloads: PeerOffloads;
  readonly announces: boolean;
}

/** What is shown of a peer. */
export interface PeerOffloadStatus {
  readonly isGigatun: boolean;
  /** Most datagrams in a group, 1 for none, and whether the last may be shorter. */
  readonly datagramsMax: number;
  readonly shortTail: boolean;
  /** Seconds until groups are tried again that the path does not carry; null where none are held back. */
  readonly retrySeconds: number | null;
}

interface Keypair {
  readonly id: number;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly memory: SlabSlot;
}

interface Peer {
  readonly id: number;
  readonly name: string;
  choice: PeerChoice;
  path: PeerPath | null;
  waiting: readonly Keypair[];
  /** The keypair that lanes send with: its counters. */
  current: { readonly id: number; readonly memory: KeypairMemory } | null;
  activeUntilMs: number;
  /** Until then a lane sends no groups, ms. */
  refusedUntilMs: number;
  bytes: number;
  /** Capability bits that are announced besides those of every gigatun. */
  offered: number;
}

export class OffloadControl {
  readonly #options: OffloadControlOptions;
  readonly #peers: Map<number, Peer> = new Map();
  readonly #active: Set<Peer> = new Set();
  /** Active peers that are probed, or that an announcement is due to. */
  readonly #busy: Set<Peer> = new Set();
  /** Of these, how many are probed: counted at the start of a turn, then carried along. */
  #probing = 0;
  #lookedMs = 0;
  #timer: NodeJS.Timeout | null = null;
  /** When the timer that runs is due; Infinity for none. */
  #dueMs = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(options: OffloadControlOptions) {
    this.#options = options;
  }

  /** `name`: what the log calls it. Lanes know the peer already. */
  addPeer(id: number, name: string, choice: PeerChoice): void {
    const idle = { path: null, waiting: [], current: null, activeUntilMs: 0, refusedUntilMs: 0, bytes: 0, offered: 0 };
    this.#peers.set(id, { id, name, choice, ...idle });
    if (choice.offloads === 'none') this.#tellLanes(id, { datagramsMax: 1, shortTail: true });
  }

  removePeer(id: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#peers.delete(id);
    this.#active.delete(peer);
    this.#busy.delete(peer);
  }

  /** Another choice for a peer: until its next keypair it gets groups as if nothing were known of its path. */
  choose(id: number, choice: Partial<PeerChoice>): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    const { offloads = peer.choice.offloads, announces = peer.choice.announces } = choice;
    if (offloads === peer.choice.offloads && announces === peer.choice.announces) return;
    peer.choice = { offloads, announces };
    peer.path = null;
    this.#active.delete(peer);
    this.#busy.delete(peer);
    const datagramsMax = offloads === 'none' ? 1 : this.#options.datagramsMax;
    this.#tellLanes(id, { datagramsMax, shortTail: true });
  }

  /** A keypair that lanes were given, by our receiver index and the peer's. */
  installed(id: number, keypair: number, localIndex: number, remoteIndex: number, memory: SlabSlot): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    const added = { id: keypair, localIndex, remoteIndex, memory };
    peer.waiting = [added, ...peer.waiting].slice(0, KEYPAIRS_WAITING_MAX);
  }

  /** Lanes send with this keypair from now on. */
  promoted(id: number, keypair: number): void {
    const peer = this.#peers.get(id);
    const promoted = peer?.waiting.find((known) => known.id === keypair);
    if (peer === undefined || promoted === undefined) return;
    peer.current = { id: keypair, memory: new KeypairMemory(promoted.memory.memory, promoted.memory.offset) };
    peer.waiting = [];
    peer.path ??= this.#openPath(peer);
    peer.path.newKeypair(promoted.localIndex, promoted.remoteIndex, this.#options.nowMs());
    this.#activate(peer, peer.path);
  }

  /** A keypair that is gone: its memory will be another's. */
  retired(id: number, keypair: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.waiting = peer.waiting.filter((known) => known.id !== keypair);
    if (peer.current?.id === keypair) peer.current = null;
  }

  /** A control message that a lane handed over. */
  take(id: number, message: Uint8Array): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    // A responder's first keypair is confirmed by the initiator's announcement, which is told of before that.
    if (peer.current === null && peer.waiting.length > 0) peer.path ??= this.#openPath(peer);
    if (peer.path === null) return;
    peer.path.take(message, this.#figuresOf(peer), this.#options.nowMs());
    this.#activate(peer, peer.path);
  }

  /** Something flows to or from the peer: data, or no more than keepalives, which do not make it active. */
  touch(id: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.path === null) return;
    const { sentBytes, receivedBytes } = this.#options.transfer(id);
    const flows = sentBytes + receivedBytes - peer.bytes > IDLE_BYTES;
    if (flows || peer.path.isBusy(this.#options.nowMs())) this.#activate(peer, peer.path);
  }

  #activate(peer: Peer, path: PeerPath): void {
    if (this.#isClosed) return;
    const nowMs = this.#options.nowMs();
    peer.activeUntilMs = nowMs + ACTIVE_MS;
    const isNew = !this.#active.has(peer);
    this.#active.add(peer);
    const isBusy = path.isBusy(nowMs);
    if (isBusy) this.#busy.add(peer);
    if (isNew || isBusy) this.#schedule(isBusy ? STEP_MS : LOOK_MS);
  }

  /** The kernel refuses the peer's groups for their size; the lane leaves them out until then. */
  refused(id: number, errno: number, offUntilMs: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.refusedUntilMs = offUntilMs;
    this.#options.log.info('groups to the peer are refused for their size: it gets single datagrams', {
      ...{ peer: peer.name, errno },
      retrySeconds: Math.ceil((offUntilMs - this.#options.nowMs()) / 1_000),
    });
  }

  /** The peer is at another address. */
  moved(id: number): void {
    this.#peers.get(id)?.path?.moved(this.#options.nowMs());
  }

  /** What the peer has announced that it can do (CAPABILITY bits); 0 for a stranger. */
  capabilities(id: number): number {
    return this.#peers.get(id)?.path?.capabilities ?? 0;
  }

  /** What the peer is told that can be done with it, besides what every gigatun can. */
  offer(id: number, offered: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.offered === offered) return;
    peer.offered = offered;
    peer.path?.offer(offered, this.#options.nowMs());
  }

  status(id: number): PeerOffloadStatus {
    const peer = this.#peers.get(id);
    const path = peer?.path ?? null;
    const forced = { datagramsMax: peer?.choice.offloads === 'none' ? 1 : this.#options.datagramsMax, shortTail: true };
    const nowMs = this.#options.nowMs();
    const isRefused = (peer?.refusedUntilMs ?? 0) > nowMs;
    const { datagramsMax, shortTail } = isRefused ? { datagramsMax: 1, shortTail: true } : (path?.shapes ?? forced);
    const retryMs = isRefused ? (peer?.refusedUntilMs ?? 0) : (path?.retryMs ?? 0);
    const leftSeconds = Math.max(0, Math.ceil((retryMs - nowMs) / 1_000));
    const isGigatun = path?.isGigatun ?? false;
    return { isGigatun, datagramsMax, shortTail, retrySeconds: retryMs > 0 ? leftSeconds : null };
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #openPath(peer: Peer): PeerPath {
    const { datagramsMax, announces } = this.#options;
    const options = {
      offloads: peer.choice.offloads,
      announces: announces && peer.choice.announces,
      offered: peer.offered,
      datagramsMax,
      firstRound: randomInt(2 ** 32),
    };
    return new PeerPath(options, {
      send: (groups) => this.#options.post({ type: 'control', peer: peer.id, groups }, LANE),
      shape: (shapes, why) => this.#shaped(peer, shapes, why),
    });
  }

  #shaped(peer: Peer, shapes: GroupShapes, why: ShapeReason): void {
    this.#tellLanes(peer.id, shapes);
    const isWhole = shapes.datagramsMax === this.#options.datagramsMax && shapes.shortTail;
    const text = isWhole ? 'datagrams go to the peer in groups of any shape again' : SHAPED[why];
    const level = why === 'slow' || why === 'fast' ? 'debug' : isWhole ? 'info' : 'warn';
    this.#options.log[level](text, { peer: peer.name, ...shapes });
  }

  #tellLanes(peer: number, shapes: GroupShapes): void {
    this.#options.post({ type: 'groups', peer, ...shapes }, 'all');
  }

  /** A timer that runs is never put off: else words of one peer that come often enough would starve all others. */
  #schedule(delayMs: number): void {
    const dueMs = this.#options.nowMs() + delayMs;
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#turn(), delayMs);
  }

  #turn(): void {
    this.#timer = null;
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#countProbing();
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#lookedMs >= LOOK_MS) {
      this.#lookedMs = nowMs;
      for (const peer of this.#active) this.#look(peer, nowMs);
    }
    for (const peer of this.#busy) this.#step(peer, nowMs);
    if (this.#active.size > 0) this.#schedule(this.#busy.size > 0 ? STEP_MS : LOOK_MS);
  }

  #countProbing(): void {
    this.#probing = 0;
    for (const { path } of this.#busy) if (path?.isProbing === true) this.#probing += 1;
  }

  #look(peer: Peer, nowMs: number): void {
    const figures = this.#figuresOf(peer);
    const bytes = figures.sentBytes + figures.receivedBytes;
    if (bytes !== peer.bytes) peer.activeUntilMs = nowMs + ACTIVE_MS;
    peer.bytes = bytes;
    peer.path?.look(figures, nowMs);
    this.#step(peer, nowMs);
    if (nowMs > peer.activeUntilMs && !this.#busy.has(peer)) this.#active.delete(peer);
  }

  #step(peer: Peer, nowMs: number): void {
    const { path } = peer;
    if (path === null) return;
    const before = path.isProbing;
    path.step(nowMs, this.#options.mtu(), this.#probing < PROBING_PEERS_MAX);
    this.#probing += Number(path.isProbing) - Number(before);
    if (path.isBusy(nowMs)) this.#busy.add(peer);
    else this.#busy.delete(peer);
  }

  #figuresOf(peer: Peer): PathFigures {
    const current = peer.current?.memory;
    const transfer = this.#options.transfer(peer.id);
    if (current === undefined) return { ...transfer, sent: 0, newest: 0, count: 0 };
    current.lock();
    const sent = current.counters[NEXT_COUNTER];
    const newest = current.counters[NEWEST_RECEIVED];
    const count = current.counters[RECEIVED_COUNT];
    current.unlock();
    return { ...transfer, sent, newest, count };
  }
}

const SHAPED: Readonly<Record<ShapeReason, string>> = {
  probed: 'the path does not carry all groups of datagrams: the peer gets those that it carries',
  slow: 'little flows to the peer: it gets single datagrams, until they flow fast',
  blamed: 'little comes through to the peer in groups of datagrams: it gets single ones for a while',
  fast: 'datagrams go to the peer in groups again',
  retried: 'datagrams go to the peer in groups again, for a trial',
};
