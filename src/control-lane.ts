/**
 * The control lane: the main thread's part of a device. It drives the pure protocol machine: handshake messages that
 * lanes hand over go in, and so do the times that lanes note per peer; the actions that come out are carried out here,
 * as commands to the lanes or as handshake messages on the wire. It decides, and never touches a data packet.
 */
import { randomBytes } from 'node:crypto';
import { formatKey } from './control/key-text.ts';
import { ControlInitiations } from './control-initiations.ts';
import { type Install, PendingInstalls } from './control-installs.ts';
import {
  type ControlLaneOptions,
  type ControlPeer,
  newControlPeer,
  type PeerPlan,
  type PeerUpdate,
} from './control-lane-types.ts';
import { openPaths } from './control-paths.ts';
import { ControlSender } from './control-sender.ts';
import { warnOfCipher } from './control-warnings.ts';
import { HistoryControl } from './history/history-control.ts';
import type { HistorySettings } from './history/settings.ts';
import { OffloadControl } from './offloads/offload-control.ts';
import { DROP } from './packet/drop-reason.ts';
import { type Endpoint, isSameEndpoint, isSameRemote } from './packet/endpoint.ts';
import type { PathControl } from './path/path-control.ts';
import type { Action } from './protocol/action.ts';
import { CIPHER_DEFAULT } from './protocol/cipher.ts';
import { DeviceMachine } from './protocol/device-machine.ts';
import { generateKeyPair } from './protocol/x25519.ts';
import { KeypairPool } from './tables/keypair-pool.ts';
import type { LaneEvent, PeerEntry } from './tables/lane-messages.ts';
import { PEER_CELL, peerMemoryBytes, type Transfer, timesOf, transferOf } from './tables/peers.ts';
import { RetiredThings } from './tables/retired.ts';
import { Slab } from './tables/slab.ts';

/** Peers that one command tells lanes of. */
const PEERS_PER_COMMAND = 1_024;
/** Peers whose cells lie in one piece of shared memory. */
const PEERS_PER_CHUNK = 256;
/** First keepalives that are sent as soon as the peers are there; each further one waits this much longer. */
const KEEPALIVES_AT_ONCE = 64;
const KEEPALIVE_SPREAD_MS = 1;

/** What becomes of a handshake message while the interface is down. */
const REFUSED: readonly Action[] = [{ kind: 'failed', peer: null, reason: 'bad message' }];

type InstallAction = Extract<Action, { kind: 'install' }>;

export class ControlLane {
  readonly machine: DeviceMachine;
  readonly peers: Map<number, ControlPeer> = new Map();
  readonly offloads: OffloadControl;
  readonly paths: PathControl;
  readonly histories: HistoryControl;
  readonly #options: ControlLaneOptions;
  readonly #sender: ControlSender;
  readonly #installs: PendingInstalls;
  readonly initiations: ControlInitiations;
  readonly #peerMemory: Slab;
  /** Removed peers of which lanes may still speak. */
  readonly #removed: RetiredThings<ControlPeer>;
  readonly #keypairMemory: KeypairPool;
  #lastToken = 0;
  #isUp = false;

  constructor(options: ControlLaneOptions) {
    this.#options = options;
    this.#sender = new ControlSender(options);
    this.#peerMemory = new Slab(peerMemoryBytes(options.lanes + 1), PEERS_PER_CHUNK);
    this.#keypairMemory = new KeypairPool(options.lanes);
    this.#installs = new PendingInstalls(options.lanes, (install) => this.#finishInstall(install));
    this.initiations = new ControlInitiations({
      candidates: options.candidates ?? (() => null),
      send: (message, to, peer, isPath) => this.#sendTo(message, to, peer, isPath),
      copies: (id) => this.histories.settingsOf(id)?.copies ?? null,
      nowMs,
    });
    this.#removed = new RetiredThings(options.lanes, (peer) => this.#forget(peer));
    const random = (length: number): Uint8Array => randomBytes(length);
    const { privateKey, timing, prefersAes, indexWatcher } = options;
    this.machine = new DeviceMachine({
      privateKey,
      timing,
      random,
      newKeyPair: generateKeyPair,
      prefersAes,
      indexWatcher,
    });
    this.histories = new HistoryControl(options.lanes);
    const transfer = (id: number): Transfer => transferOf(this.peers.get(id)?.cells);
    this.offloads = new OffloadControl({ ...options.offloads, post: options.post, nowMs, transfer });
    this.paths = openPaths(options, {
      ...{ peers: this.peers, offloads: this.offloads, histories: this.histories, nowMs },
      isUp: () => this.#isUp,
      move: (peer, endpoint) => this.#moveTo(peer, endpoint),
      wantHandshake: (id) => this.#act(id, this.machine.wantHandshake(id, nowMs(), Date.now())),
    });
    this.histories.pathFigures = (id) => this.paths.figures(id);
  }

  /**
   * Adds peers; the lanes know them, some thousand at a time, before anything else is said about them. Timers start when all
   * are there.
   *
   * @returns one for each, in order
   */
  addPeers(plans: readonly PeerPlan[]): ControlPeer[] {
    const added = plans.map((plan) => this.#addPeer(plan));
    for (let at = 0; at < added.length; at += PEERS_PER_COMMAND) {
      const peers = added.slice(at, at + PEERS_PER_COMMAND).map(({ entry }) => entry);
      this.#options.post({ type: 'peers', peers }, 'all');
    }
    plans.forEach(({ publicKey, persistentKeepaliveSeconds, history = null, ...plan }, at) => {
      const { offloads = 'auto', announces = true } = plan;
      this.offloads.addPeer(added[at].peer.id, formatKey(publicKey), { offloads, announces });
      if (history !== null) this.#setHistory(added[at].peer.id, history);
      this.#carryOut(this.machine.setPersistentKeepalive(added[at].peer.id, persistentKeepaliveSeconds, nowMs()));
      if (persistentKeepaliveSeconds > 0) this.#startKeepalive(added[at].peer, at);
    });
    return added.map(({ peer }) => peer);
  }

  /** The peer with this public key, 32 bytes. */
  peerOf(publicKey: Uint8Array): ControlPeer | undefined {
    const id = this.machine.peerId(publicKey);
    return id === undefined ? undefined : this.peers.get(id);
  }

  /** Changes what is named of a peer. */
  changePeer(peer: ControlPeer, { presharedKey, endpoint, persistentKeepaliveSeconds, ...rest }: PeerUpdate): void {
    if (presharedKey !== undefined) this.machine.setPresharedKey(peer.id, presharedKey);
    if (rest.cipher !== undefined) this.machine.setCipher(peer.id, rest.cipher);
    if (rest.offloads !== undefined || rest.announces !== undefined) this.offloads.choose(peer.id, rest);
    if (endpoint !== undefined) this.initiations.stop(peer.id);
    if (endpoint !== undefined) this.setEndpoint(peer, endpoint);
    if (rest.history !== undefined) this.#setHistory(peer.id, rest.history);
    if (persistentKeepaliveSeconds === undefined) return;
    peer.persistentKeepaliveSeconds = persistentKeepaliveSeconds;
    this.#act(peer.id, this.machine.setPersistentKeepalive(peer.id, persistentKeepaliveSeconds, nowMs()));
  }

  #setHistory(id: number, history: HistorySettings | null): void {
    this.paths.configure(id, formatKey(this.machine.peerPublicKey(id)), history);
  }

  /** Ends a peer: its keypairs are retired, lanes forget it. Its id and its memory are used again after a `mark`. */
  removePeer(peer: ControlPeer): void {
    if (peer.timer !== null) clearTimeout(peer.timer);
    peer.timer = null;
    this.initiations.stop(peer.id);
    this.#carryOut(this.machine.removePeer(peer.id, nowMs()));
    this.offloads.removePeer(peer.id);
    this.paths.removePeer(peer.id);
    this.histories.forget(peer.id);
    this.peers.delete(peer.id);
    this.#options.post({ type: 'unpeer', peer: peer.id }, 'all');
    this.#removed.add(peer, this.#lastToken);
  }

  /** To be called when lanes have been told all that follows from removals, the routes too: their answer frees what was removed. */
  mark(): void {
    this.#lastToken += 1;
    this.#options.post({ type: 'mark', token: this.#lastToken }, 'all');
  }

  /** @param key 32 bytes, copied; null for none. Sessions start anew */
  setPrivateKey(key: Uint8Array | null): void {
    this.initiations.close();
    this.#carryOut(this.machine.setPrivateKey(key, nowMs()));
    this.tellIdentity();
    for (const peer of this.peers.values()) {
      peer.currentBornMs = Number.NEGATIVE_INFINITY;
      this.#evaluate(peer);
    }
  }

  /** The interface is up: persistent keepalives begin. Until then nothing is sent, and nothing that comes counts. */
  goUp(): void {
    this.#isUp = true;
    this.tellIdentity();
    let at = 0;
    for (const peer of this.peers.values()) {
      this.machine.startPeer(peer.id);
      this.paths.touch(peer.id);
      if (peer.persistentKeepaliveSeconds === 0) continue;
      this.#startKeepalive(peer, at);
      at += 1;
    }
  }

  /** The interface is down: sessions are forgotten, nothing is due any more. */
  goDown(): void {
    this.#isUp = false;
    this.initiations.close();
    this.tellIdentity();
    for (const peer of this.peers.values()) {
      if (peer.timer !== null) clearTimeout(peer.timer);
      peer.timer = null;
      peer.currentBornMs = Number.NEGATIVE_INFINITY;
      this.#carryOut(this.machine.stopPeer(peer.id));
      this.#clearTime(peer.id, 'unansweredSinceMs');
      this.#clearTime(peer.id, 'owedSinceMs');
    }
    this.#options.post({ type: 'dropAllStaged' }, 'all');
  }

  /** The sockets are others: no peer is sent to from a local address of before. */
  forgetSources(): void {
    for (const peer of this.peers.values())
      if (peer.endpoint !== null) peer.endpoint = { ...peer.endpoint, localAddress: null, localInterface: 0 };
    this.#options.post({ type: 'forgetSources' }, 'all');
  }

  setEndpoint(peer: ControlPeer, endpoint: Endpoint): void {
    this.#moveTo(peer, endpoint);
    this.paths.placed(peer.id, endpoint);
  }

  /** Tells lanes by what messages to us are known, when they run and when that changes: by nothing while the link is down. */
  tellIdentity(): void {
    this.#options.post({ type: 'identity', publicKey: this.#isUp ? this.machine.publicKey : null }, 'all');
  }

  #moveTo(peer: ControlPeer, endpoint: Endpoint): void {
    if (!isSameRemote(peer.endpoint, endpoint)) this.offloads.moved(peer.id);
    peer.endpoint = endpoint;
    peer.endpointSerial += 1;
    this.#options.post({ type: 'endpoint', peer: peer.id, endpoint, serial: peer.endpointSerial }, 'all');
  }

  /** Takes an event of a lane. */
  take(event: LaneEvent, lane: number): void {
    switch (event.type) {
      case 'handshake':
        this.#takeHandshake(event.message, event.source);
        break;
      case 'want':
        this.#wanted(event.peer);
        break;
      case 'confirmed':
        if (this.peers.has(event.peer))
          this.#act(event.peer, this.machine.confirmed(event.peer, event.keypair, nowMs()));
        break;
      case 'control':
        this.offloads.take(event.peer, event.message);
        this.paths.take(event);
        break;
      case 'groupsRefused':
        this.offloads.refused(event.peer, event.errno, event.offUntilMs);
        break;
      case 'installed':
        this.#keypairMemory.answered(lane, event.token);
        this.#installs.answered(event.token);
        break;
      case 'marked':
        this.#keypairMemory.answered(lane, event.token);
        this.#removed.answered(lane, event.token);
        break;
      case 'watch':
        this.#evaluateId(event.peer);
        break;
      case 'roamed':
        this.#roamed(event, lane);
        break;
    }
  }

  close(): void {
    this.offloads.close();
    this.paths.close();
    this.initiations.close();
    this.#installs.close();
    for (const peer of this.peers.values()) if (peer.timer !== null) clearTimeout(peer.timer);
    this.machine.close();
    this.peers.clear();
  }

  /** Nobody speaks of a removed peer any more. */
  #forget({ id, cells }: ControlPeer): void {
    this.machine.releasePeerId(id);
    this.#peerMemory.release({ memory: cells.buffer as SharedArrayBuffer, offset: cells.byteOffset });
  }

  #addPeer(plan: PeerPlan): { peer: ControlPeer; entry: PeerEntry } {
    const { publicKey, presharedKey, endpoint, cipher = CIPHER_DEFAULT } = plan;
    const id = this.machine.addPeer(publicKey, { presharedKey, cipher });
    const { memory, offset } = this.#peerMemory.take();
    const peer = newControlPeer(id, plan, memory, offset, this.#options.lanes);
    this.peers.set(id, peer);
    return { peer, entry: { peer: id, memory, offset, endpoint } };
  }

  /** The first keepalives, each a handshake, are spread: thousands at once would keep everybody waiting. */
  #startKeepalive(peer: ControlPeer, at: number): void {
    if (!this.#isUp) return;
    if (at < KEEPALIVES_AT_ONCE) this.#evaluate(peer);
    else peer.timer = setTimeout(() => this.#evaluate(peer), (at - KEEPALIVES_AT_ONCE) * KEEPALIVE_SPREAD_MS);
  }

  /** Under load the lane has looked at the message's cookie, or answered it with one (paper 5.3), and this is what is left. */
  #takeHandshake(message: Uint8Array, source: Endpoint): void {
    Atomics.sub(this.#options.handshakesPending, 0, 1);
    const now = nowMs();
    const actions = this.#isUp ? this.machine.receiveHandshake(message, source, now, Date.now()) : REFUSED;
    if (actions.some(({ kind }) => kind === 'failed')) this.#options.ledger.drops[DROP.IN_HANDSHAKE_BAD] += 1;
    this.#countReceived(actions, message.length);
    this.#carryOut(actions);
    for (const peer of new Set(actions.map((action) => action.peer))) if (peer !== null) this.#evaluateId(peer);
  }

  /** A lane's wish that crossed with a new keypair is void. */
  #wanted(id: number): void {
    const peer = this.peers.get(id);
    if (peer === undefined || !this.#isUp) return;
    if (nowMs() - peer.currentBornMs < this.#options.timing.REKEY_AFTER_TIME_MS) return;
    this.#act(id, this.machine.wantHandshake(id, nowMs(), Date.now()));
  }

  /** An authentic handshake message counts as received from its peer. */
  #countReceived(actions: readonly Action[], length: number): void {
    const heard = actions.find(({ kind }) => kind === 'endpoint');
    const peer = heard === undefined || heard.peer === null ? undefined : this.peers.get(heard.peer);
    if (peer !== undefined) peer.cells[PEER_CELL.LANE_BYTES + 2 * this.#options.lanes + 1] += length;
  }

  /** What a lane said before it heard where the peer is now is out of date. */
  #roamed({ peer: id, endpoint, serial }: Extract<LaneEvent, { type: 'roamed' }>, lane: number): void {
    const peer = this.peers.get(id);
    if (peer === undefined || serial !== peer.endpointSerial) return;
    const isPath = this.paths.knows(id, endpoint);
    if (this.paths.moved(id, endpoint)) return;
    if (!isPath && !isSameRemote(peer.endpoint, endpoint)) this.offloads.moved(id);
    peer.endpoint = endpoint;
    this.#options.post({ type: 'endpoint', peer: id, endpoint, serial }, { except: lane });
  }

  #act(id: number, actions: readonly Action[]): void {
    this.#carryOut(actions);
    this.#evaluateId(id);
  }

  #evaluateId(id: number): void {
    const peer = this.peers.get(id);
    if (peer !== undefined) this.#evaluate(peer);
  }

  /**
   * Asks the machine what is due for a peer, and when to ask again. A peer whose next deadline is further away than
   * KEEPALIVE_TIMEOUT is no longer watched: a lane says so when something happens, and no deadline lies nearer to the
   * event that sets it. So idle peers cost nothing and busy ones cost one message per timeout.
   */
  #evaluate(peer: ControlPeer): void {
    if (peer.timer !== null) clearTimeout(peer.timer);
    peer.timer = null;
    if (!this.#isUp) return;
    this.offloads.touch(peer.id);
    this.paths.touch(peer.id);
    this.#carryOut(this.machine.activity(peer.id, timesOf(peer.cells), nowMs(), Date.now()));
    const waitMs = this.machine.nextDeadlineMs(peer.id) - nowMs();
    const { KEEPALIVE_TIMEOUT_MS } = this.#options.timing;
    const { UNANSWERED_SINCE_MS, OWED_SINCE_MS } = PEER_CELL;
    // First the mark, then the times: a lane writes the times first, so one of the two sees the other.
    Atomics.exchange(peer.watched, 0, 0);
    const pending = peer.cells[UNANSWERED_SINCE_MS] !== 0 || peer.cells[OWED_SINCE_MS] !== 0;
    if (pending) Atomics.store(peer.watched, 0, 1);
    const delayMs = pending ? Math.min(waitMs, KEEPALIVE_TIMEOUT_MS) : waitMs;
    if (delayMs === Number.POSITIVE_INFINITY) return;
    peer.timer = setTimeout(() => this.#evaluate(peer), Math.max(1, Math.ceil(delayMs)));
  }

  #carryOut(actions: readonly Action[]): void {
    for (let at = 0; at < actions.length; at += 1) {
      const action = actions[at];
      if (action.kind === 'install') {
        this.#install(action, actions.slice(at + 1));
        return;
      }
      this.#carryOutOne(action);
    }
  }

  #carryOutOne(action: Exclude<Action, InstallAction>): void {
    const { post } = this.#options;
    switch (action.kind) {
      case 'send':
        this.#send(action);
        break;
      case 'promote':
        this.#noteCurrent(action.peer);
        post({ type: 'promote', peer: action.peer, keypair: action.keypairId, confirm: false }, 'all');
        this.offloads.promoted(action.peer, action.keypairId);
        break;
      case 'retire':
        this.#installs.forget(action.keypairId);
        post({ type: 'retire', peer: action.peer, keypair: action.keypairId }, 'all');
        this.offloads.retired(action.peer, action.keypairId);
        this.#keypairMemory.retire(action.keypairId, this.#lastToken);
        break;
      case 'keepalive':
        post({ type: 'keepalive', peer: action.peer }, 0);
        break;
      case 'dropStaged':
        post({ type: 'dropStaged', peer: action.peer }, 'all');
        break;
      case 'endpoint':
        this.initiations.stop(action.peer);
        this.#move(action.peer, action.endpoint);
        break;
      case 'clearTime':
        this.#clearTime(action.peer, action.time);
        break;
      case 'failed':
        // Shown in the peer's status; messages that were refused are counted where they came in.
        if (action.reason === 'no answer to aes-256-gcm' || action.reason === 'cipher refused')
          warnOfCipher(action, this.peers, this.machine, this.#options.log);
        break;
    }
  }

  /** A handshake message that came from where the peer was tells the lanes nothing. */
  #move(id: number, endpoint: Endpoint): void {
    const peer = this.peers.get(id);
    if (peer === undefined) return;
    this.paths.handshake(id, endpoint);
    if (!isSameEndpoint(peer.endpoint, endpoint) && !this.paths.moved(id, endpoint)) this.#moveTo(peer, endpoint);
  }

  #clearTime(id: number, time: 'unansweredSinceMs' | 'owedSinceMs'): void {
    const peer = this.peers.get(id);
    if (peer === undefined) return;
    const cell = time === 'unansweredSinceMs' ? PEER_CELL.UNANSWERED_SINCE_MS : PEER_CELL.OWED_SINCE_MS;
    peer.cells[cell] = 0;
  }

  /**
   * Gives a keypair to the lanes. Each gets a copy of the keys and zeroes it; ours is zeroed here. What follows waits
   * until all lanes can receive on the keypair: the other side may use it as soon as it has our response, or, when we are
   * the initiator, as soon as one lane has sent on it.
   */
  #install(action: InstallAction, rest: readonly Action[]): void {
    const { id, cipher, localIndex, remoteIndex, sendKey, receiveKey, initiator, bornMs } = action.keypair;
    const memory = this.#keypairMemory.take(id);
    const { peer, place } = action;
    const owner = this.peers.get(peer);
    if (owner !== undefined) {
      owner.nextBornMs = bornMs;
      if (place === 'current') owner.currentBornMs = bornMs;
      owner.hasCipherWarning = false;
    }
    this.offloads.installed(peer, id, localIndex, remoteIndex, memory);
    this.#lastToken += 1;
    const token = this.#lastToken;
    this.#installs.add(token, { peer, keypair: id, place, rest });
    const keypair = { token, keypair: id, localIndex, remoteIndex, sendKey, receiveKey, initiator, bornMs, ...memory };
    this.#options.post({ type: 'install', peer, place, cipher, ...keypair }, 'all');
    sendKey.fill(0);
    receiveKey.fill(0);
  }

  #noteCurrent(id: number): void {
    const peer = this.peers.get(id);
    if (peer !== undefined) peer.currentBornMs = peer.nextBornMs;
  }

  /** The initiator's keypair is now sent with; a keepalive that follows confirms it if no staged packet does. */
  #finishInstall({ peer, keypair, place, rest }: Install): void {
    if (place === 'current') {
      this.#options.post({ type: 'promote', peer, keypair, confirm: false }, { except: 0 });
      this.#options.post({ type: 'promote', peer, keypair, confirm: true }, 0);
      this.offloads.promoted(peer, keypair);
    }
    this.#carryOut(rest.filter((action) => place === 'next' || action.kind !== 'keepalive'));
  }

  #send({ message, peer: id, to, forgetSource }: Extract<Action, { kind: 'send' }>): void {
    const peer = id === null ? undefined : this.peers.get(id);
    if (peer !== undefined && forgetSource && peer.endpoint?.localAddress)
      this.setEndpoint(peer, { ...peer.endpoint, localAddress: null, localInterface: 0 });
    const paths = peer === undefined ? null : this.paths.endpointsFor(peer.id, to);
    if (peer !== undefined && paths !== null) for (const path of paths) this.#sendTo(message, path, peer, true);
    else if (peer !== undefined && to === null) this.initiations.send(peer, message, forgetSource);
    else this.#sendTo(message, to, peer);
    if (peer !== undefined) this.initiations.copy(peer, message, to, paths, forgetSource);
  }

  #sendTo(message: Uint8Array, to: Endpoint | null, peer: ControlPeer | undefined, isPath = false): boolean {
    if (to === null) {
      this.#options.ledger.drops[DROP.OUT_NO_ENDPOINT] += 1;
      return false;
    }
    const sent = this.#sender.send(message, to, isPath);
    if (sent && peer !== undefined) peer.cells[PEER_CELL.LANE_BYTES + 2 * this.#options.lanes] += message.length;
    return sent;
  }
}

/** CLOCK_MONOTONIC in milliseconds: the same clock that lanes read. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
