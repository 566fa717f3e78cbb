/**
 * The control lane's part of histories and paths: peers of which configuration asks for more than WireGuard does, and those
 * that bring paths of their own. It tells lanes what is kept and which paths there are, reads what they book, probes paths
 * through them, and decides over which ones handshake messages go. One timer runs while something flows to or from any
 * of these peers; other peers are not known here, and cost nothing.
 */
import { randomInt } from 'node:crypto';
import type { Logger } from '../control/log.ts';
import { historyCellsBytes, laneBlock } from '../history/history-cells.ts';
import { type HistorySettings, NO_HISTORY } from '../history/settings.ts';
import { type Endpoint, isSameEndpoint } from '../packet/endpoint.ts';
import {
  CAPABILITY,
  type ControlMessage,
  decodeControlMessage,
  encodeControlMessage,
} from '../protocol/control-message.ts';
import type { LaneCommand, LaneEvent } from '../tables/lane-messages.ts';
import { type LocalAddresses, readLocalAddresses, resolvePath } from './path-addresses.ts';
import { noteLoss, type PathBooks, seenLoss, trafficOf } from './path-books.ts';
import { type PathFacts, PathManager, type PathMessage } from './path-manager.ts';
import { firstOf, hasOtherFigures, isOtherChoice, logPresence } from './path-news.ts';
import type { ResolvedPath } from './path-slot.ts';
import { type LanePaths, NO_PATH, type PathFigures, type PathMode } from './path-types.ts';

/** Sends control messages; any lane could. */
const LANE = 0;
/** Between two turns at least, and at most while anything flows, ms. */
const TURN_LEAST_MS = 10;
const TURN_MOST_MS = 250;
/** Interfaces are looked at so often, ms. */
const ADDRESSES_MS = 1_000;
/** Figures alone are told to lanes no more often than this, ms. */
const TELL_MS = 100;
/** Something flows for so long after the last of it, ms; after that, paths are looked at for a while longer, less often. */
const BUSY_MS = 2_000;
const QUIET_MS = 15_000;
/** What keepalives and control messages of other kinds amount to between two looks; who moves no more is idle. */
const IDLE_BYTES = 512;
const LOOK_MS = 250;
/** A probe is as long as its answer: who asks from a false address gains nothing by it. */
const PROBE_LENGTH = 48;
/** Of a datagram that holds one, or its answer. */
const OWN_BYTES = PROBE_LENGTH + 32;
/** What a peer brought is forgotten when it has not probed for so long, ms. */
const STRANGER_MS = 600_000;
const OPENED_MS = 300;
/** A peer that has probed so lately, ms, says by that where it is. */
const PROBES_MS = 15_000;

/** What this needs to know of a peer. */
export interface PathPeer {
  /** Whether anything may be sent. */
  readonly isUp: boolean;
  readonly endpoint: Endpoint | null;
  readonly unansweredSinceMs: number;
  readonly persistentKeepaliveSeconds: number;
  /** Bytes sent and received so far. */
  readonly bytes: number;
}

export interface PathControlOptions {
  readonly lanes: number;
  readonly log: Logger;
  /** CLOCK_MONOTONIC, ms. */
  readonly nowMs: () => number;
  readonly peer: (id: number) => PathPeer | null;
  /** Capability bits that the peer has announced; 0 for a stranger. */
  readonly capabilities: (id: number) => number;
  /** What is to be announced to the peer, besides what every gigatun can. */
  readonly offer: (id: number, capabilities: number) => void;
  /** The peer is sent to there from now on. */
  readonly move: (id: number, endpoint: Endpoint) => void;
  readonly wantHandshake: (id: number) => void;
  /** Nothing flows to or from the peer: `touch` is to be called as soon as anything does. */
  readonly rest: (id: number) => void;
  readonly post: (command: LaneCommand, to: number | 'all') => void;
  /** Lanes book the peer's histories there from now on, by these settings; those of one that only brought paths ask for nothing. */
  readonly booked: (id: number, settings: HistorySettings | null, memory: SharedArrayBuffer) => void;
  /** The path in a slot is another one from now on. */
  readonly begins: (id: number, path: number) => void;
  readonly local?: () => LocalAddresses;
}

interface Peer extends PathBooks {
  readonly id: number;
  readonly name: string;
  settings: HistorySettings;
  /** Whether configuration asks for histories; else the peer alone does. */
  isWanted: boolean;
  readonly memory: SharedArrayBuffer;
  readonly manager: PathManager;
  /** Where the peer is, for paths without an endpoint of their own. */
  remote: Endpoint | null;
  capabilities: number;
  bytes: number;
  /** Of these, control messages of paths, which are no traffic. */
  ownBytes: number;
  lookedMs: number;
  activeMs: number;
  openedMs: number;
  probedMs: number;
  told: LanePaths | null;
  toldMs: number;
}

type ControlEvent = Extract<LaneEvent, { type: 'control' }>;

export class PathControl {
  readonly #options: PathControlOptions;
  readonly #peers: Map<number, Peer> = new Map();
  #local: LocalAddresses | null = null;
  #localMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #dueMs = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(options: PathControlOptions) {
    this.#options = options;
  }

  /** What configuration asks for a peer that lanes know; null: nothing (any more). `name`: what the log calls it. */
  configure(id: number, name: string, settings: HistorySettings | null): void {
    const known = this.#peers.get(id);
    this.#options.offer(id, settings === null ? 0 : offered(settings));
    if (settings === null && known === undefined) return;
    const peer = known ?? this.#open(id, name);
    peer.settings = settings ?? NO_HISTORY;
    peer.isWanted = settings !== null;
    if (settings === null && peer.probedMs === Number.NEGATIVE_INFINITY) {
      this.#forget(peer);
      return;
    }
    peer.manager.configure(managerOptions(peer));
    this.#tellHistory(peer, peer.settings);
    this.#resolve(peer);
    peer.told = null;
    this.#turnPeer(peer);
    this.#schedule(TURN_LEAST_MS);
  }

  removePeer(id: number): void {
    this.#peers.delete(id);
  }

  /** Whether there is anything to know of the peer here. */
  has(id: number): boolean {
    return this.#peers.has(id);
  }

  /** A control message that a lane handed over; those of paths are taken, others are not looked at. */
  take({ peer: id, message: bytes, path, source, atMs }: ControlEvent): void {
    const known = this.#peers.get(id);
    if (known !== undefined) known.capabilities = this.#options.capabilities(id);
    this.touch(id);
    const message = decodeControlMessage(bytes);
    if (message === null || (message.kind !== 'pathProbe' && message.kind !== 'pathAnswer')) return;
    if (this.#options.capabilities(id) === 0) return;
    if (message.kind === 'pathProbe') this.#takeProbe(id, message, path, source, atMs);
    else this.#takeAnswer(id, message, source, atMs);
    const peer = this.#peers.get(id);
    if (peer !== undefined) peer.ownBytes += OWN_BYTES;
  }

  /**
   * A peer was heard from another address, by its data or by a handshake message. True if its paths see to where it is sent
   * to; else the endpoint moves as WireGuard has it.
   */
  moved(id: number, source: Endpoint): boolean {
    const peer = this.#peers.get(id);
    if (peer === undefined) return false;
    const nowMs = this.#options.nowMs();
    const known = peer.manager.pathOf(source);
    if (known === NO_PATH) this.#learnRemote(peer, source, nowMs);
    const path = peer.manager.pathOf(source);
    if (peer.manager.mode === 'follow') {
      // Lanes that had not heard of paths yet took its first probes for a move.
      if (nowMs - peer.openedMs < OPENED_MS && peer.manager.slot(path)?.peerCarries === false) return true;
      peer.manager.follow(path, nowMs);
      this.#turnPeer(peer);
      return false;
    }
    this.#turnPeer(peer);
    return peer.manager.first !== NO_PATH;
  }

  /** An authentic handshake message came from there. */
  handshake(id: number, source: Endpoint): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.manager.takeHandshake(peer.manager.pathOf(source), this.#options.nowMs());
  }

  /** Configuration, or a name's address, says where the peer is. */
  placed(id: number, endpoint: Endpoint): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || isSameEndpoint(peer.remote, endpoint)) return;
    peer.remote = endpoint;
    this.#resolve(peer);
    this.#turnPeer(peer);
  }

  /**
   * Where a handshake message goes, endpoints that are bound to an interface with it negative: an initiation (`to` null) over
   * paths that live, an answer over the path that the question came by. Null: as without paths.
   */
  endpointsFor(id: number, to: Endpoint | null): readonly Endpoint[] | null {
    const peer = this.#peers.get(id);
    if (peer === undefined) return null;
    const { manager } = peer;
    if (to !== null) {
      const endpoints = endpointTo(manager, manager.pathOf(to));
      return endpoints.length > 0 ? endpoints : null;
    }
    return peer.settings.paths.length === 0 ? null : this.#initiationEndpoints(peer);
  }

  /** Whether one of the peer's paths leads there. */
  knows(id: number, endpoint: Endpoint): boolean {
    return (this.#peers.get(id)?.manager.pathOf(endpoint) ?? NO_PATH) !== NO_PATH;
  }

  /** Something may flow to or from the peer. */
  touch(id: number): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined) this.#schedule(TURN_LEAST_MS);
  }

  /** A link of this machine has changed. */
  linkChanged(): void {
    this.#localMs = Number.NEGATIVE_INFINITY;
    for (const peer of this.#peers.values()) {
      this.#resolve(peer);
      this.#turnPeer(peer);
    }
  }

  /** Of the peer's paths; empty for a peer without histories. */
  figures(id: number): readonly PathFigures[] {
    return this.#peers.get(id)?.manager.figures() ?? [];
  }

  /** How the peer's paths are used; null for a peer without histories. */
  mode(id: number): PathMode | null {
    return this.#peers.get(id)?.manager.mode ?? null;
  }

  /** The lanes' books of the peer's histories; empty for a peer without. */
  blocks(id: number): readonly Float64Array[] {
    return this.#peers.get(id)?.blocks ?? [];
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#peers.clear();
  }

  #initiationEndpoints({ manager, settings }: Peer): readonly Endpoint[] | null {
    const { count, only } = settings.copies;
    const copied = count > 1 && (only === null || only.handshake);
    const paths = manager.handshakePaths(copied, this.#options.nowMs());
    const endpoints = paths.flatMap((path) => endpointTo(manager, path));
    return endpoints.length > 0 ? endpoints : null;
  }

  #open(id: number, name: string): Peer {
    const { lanes } = this.#options;
    const nowMs = this.#options.nowMs();
    const memory = new SharedArrayBuffer(historyCellsBytes(lanes));
    const peer: Peer = {
      ...{ id, name, settings: NO_HISTORY, isWanted: false, memory },
      blocks: Array.from({ length: lanes }, (_, lane) => laneBlock(memory, lane)),
      manager: new PathManager(managerOptions({ settings: NO_HISTORY, isWanted: false })),
      ...{ remote: this.#options.peer(id)?.endpoint ?? null, capabilities: 0, bytes: 0, ownBytes: 0 },
      ...{ lookedMs: 0, activeMs: nowMs, openedMs: nowMs, probedMs: Number.NEGATIVE_INFINITY },
      ...{ told: null, toldMs: 0, seen: [] },
    };
    this.#peers.set(id, peer);
    return peer;
  }

  #takeProbe(
    id: number,
    probe: Extract<ControlMessage, { kind: 'pathProbe' }>,
    told: number,
    source: Endpoint,
    atMs: number,
  ): void {
    const nowMs = this.#options.nowMs();
    const peer = this.#peers.get(id) ?? this.#adopt(id);
    peer.probedMs = nowMs;
    // The lane may not know of the path yet.
    const path = told === NO_PATH ? peer.manager.learn(source, nowMs) : told;
    const answer = peer.manager.takeProbe(path, probe, trafficOf(peer, path), nowMs - atMs, nowMs);
    if (path !== told) this.#turnPeer(peer);
    if (answer !== null) this.#send(peer, answer);
    this.#turnPeer(peer);
    this.#schedule(TURN_LEAST_MS);
  }

  #takeAnswer(
    id: number,
    answer: Extract<ControlMessage, { kind: 'pathAnswer' }>,
    source: Endpoint,
    atMs: number,
  ): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    const path = peer.manager.pathOf(source);
    if (!peer.manager.takeAnswer(path, answer, trafficOf(peer, path), atMs)) return;
    this.#turnPeer(peer);
  }

  /** The peer has paths, and nothing was asked for here: they are answered and followed. */
  #adopt(id: number): Peer {
    const peer = this.#open(id, `peer ${id}`);
    peer.probedMs = this.#options.nowMs();
    this.#tellHistory(peer, NO_HISTORY);
    this.#resolve(peer);
    this.#turnPeer(peer);
    return peer;
  }

  #tellHistory({ id, memory }: Peer, settings: HistorySettings | null): void {
    this.#options.post({ type: 'history', peer: id, settings, memory }, 'all');
    this.#options.booked(id, settings, memory);
  }

  /** Where the peer is: for paths without an endpoint of their own, or one more that it brought. */
  #learnRemote(peer: Peer, source: Endpoint, nowMs: number): void {
    const knowsPaths = (peer.capabilities & CAPABILITY.PATHS) !== 0;
    const { paths } = peer.settings;
    // A peer that probes from several addresses has as many paths; else it is one that has moved.
    const probes = nowMs - peer.probedMs < PROBES_MS;
    const follows = paths.length === 0 ? !probes : !knowsPaths && paths.some(({ endpoint }) => endpoint === null);
    if (follows) {
      peer.remote = source;
      this.#resolve(peer);
    } else peer.manager.learn(source, nowMs);
  }

  #resolve(peer: Peer): void {
    const { paths } = peer.settings;
    const nowMs = this.#options.nowMs();
    const resolved =
      paths.length === 0
        ? [onlyPath(peer.remote)]
        : paths.map((settings) => resolvePath(settings, peer.remote, this.#addresses(nowMs)));
    logPresence(this.#options.log, peer.name, (path) => peer.manager.slot(path), resolved);
    peer.manager.resolve(resolved, nowMs);
  }

  #addresses(nowMs: number): LocalAddresses {
    const { local = readLocalAddresses } = this.#options;
    if (this.#local === null || nowMs - this.#localMs >= ADDRESSES_MS) {
      this.#local = local();
      this.#localMs = nowMs;
    }
    return this.#local;
  }

  #schedule(delayMs: number): void {
    const dueMs = this.#options.nowMs() + delayMs;
    if (this.#isClosed || dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#turn(), delayMs);
  }

  #turn(): void {
    this.#timer = null;
    this.#dueMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#options.nowMs();
    const looksAtLinks = nowMs - this.#localMs >= ADDRESSES_MS;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const peer of this.#peers.values()) {
      if (looksAtLinks && peer.settings.paths.length > 0) this.#resolve(peer);
      dueMs = Math.min(dueMs, this.#turnPeer(peer));
    }
    if (dueMs < Number.POSITIVE_INFINITY) this.#schedule(Math.max(TURN_LEAST_MS, dueMs - this.#options.nowMs()));
  }

  /** Looks at a peer and does what is due; when it is to be looked at again, ms. */
  #turnPeer(peer: Peer): number {
    const facts = this.#options.peer(peer.id);
    if (facts === null || !facts.isUp) return Number.POSITIVE_INFINITY;
    const nowMs = this.#options.nowMs();
    this.#lookAtFlow(peer, facts, nowMs);
    for (const path of peer.manager.takeBegun()) this.#options.begins(peer.id, path);
    const before = peer.manager.first;
    const probes = peer.manager.step(this.#factsOf(peer, facts, nowMs), nowMs);
    this.#tell(peer, nowMs);
    for (const probe of probes) this.#send(peer, probe);
    if (peer.manager.first !== before) this.#switched(peer, facts);
    if (peer.manager.takeHandshakeWish()) this.#options.wantHandshake(peer.id);
    if (!peer.isWanted && nowMs - peer.probedMs > STRANGER_MS) {
      this.#forget(peer);
      return Number.POSITIVE_INFINITY;
    }
    if (nowMs - peer.activeMs < QUIET_MS) return Math.min(nowMs + TURN_MOST_MS, peer.manager.dueMs(nowMs));
    this.#options.rest(peer.id);
    return peer.manager.dueMs(nowMs);
  }

  /** Nothing is asked for the peer, here or there. */
  #forget(peer: Peer): void {
    this.removePeer(peer.id);
    this.#tellHistory(peer, null);
  }

  #lookAtFlow(peer: Peer, { bytes, unansweredSinceMs }: PathPeer, nowMs: number): void {
    if (nowMs - peer.lookedMs < LOOK_MS) return;
    const moved = bytes - peer.bytes - peer.ownBytes;
    const waits = unansweredSinceMs > 0 && nowMs - unansweredSinceMs < QUIET_MS;
    if (moved > IDLE_BYTES || (moved > 0 && waits)) peer.activeMs = nowMs;
    peer.lookedMs = nowMs;
    peer.bytes = bytes;
    peer.ownBytes = 0;
    noteLoss(peer, nowMs);
    peer.capabilities = this.#options.capabilities(peer.id);
  }

  #factsOf(peer: Peer, facts: PathPeer, nowMs: number): PathFacts {
    const knows = (bit: number): boolean => (peer.capabilities & bit) !== 0;
    const sinceMs = nowMs - peer.activeMs;
    const { persistentKeepaliveSeconds, unansweredSinceMs } = facts;
    return {
      traffic: (path) => trafficOf(peer, path),
      knows: { gaps: knows(CAPABILITY.GAPS), paths: knows(CAPABILITY.PATHS), parity: knows(CAPABILITY.PARITY) },
      flow: sinceMs < BUSY_MS ? 'busy' : sinceMs < QUIET_MS ? 'quiet' : 'idle',
      unansweredSinceMs,
      keepaliveMs: persistentKeepaliveSeconds > 0 ? persistentKeepaliveSeconds * 1_000 : Number.POSITIVE_INFINITY,
    };
  }

  #tell(peer: Peer, nowMs: number): void {
    const paths = peer.manager.lanePaths(seenLoss(peer));
    const isOther = peer.told === null || isOtherChoice(peer.told, paths);
    if (!isOther && (nowMs - peer.toldMs < TELL_MS || !hasOtherFigures(peer.told, paths))) return;
    const follows = paths.mode === 'follow' && peer.told !== null && firstOf(peer.told) !== firstOf(paths);
    // Who follows keeps to its path while that is there: it is told of the new one alone first.
    if (follows) this.#post(peer, { ...paths, paths: paths.paths.filter(({ use }) => use === 'first') });
    this.#post(peer, paths);
    peer.told = paths;
    peer.toldMs = nowMs;
  }

  #post(peer: Peer, paths: LanePaths): void {
    this.#options.post({ type: 'paths', peer: peer.id, paths }, 'all');
  }

  /** Another path is first: the peer's endpoint is there. */
  #switched(peer: Peer, { endpoint: present }: PathPeer): void {
    const slot = peer.manager.slot(peer.manager.first);
    if (slot === undefined || slot.endpoint === null) return;
    const { endpoint, name } = slot;
    if (peer.settings.paths.length > 0)
      this.#options.log.info('the peer is sent to over a path', { peer: peer.name, path: name });
    if (peer.manager.mode !== 'follow' && !isSameEndpoint(present, endpoint)) this.#options.move(peer.id, endpoint);
  }

  #send(peer: Peer, { path, message }: PathMessage): void {
    const bytes = encodeControlMessage(message, message.kind === 'pathProbe' ? PROBE_LENGTH : 0);
    peer.ownBytes += OWN_BYTES;
    this.#options.post({ type: 'control', peer: peer.id, groups: [[bytes]], path }, LANE);
  }
}

function managerOptions({
  settings,
  isWanted,
}: Pick<Peer, 'settings' | 'isWanted'>): ConstructorParameters<typeof PathManager>[0] {
  const hasPaths = settings.paths.length > 0;
  return {
    mode: settings.pathMode ?? (hasPaths ? 'failover' : 'follow'),
    isPassive: !isWanted,
    learntAreBackups: hasPaths,
    copies: settings.copies.count - 1,
    random: () => randomInt(2 ** 32),
  };
}

/** What a peer is told that can be done with it, beyond what every gigatun can. */
function offered({ retransmitMs, fec }: HistorySettings): number {
  return (retransmitMs > 0 ? CAPABILITY.GAPS : 0) | (fec.mode === 'off' ? 0 : CAPABILITY.PARITY);
}

/** A peer without paths of its own has one: to where it is. */
function onlyPath(endpoint: Endpoint | null): ResolvedPath {
  return { name: 'endpoint', endpoint, isBound: false, isPresent: true, isBackup: false, weight: 1 };
}

function endpointTo(manager: PathManager, path: number): Endpoint[] {
  const slot = manager.slot(path);
  if (slot === undefined || slot.endpoint === null) return [];
  const { endpoint, isBound } = slot;
  return [isBound ? { ...endpoint, localInterface: -endpoint.localInterface } : endpoint];
}
