/**
 * The data path of a simulated host: what a lane does, without bytes. Counters, replay windows and keypair slots are
 * real; sealing is left out, but a message can be read only with the very key that it was made with.
 */
import type { Endpoint } from '../../src/packet/endpoint.ts';
import type { Action, NewKeypair } from '../../src/protocol/action.ts';
import { rekeyOnReceiveAgeMs, type Timing } from '../../src/protocol/constants.ts';
import { acceptCounter, REPLAY_WINDOW_WORDS } from '../../src/protocol/replay-window.ts';
import type { PeerTimes } from '../../src/protocol/timers.ts';
import { type Facts, KEEPALIVE, type Refusal } from './facts.ts';
import type { Host } from './host.ts';
import type { TransportMessage } from './network.ts';

const STAGED_MAX = 128;
/** By the answer of the replay window. */
const REFUSALS = [null, 'duplicate', 'too old'] as const;

/** A keypair as a lane has it; keys are names here. */
interface LaneKeypair {
  readonly id: number;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly initiator: boolean;
  readonly bornMs: number;
  readonly sendKey: string;
  readonly receiveKey: string;
  readonly window: Int32Array;
  readonly newest: Float64Array;
  counter: number;
}

type LaneAction = Exclude<Action, { kind: 'send' | 'endpoint' | 'failed' }>;
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export class Lane {
  readonly times: Mutable<PeerTimes> = {
    unansweredSinceMs: 0,
    owedSinceMs: 0,
    lastDataReceivedMs: 0,
    lastSentMs: 0,
    lastReceivedMs: 0,
  };
  readonly #host: Host;
  readonly #timing: Timing;
  readonly #facts: Facts;
  readonly #keypairs = new Map<number, LaneKeypair>();
  readonly #byIndex = new Map<number, LaneKeypair>();
  /** Receiving keys that this host ever had. */
  readonly #keysSeen = new Set<string>();
  /** The most keypairs that there were at once. */
  keypairsMost = 0;
  #current: LaneKeypair | null = null;
  #nextId = -1;
  #staged: number[] = [];
  /** Whether staged packets went out with the keypair that was just installed. */
  #flushed = false;

  constructor(host: Host, timing: Timing, facts: Facts) {
    this.#host = host;
    this.#timing = timing;
    this.#facts = facts;
  }

  /** How many keypairs there are. */
  get keypairs(): number {
    return this.#keypairs.size;
  }

  /** Outbound: sends an inner packet, or stages it until there is a keypair. */
  send(packet: number): void {
    const keypair = this.#usableKeypair();
    if (keypair !== null) this.#seal(keypair, packet);
    else this.#stage(packet);
  }

  /** Inbound: a transport message came. */
  receive(message: TransportMessage, from: Endpoint): void {
    this.#facts.brought(message.packet);
    const keypair = this.#byIndex.get(message.receiver);
    const refusal = keypair === undefined ? this.#whyUnknown(message) : this.#whyRefused(keypair, message);
    if (refusal !== null) this.#facts.refused(message.packet, refusal);
    else if (keypair !== undefined) this.#accept(keypair, message, from);
  }

  execute(action: LaneAction): void {
    switch (action.kind) {
      case 'install':
        this.#install(action.keypair, action.place);
        break;
      case 'promote':
        this.#makeCurrent(this.#keypairs.get(action.keypairId));
        break;
      case 'retire':
        this.#retire(action.keypairId);
        break;
      case 'keepalive':
        this.#keepalive();
        break;
      case 'dropStaged':
        this.#facts.stagedDrops += this.#staged.length;
        this.#staged = [];
        break;
      case 'clearTime':
        this.times[action.time] = 0;
    }
  }

  #accept(keypair: LaneKeypair, message: TransportMessage, from: Endpoint): void {
    const nowMs = this.#host.nowMs;
    this.#host.peerEndpoint = from;
    this.times.unansweredSinceMs = 0;
    this.times.lastReceivedMs = nowMs;
    if (message.packet !== KEEPALIVE) {
      this.times.lastDataReceivedMs = nowMs;
      this.times.owedSinceMs ||= nowMs;
      this.#facts.delivered(message.packet);
      this.#facts.received(this.#host.options.name, nowMs);
    }
    this.#host.noteActivity();
    if (keypair.id === this.#nextId) this.#host.confirmed(keypair.id);
    const current = this.#current;
    if (current?.initiator && this.#ageMs(current) > rekeyOnReceiveAgeMs(this.#timing)) this.#host.wantHandshake();
  }

  #seal(keypair: LaneKeypair, packet: number): void {
    const nowMs = this.#host.nowMs;
    const { remoteIndex: receiver, sendKey: key } = keypair;
    this.#host.send({ kind: 'transport', receiver, counter: keypair.counter++, key, packet });
    this.#facts.sealed(this.#host.options.name, packet, nowMs);
    if (packet !== KEEPALIVE) this.times.unansweredSinceMs ||= nowMs;
    this.times.owedSinceMs = 0;
    this.times.lastSentMs = nowMs;
    this.#host.noteActivity();
    if (keypair.initiator && this.#ageMs(keypair) > this.#timing.REKEY_AFTER_TIME_MS) this.#host.wantHandshake();
  }

  #stage(packet: number): void {
    this.#staged.push(packet);
    if (this.#staged.length > STAGED_MAX) {
      this.#staged.shift();
      this.#facts.stagedDrops++;
    }
    this.#host.wantHandshake();
  }

  #keepalive(): void {
    const keypair = this.#usableKeypair();
    if (keypair === null) this.#host.wantHandshake();
    else if (!this.#flushed) this.#seal(keypair, KEEPALIVE);
    this.#flushed = false;
  }

  #install(keypair: NewKeypair, place: 'current' | 'next'): void {
    const { id, cipher, localIndex, remoteIndex, initiator, bornMs } = keypair;
    const laneKeypair: LaneKeypair = {
      id,
      localIndex,
      remoteIndex,
      initiator,
      bornMs,
      sendKey: `${cipher} ${takeKey(keypair.sendKey)}`,
      receiveKey: `${cipher} ${takeKey(keypair.receiveKey)}`,
      window: new Int32Array(REPLAY_WINDOW_WORDS),
      newest: new Float64Array(1),
      counter: 0,
    };
    this.#facts.keypairMade(this.#host.options.name, laneKeypair);
    if (this.#isCrossing(place)) this.#facts.crossings++;
    if (this.#keypairs.has(id) || this.#byIndex.has(localIndex)) throw new Error('a keypair took the place of another');
    this.#keypairs.set(id, laneKeypair);
    this.keypairsMost = Math.max(this.keypairsMost, this.keypairs);
    this.#byIndex.set(localIndex, laneKeypair);
    this.#keysSeen.add(laneKeypair.receiveKey);
    if (place === 'current') this.#flushed = this.#makeCurrent(laneKeypair);
    else this.#nextId = id;
  }

  /** Returns whether staged packets went out. */
  #makeCurrent(keypair: LaneKeypair | undefined): boolean {
    if (keypair === undefined) throw new Error('a keypair was promoted that was not installed');
    this.#current = keypair;
    this.#nextId = -1;
    const staged = this.#staged;
    this.#staged = [];
    for (const packet of staged) this.#seal(keypair, packet);
    return staged.length > 0;
  }

  #retire(id: number): void {
    const keypair = this.#keypairs.get(id);
    if (keypair === undefined) throw new Error('a keypair was retired that was not there');
    this.#keypairs.delete(id);
    this.#byIndex.delete(keypair.localIndex);
    if (this.#current === keypair) this.#current = null;
    if (this.#nextId === id) this.#nextId = -1;
  }

  /** Whether both ends started a handshake: a response comes where the peer's initiation waits to be confirmed, or one comes to an initiator. */
  #isCrossing(place: 'current' | 'next'): boolean {
    if (place === 'current') return this.#nextId !== -1;
    const lastMs = this.#facts.initiationsOf(this.#host.options.name).at(-1) ?? Number.NEGATIVE_INFINITY;
    return this.#host.nowMs - lastMs < this.#timing.REKEY_TIMEOUT_MS || this.#host.isHandshakeUnderWay;
  }

  #usableKeypair(): LaneKeypair | null {
    const keypair = this.#current;
    return keypair !== null && this.#ageMs(keypair) < this.#timing.REJECT_AFTER_TIME_MS ? keypair : null;
  }

  #whyUnknown(message: TransportMessage): Refusal {
    return this.#keysSeen.has(message.key) ? 'retired keypair' : 'foreign keypair';
  }

  #whyRefused(keypair: LaneKeypair, message: TransportMessage): Refusal | null {
    if (this.#ageMs(keypair) >= this.#timing.REJECT_AFTER_TIME_MS) return 'expired keypair';
    if (keypair.receiveKey !== message.key) return 'bad key';
    return REFUSALS[acceptCounter(keypair.window, keypair.newest, 0, message.counter)];
  }

  #ageMs(keypair: LaneKeypair): number {
    return this.#host.nowMs - keypair.bornMs;
  }
}

/** The key by name; the bytes are zeroed, as the driver must. */
function takeKey(key: Uint8Array): string {
  const name = Buffer.from(key).toString('base64');
  key.fill(0);
  return name;
}
