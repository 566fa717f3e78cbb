/**
 * One end of a simulated tunnel: the real DeviceMachine, driven as the control lane drives it. The data path is Lane.
 * A host that restarts is a new Host with the same static key.
 */
import type { Endpoint } from '../../src/packet/endpoint.ts';
import type { Action } from '../../src/protocol/action.ts';
import type { Cipher, CipherChoice } from '../../src/protocol/cipher.ts';
import type { Timing } from '../../src/protocol/constants.ts';
import { DeviceMachine } from '../../src/protocol/device-machine.ts';
import { SideBySide } from '../../src/protocol/side-by-side.ts';
import type { EventQueue } from './event-queue.ts';
import type { Facts } from './facts.ts';
import { Lane } from './lane.ts';
import type { Datagram, Network, Receiver } from './network.ts';

const EPOCH_MS = 1_700_000_000_000;

export interface HostOptions {
  readonly name: string;
  readonly timing: Timing;
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
  readonly random: (length: number) => Uint8Array;
  readonly persistentKeepaliveSeconds: number;
  readonly cipher: CipherChoice;
}

/** What hosts of one simulation share. */
export interface Surroundings {
  readonly queue: EventQueue;
  readonly network: Network;
  readonly facts: Facts;
}

export class Host implements Receiver {
  readonly options: HostOptions;
  readonly machine: DeviceMachine;
  readonly lane: Lane;
  /** Real time runs this much ahead of simulated time. */
  clockOffsetMs = 0;
  /** Handshake messages must bear a cookie. */
  isUnderLoad = false;
  endpoint: Endpoint;
  peerEndpoint: Endpoint | null = null;
  /** Where initiations go besides, as a name would have it. */
  otherEndpoints: readonly Endpoint[] = [];
  /** Initiations that left, each copy counted. */
  initiationCopies = 0;
  #underWay: SideBySide | null = null;
  readonly #around: Surroundings;
  #peer = -1;
  #isStopped = false;
  #wakeMs = Number.POSITIVE_INFINITY;

  /** @param endpoint the address of the host that this one replaces, or null for a new one */
  constructor(options: HostOptions, around: Surroundings, endpoint: Endpoint | null) {
    this.options = options;
    this.#around = around;
    const { privateKey, timing, random } = options;
    this.machine = new DeviceMachine({ privateKey: Uint8Array.from(privateKey), timing, random, prefersAes: true });
    this.lane = new Lane(this, timing, around.facts);
    this.endpoint = endpoint ?? around.network.attach(this);
    around.network.attachAt(this, this.endpoint);
  }

  get nowMs(): number {
    return this.#around.queue.nowMs;
  }

  /** Cipher of the keypair that is sent with. */
  get cipher(): Cipher | null {
    return this.machine.status(this.#peer).cipher;
  }

  get isHandshakeUnderWay(): boolean {
    return this.machine.status(this.#peer).handshakeUnderWay;
  }

  /** Whether nothing will happen here until something comes from outside. */
  get isIdle(): boolean {
    return this.machine.nextDeadlineMs(this.#peer) === Number.POSITIVE_INFINITY;
  }

  addPeer(publicKey: Uint8Array, endpoint: Endpoint | null): void {
    const { persistentKeepaliveSeconds, cipher } = this.options;
    this.#peer = this.machine.addPeer(publicKey, { persistentKeepaliveSeconds, cipher });
    this.peerEndpoint = endpoint;
    this.#planWake();
  }

  /** Moves to another address. */
  roam(): void {
    this.#around.network.detach(this.endpoint);
    this.endpoint = this.#around.network.attach(this);
  }

  /** From now on this host neither hears nor does anything. */
  stop(): void {
    this.#isStopped = true;
  }

  receive(datagram: Datagram, from: Endpoint): void {
    if (this.#isStopped) return;
    if (datagram.kind === 'transport') this.lane.receive(datagram, from);
    else this.#receiveHandshake(datagram.message, from);
  }

  send(datagram: Datagram): void {
    if (this.peerEndpoint !== null) this.#around.network.send(datagram, this.endpoint, this.peerEndpoint);
  }

  wantHandshake(): void {
    this.#run(this.machine.wantHandshake(this.#peer, this.nowMs, this.#realMs));
  }

  confirmed(keypairId: number): void {
    this.#run(this.machine.confirmed(this.#peer, keypairId, this.nowMs));
  }

  /** A packet flowed: the times of the peer are looked at after KEEPALIVE_TIMEOUT at the latest. */
  noteActivity(): void {
    this.#wakeAt(this.nowMs + this.options.timing.KEEPALIVE_TIMEOUT_MS);
  }

  #receiveHandshake(message: Uint8Array, from: Endpoint): void {
    this.#run(this.machine.receiveHandshake(message, from, this.nowMs, this.#realMs, this.isUnderLoad));
  }

  #run(actions: readonly Action[]): void {
    for (const action of actions) this.#execute(action);
    this.#planWake();
  }

  #execute(action: Action): void {
    const { facts, network } = this.#around;
    switch (action.kind) {
      case 'send':
        facts.handshakeMessageSent(this.options.name, action.message, this.nowMs);
        if (action.to === null) this.#sendSideBySide(action.message);
        else network.send({ kind: 'handshake', message: action.message }, this.endpoint, action.to);
        break;
      case 'endpoint':
        this.#underWay = null;
        this.peerEndpoint = action.endpoint;
        break;
      case 'failed':
        facts.handshakeFailed(action.reason);
        break;
      default:
        this.lane.execute(action);
    }
  }

  #sendSideBySide(message: Uint8Array): void {
    const copies = new SideBySide(message);
    copies.add([this.#peerOrNowhere(), ...this.otherEndpoints]);
    this.#underWay = copies;
    this.#sendCopies(copies);
  }

  /** Until the peer is heard or another initiation leaves. */
  #sendCopies(copies: SideBySide): void {
    if (copies !== this.#underWay || this.#isStopped) return;
    const { network, queue } = this.#around;
    for (let to = copies.take(this.nowMs); to !== null; to = copies.take(this.nowMs)) {
      this.initiationCopies += 1;
      network.send({ kind: 'handshake', message: copies.message }, this.endpoint, to);
    }
    if (Number.isFinite(copies.dueMs)) queue.plan(copies.dueMs, () => this.#sendCopies(copies));
  }

  #peerOrNowhere(): Endpoint {
    return this.peerEndpoint ?? this.endpoint;
  }

  #planWake(): void {
    this.#wakeAt(this.machine.nextDeadlineMs(this.#peer));
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#wakeMs) return;
    this.#wakeMs = atMs;
    this.#around.queue.plan(atMs, () => this.#wake(atMs));
  }

  /** Of several wakes that were planned, only the earliest one counts. */
  #wake(plannedMs: number): void {
    if (this.#isStopped || plannedMs !== this.#wakeMs) return;
    this.#wakeMs = Number.POSITIVE_INFINITY;
    const { lastSentMs, lastReceivedMs } = this.lane.times;
    this.#run(this.machine.activity(this.#peer, this.lane.times, this.nowMs, this.#realMs));
    const activeMs = Math.max(lastSentMs, lastReceivedMs);
    if (this.nowMs - activeMs < this.options.timing.KEEPALIVE_TIMEOUT_MS) this.noteActivity();
  }

  get #realMs(): number {
    return EPOCH_MS + this.nowMs + this.clockOffsetMs;
  }
}
