/**
 * One peer's path, as far as offloads go: who it is (announcer), which groups reach it (prober, or the rate where it
 * cannot be asked), what of its traffic arrives here (reports), and what of ours gets lost (loss watch). Pure but for its
 * host, through which it speaks and tells what it found; time is an argument.
 */
import {
  CAPABILITY,
  type ControlMessage,
  decodeControlMessage,
  encodeControlMessage,
} from '../protocol/control-message.ts';
import { Announcer } from './announcer.ts';
import { type GroupShapes, type ProbeGroup, plaintextLengths } from './group-shapes.ts';
import { LossWatch } from './loss-watch.ts';
import type { PeerOffloads } from './offload-name.ts';
import { ProbeArrivals } from './probe-arrivals.ts';
import { RateWatch } from './rate-watch.ts';
import { type ProbeStep, ShapeProber } from './shape-prober.ts';

/** Control messages that this peer's lane sends, group by group, each message the plaintext of a datagram. */
export type ControlGroups = readonly (readonly Uint8Array[])[];

/** What a path does to the world. */
export interface PathHost {
  readonly send: (groups: ControlGroups) => void;
  /** Other groups from now on, and why. */
  readonly shape: (shapes: GroupShapes, why: ShapeReason) => void;
}

/** `slow` and `fast`: the rate is what groups are for, or not; `blamed` and `retried`: groups seem to be what slows it down. */
export type ShapeReason = 'probed' | 'slow' | 'fast' | 'blamed' | 'retried';

/** What the control lane reads of a peer once a second while something flows; the keypair's figures are of the current one. */
export interface PathFigures {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Transport messages sent; newest received counter + 1; how many of these arrived. */
  readonly sent: number;
  readonly newest: number;
  readonly count: number;
}

export interface PathOptions {
  readonly offloads: PeerOffloads;
  readonly announces: boolean;
  /** Capability bits that are announced besides those of every gigatun. */
  readonly offered: number;
  /** Most datagrams that the kernel takes in a group; 1 without GSO. */
  readonly datagramsMax: number;
  /** Random, 32 bits. */
  readonly firstRound: number;
}

/** A report is worth a message from so many new arrivals on, or as soon as something is missing. */
const REPORT_ARRIVALS_MIN = 16;
/** Sessions begin no closer, however often the peer moves: messages passed on from elsewhere must not bring hundreds there. */
const SESSION_INTERVAL_MS = 10_000;
/** Datagrams in answer to a peer's probes, per second. */
const ANSWERS_PER_SECOND_MAX = 32;

export class PeerPath {
  readonly #host: PathHost;
  readonly #announcer: Announcer;
  readonly #prober: ShapeProber | null;
  readonly #rate: RateWatch = new RateWatch();
  readonly #losses: LossWatch = new LossWatch();
  readonly #arrivals: ProbeArrivals = new ProbeArrivals();
  readonly #datagramsMax: number;
  #started = false;
  /** When the last session began, ms. */
  #beganMs = Number.NEGATIVE_INFINITY;
  #localIndex = 0;
  #remoteIndex = 0;
  #last: PathFigures = { sentBytes: 0, receivedBytes: 0, sent: 0, newest: 0, count: 0 };
  #reportedCount = 0;
  #reportedNewest = 0;
  #answers = 0;

  constructor(options: PathOptions, host: PathHost) {
    this.#host = host;
    this.#announcer = new Announcer(options.announces, options.offered);
    this.#datagramsMax = options.datagramsMax;
    const probes = options.offloads === 'auto' && options.datagramsMax > 1;
    this.#prober = probes ? new ShapeProber(options.datagramsMax, options.firstRound) : null;
  }

  /** Whether the peer has announced itself. */
  get isGigatun(): boolean {
    return this.#announcer.isHeard;
  }

  /** What the peer has announced that it can do; 0 for a stranger. */
  get capabilities(): number {
    return this.#announcer.capabilities;
  }

  /** Something else is offered to the peer. */
  offer(offered: number, nowMs: number): void {
    this.#say(this.#announcer.offer(offered, nowMs));
  }

  /** Which groups the peer gets, if that is this path's to say. */
  get shapes(): GroupShapes | null {
    if (this.#prober === null) return null;
    if (this.isGigatun) return this.#prober.shapes;
    return { datagramsMax: this.#rate.groups ? this.#datagramsMax : 1, shortTail: true };
  }

  /** When groups that are off are tried again, ms; 0 if that depends on other things. */
  get retryMs(): number {
    if (!this.isGigatun) return this.#rate.retryMs;
    return this.#prober?.isDemoted === true ? this.#prober.retryMs : 0;
  }

  get isProbing(): boolean {
    return this.#prober?.isProbing ?? false;
  }

  /** Whether `step` may have something to do within the next second. */
  isBusy(nowMs: number): boolean {
    return this.isProbing || this.#announcer.dueMs - nowMs < 1_000;
  }

  /** Another keypair is sent with; our receiver index and the peer's. */
  newKeypair(localIndex: number, remoteIndex: number, nowMs: number): void {
    this.#localIndex = localIndex;
    this.#remoteIndex = remoteIndex;
    this.#reportedCount = 0;
    this.#reportedNewest = 0;
    this.#last = { ...this.#last, sent: 0, newest: 0, count: 0 };
    const wasGigatun = this.isGigatun;
    this.#say(this.#announcer.newKeypair(nowMs));
    if (wasGigatun && !this.isGigatun) this.#becameStranger();
  }

  /** The peer is at another address. */
  moved(nowMs: number): void {
    if (this.#started) this.#prober?.start(nowMs);
  }

  /** A control message of this peer, without its padding. `figures`: of the keypair that is sent with. */
  take(bytes: Uint8Array, figures: PathFigures, nowMs: number): void {
    const message = decodeControlMessage(bytes);
    if (message === null) return;
    if (message.kind === 'announce') this.#announced(message, nowMs);
    else if (this.isGigatun) this.#takeFromGigatun(message, figures, nowMs);
  }

  /** Once a second while something flows. */
  look(figures: PathFigures, nowMs: number): void {
    const last = this.#last;
    this.#last = figures;
    this.#answers = 0;
    const sentBytes = figures.sentBytes - last.sentBytes;
    if (this.isGigatun) {
      if (!this.#started && sentBytes > 0) this.#start(nowMs);
      this.#report(figures);
      const silent = figures.sent > last.sent && this.#losses.look(this.#remoteIndex, figures.sent);
      if (silent) this.#suspect(nowMs);
    } else if (this.#prober !== null) this.#lookAtRate(sentBytes, figures.receivedBytes - last.receivedBytes, nowMs);
  }

  /** Sends what is due: probes, questions, announcements. `mayBegin`: whether probing may begin. */
  step(nowMs: number, mtu: number, mayBegin: boolean): void {
    this.#say(this.#announcer.due(nowMs));
    const step = this.isGigatun && this.#started ? this.#probe(nowMs, mayBegin) : null;
    if (step?.kind === 'round') this.#host.send(roundMessages(step.round, step.groups, mtu));
    else if (step?.kind === 'ask') this.#say({ kind: 'ask', round: step.round });
    else if (step?.kind === 'verdict' && step.before !== step.after) this.#tell('probed');
  }

  #lookAtRate(sentBytes: number, receivedBytes: number, nowMs: number): void {
    const wasBlamed = this.#rate.retryMs > 0;
    if (!this.#rate.look(sentBytes, receivedBytes, nowMs)) return;
    if (this.#rate.groups) this.#tell(wasBlamed ? 'retried' : 'fast');
    else this.#tell(this.#rate.retryMs > 0 ? 'blamed' : 'slow');
  }

  #probe(nowMs: number, mayBegin: boolean): ProbeStep | null {
    const wasProbing = this.isProbing;
    const step = this.#prober?.step(nowMs, mayBegin && nowMs - this.#beganMs >= SESSION_INTERVAL_MS) ?? null;
    if (!wasProbing && this.isProbing) this.#beganMs = nowMs;
    return step;
  }

  #announced(message: Extract<ControlMessage, { kind: 'announce' }>, nowMs: number): void {
    const wasGigatun = this.isGigatun;
    this.#say(this.#announcer.take(message, nowMs));
    if (!wasGigatun && this.isGigatun && (this.#prober?.isDemoted === true || !this.#rate.groups)) this.#tell('probed');
  }

  /** Probing begins when something flows, so that idle peers cost nothing. */
  #start(nowMs: number): void {
    this.#started = true;
    if ((this.#announcer.capabilities & CAPABILITY.PROBES) !== 0) this.#prober?.start(nowMs);
  }

  #becameStranger(): void {
    this.#started = false;
    if (this.#prober?.isDemoted === true || !this.#rate.groups) this.#tell(this.#rate.groups ? 'fast' : 'slow');
  }

  #takeFromGigatun(message: ControlMessage, figures: PathFigures, nowMs: number): void {
    if (message.kind === 'probe') this.#answer(this.#arrivals.take(message));
    else if (message.kind === 'ask') this.#answer(this.#arrivals.ask(message.round));
    else if (message.kind === 'arrived') this.#prober?.arrived(message.round, message.bits);
    else if (message.kind === 'received' && (message.index | 0) === this.#remoteIndex)
      this.#takeReport(message, figures, nowMs);
  }

  #takeReport(message: Extract<ControlMessage, { kind: 'received' }>, { sent }: PathFigures, nowMs: number): void {
    if (message.newest > sent) return;
    if (this.#losses.report(this.#remoteIndex, message.newest, message.count, sent)) this.#suspect(nowMs);
  }

  #suspect(nowMs: number): void {
    if (this.#started) this.#prober?.suspect(nowMs);
  }

  #answer(answer: ControlMessage | null): void {
    if (answer === null || this.#answers >= ANSWERS_PER_SECOND_MAX) return;
    this.#answers += 1;
    this.#say(answer);
  }

  #report({ newest, count }: PathFigures): void {
    if ((this.#announcer.capabilities & CAPABILITY.RECEIVED) === 0) return;
    const arrived = count - this.#reportedCount;
    const missing = newest - this.#reportedNewest - arrived;
    if (arrived < REPORT_ARRIVALS_MIN && missing <= 0) return;
    this.#reportedCount = count;
    this.#reportedNewest = newest;
    this.#say({ kind: 'received', index: this.#localIndex >>> 0, newest, count });
  }

  #tell(why: ShapeReason): void {
    const shapes = this.shapes;
    if (shapes !== null) this.#host.shape(shapes, why);
  }

  #say(message: ControlMessage | null): void {
    if (message !== null) this.#host.send([[encodeControlMessage(message)]]);
  }
}

/** The datagrams of a probe round, numbered through. */
export function roundMessages(round: number, groups: readonly ProbeGroup[], mtu: number): ControlGroups {
  const total = groups.reduce((sum, { datagrams }) => sum + datagrams, 0);
  let number = 0;
  return groups.map((group) =>
    plaintextLengths(group, mtu).map((length) => {
      const message = encodeControlMessage({ kind: 'probe', round, number, total }, length);
      number += 1;
      return message;
    }),
  );
}
