/**
 * The protocol towards one peer: its handshake, its keypairs and its timers put together. DeviceMachine finds the peer
 * that a message is for and passes it on; what is to be done comes back as actions, in order.
 */
import type { Endpoint } from '../packet/endpoint.ts';
import type { Action, HandshakeFailure } from './action.ts';
import type { Cipher, CipherChoice } from './cipher.ts';
import { CipherPolicy } from './cipher-policy.ts';
import { type HandshakeTools, type OpenedInitiation, PeerHandshake, type Session } from './handshake.ts';
import type { DenseIds } from './index-table.ts';
import { type Keypair, KeypairSlots } from './keypair.ts';
import type { CookieReply, Response } from './messages.ts';
import { PeerTimers, type PeerTimes } from './timers.ts';
import type { DhKeyPair } from './x25519.ts';

/** What a peer needs of its device. */
export interface PeerTools extends HandshakeTools {
  /** Slot numbers of keypairs. */
  readonly keypairIds: DenseIds;
  /** Whether AES-256-GCM is fast on this machine. */
  readonly prefersAes: boolean;
}

/** What can be told about a peer. */
export interface PeerStatus {
  /** Epoch milliseconds of the last completed handshake, or 0. */
  readonly lastHandshakeRealMs: number;
  /** Why the last handshake of this peer failed, or null when it succeeded or none was tried. */
  readonly lastFailure: HandshakeFailure | null;
  /** Whether initiations are being sent. */
  readonly handshakeUnderWay: boolean;
  /** Cipher of the keypair that is sent with, or null when there is none. */
  readonly cipher: Cipher | null;
}

export class PeerMachine {
  readonly id: number;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #tools: PeerTools;
  readonly #handshake: PeerHandshake;
  readonly #slots = new KeypairSlots();
  readonly #timers: PeerTimers;
  readonly #ciphers: CipherPolicy;
  /** Whether the handshake under way is only an offer of a better cipher, beside a session that works. */
  #isOffering = false;
  #handshakeSentMs = Number.NEGATIVE_INFINITY;
  #lastHandshakeRealMs = 0;
  #lastFailure: HandshakeFailure | null = null;
  /** Initiations refused for their cipher since the last handshake that succeeded. */
  #cipherRefusals = 0;

  constructor(id: number, publicKey: Uint8Array, tools: PeerTools) {
    this.id = id;
    this.publicKey = publicKey;
    this.#tools = tools;
    this.#handshake = new PeerHandshake(id, publicKey, tools);
    this.#ciphers = new CipherPolicy(tools.prefersAes);
    this.#timers = new PeerTimers(tools.timing, () => this.#jitterMs());
  }

  get nextDeadlineMs(): number {
    return this.#timers.nextDeadlineMs;
  }

  get status(): PeerStatus {
    return {
      lastHandshakeRealMs: this.#lastHandshakeRealMs,
      lastFailure: this.#lastFailure,
      handshakeUnderWay: this.#timers.handshakeUnderWay,
      cipher: this.#slots.current?.cipher ?? null,
    };
  }

  setPresharedKey(key: Uint8Array | null): void {
    this.#handshake.setPresharedKey(key);
  }

  get hasPresharedKey(): boolean {
    return this.#handshake.hasPresharedKey;
  }

  /** 32 bytes, a copy, or null. */
  get presharedKey(): Uint8Array | null {
    return this.#handshake.presharedKey;
  }

  get cipherChoice(): CipherChoice {
    return this.#ciphers.choice;
  }

  /** Counts from the next handshake on. */
  setCipherChoice(choice: CipherChoice): void {
    this.#ciphers.choose(choice);
  }

  setPersistentKeepalive(seconds: number): void {
    this.#timers.setPersistentKeepalive(seconds);
  }

  /** Our static key changed: keypairs made with the old one are given up. */
  setLocalStatic(localStatic: DhKeyPair | null): Action[] {
    const actions = this.forget();
    this.#ciphers.choose(this.#ciphers.choice);
    this.#handshake.setLocalStatic(localStatic);
    return actions;
  }

  /** The same while the device runs: the next handshake need not keep its distance, and one under way starts anew. */
  changeLocalStatic(localStatic: DhKeyPair | null, nowMs: number): Action[] {
    const underWay = this.#timers.handshakeUnderWay;
    const actions = this.setLocalStatic(localStatic);
    this.#handshakeSentMs = Number.NEGATIVE_INFINITY;
    if (underWay) this.#timers.handshakePostponed(nowMs);
    return actions;
  }

  /** The link is down. */
  stop(): Action[] {
    const actions = this.forget();
    this.#timers.stop();
    this.#handshakeSentMs = Number.NEGATIVE_INFINITY;
    return actions;
  }

  /** The link is up. */
  start(): void {
    this.#timers.start();
  }

  /** Gives up handshake and keypairs. */
  forget(): Action[] {
    this.#handshake.clear();
    this.#timers.handshakeEnded();
    return this.#clearKeypairs();
  }

  wantHandshake(nowMs: number, realMs: number, forgetSource = false): Action[] {
    const underWay = this.#timers.handshakeUnderWay;
    this.#isOffering = false;
    this.#timers.handshakeWanted(nowMs);
    return underWay ? [] : this.#initiate(nowMs, realMs, forgetSource);
  }

  receiveInitiation(opened: OpenedInitiation, source: Endpoint, nowMs: number): Action[] {
    const { cipher } = opened.state;
    const answer = this.#handshake.respond(opened, this.#ciphers.allows(cipher), nowMs);
    if (typeof answer === 'string') return this.#refuse(answer);
    this.#ciphers.initiated(cipher);
    const actions = this.#heard(source, nowMs);
    actions.push(...this.#install(answer.session, 'next', nowMs));
    actions.push(...this.#send(answer.message, source, false, nowMs));
    return actions;
  }

  receiveResponse(response: Response, source: Endpoint, nowMs: number, realMs: number): Action[] {
    const session = this.#handshake.complete(response);
    if (typeof session === 'string') return this.#refuse(session);
    const actions = this.#heard(source, nowMs);
    actions.push(...this.#install(session, 'current', nowMs));
    this.#ciphers.answered(session.cipher);
    this.#complete(realMs);
    // The first transport message proves the keypair to the responder, which until then does not send on it.
    actions.push({ kind: 'keepalive', peer: this.id });
    return actions;
  }

  receiveCookieReply(reply: CookieReply, nowMs: number): Action[] {
    const failure = this.#handshake.takeCookie(reply, nowMs);
    return failure === null ? [] : this.#refuse(failure);
  }

  confirmed(keypairId: number, nowMs: number, realMs: number): Action[] {
    const fallen = this.#slots.confirm(keypairId);
    if (fallen === null) return [];
    this.#complete(realMs);
    const actions = this.#retire(fallen);
    actions.push({ kind: 'promote', peer: this.id, keypairId });
    const { current } = this.#slots;
    if (current !== null && this.#ciphers.confirmed(current.cipher)) {
      actions.push(...this.wantHandshake(nowMs, realMs));
      this.#isOffering = true;
    }
    return actions;
  }

  activity(times: PeerTimes, nowMs: number, realMs: number): Action[] {
    this.#timers.observe(times);
    const actions: Action[] = [];
    if (this.#timers.takeZeroKeyMaterial(nowMs)) actions.push(...this.#zeroKeyMaterial());
    if (this.#timers.takeNewHandshake(nowMs)) actions.push(...this.#handshakeAfterSilence(nowMs, realMs));
    actions.push(...this.#retransmit(times, nowMs, realMs));
    if (this.#timers.takeKeepalive(nowMs)) actions.push(...this.#keepalive(nowMs, realMs));
    return actions;
  }

  #handshakeAfterSilence(nowMs: number, realMs: number): Action[] {
    const cleared: Action = { kind: 'clearTime', peer: this.id, time: 'unansweredSinceMs' };
    return [cleared, ...this.wantHandshake(nowMs, realMs, true)];
  }

  #retransmit({ lastReceivedMs }: PeerTimes, nowMs: number, realMs: number): Action[] {
    const due = this.#timers.takeRetransmission(nowMs);
    if (due === 'wait') return [];
    // Who sends on a keypair in AES-256-GCM knows it, and has only missed the offer.
    const knowsAes = this.#slots.current?.cipher === 'aes-256-gcm' && lastReceivedMs > this.#handshakeSentMs;
    const wasOffer = !knowsAes && this.#ciphers.unanswered(this.#isOffering);
    if (due === 'give up') return [{ kind: 'dropStaged', peer: this.id }, ...this.#fail(this.#whyUnanswered())];
    if (!wasOffer || !this.#isOffering) return this.#initiate(nowMs, realMs, true);
    this.#timers.handshakeEnded();
    return [];
  }

  /** The peer's own initiations may have told more than its silence does. */
  #whyUnanswered(): HandshakeFailure {
    if (this.#lastFailure === 'cipher refused') return this.#lastFailure;
    return this.#ciphers.choice === 'aes-256-gcm' ? 'no answer to aes-256-gcm' : 'no answer';
  }

  #keepalive(nowMs: number, realMs: number): Action[] {
    const { current } = this.#slots;
    const isUsable = current !== null && nowMs - current.bornMs < this.#tools.timing.REJECT_AFTER_TIME_MS;
    return isUsable ? [{ kind: 'keepalive', peer: this.id }] : this.wantHandshake(nowMs, realMs);
  }

  /** Sends an initiation, or puts it off: no two handshake messages of ours are closer than REKEY_TIMEOUT. */
  #initiate(nowMs: number, realMs: number, forgetSource: boolean): Action[] {
    const earliestMs = this.#handshakeSentMs + this.#tools.timing.REKEY_TIMEOUT_MS;
    if (nowMs < earliestMs) {
      this.#timers.handshakePostponed(earliestMs + this.#jitterMs());
      return [];
    }
    const message = this.#handshake.initiate(this.#ciphers.next(), nowMs, realMs);
    if (typeof message === 'string') {
      this.#timers.handshakeEnded();
      return this.#fail(message);
    }
    const actions = this.#send(message, null, forgetSource, nowMs);
    this.#timers.initiationSent(nowMs);
    return actions;
  }

  #send(message: Uint8Array, to: Endpoint | null, forgetSource: boolean, nowMs: number): Action[] {
    this.#handshakeSentMs = nowMs;
    this.#timers.handshakeMessageSent(nowMs);
    return [
      { kind: 'send', peer: this.id, message, to, forgetSource },
      { kind: 'clearTime', peer: this.id, time: 'owedSinceMs' },
    ];
  }

  #heard(source: Endpoint, nowMs: number): Action[] {
    this.#timers.handshakeMessageReceived(nowMs);
    return [
      { kind: 'endpoint', peer: this.id, endpoint: source },
      { kind: 'clearTime', peer: this.id, time: 'unansweredSinceMs' },
    ];
  }

  #install(session: Session, place: 'current' | 'next', nowMs: number): Action[] {
    const id = this.#tools.keypairIds.take();
    const initiator = place === 'current';
    const { cipher, localIndex } = session;
    const keypair: Keypair = { id, cipher, localIndex, initiator, bornMs: nowMs };
    const fallen = initiator ? this.#slots.installCurrent(keypair) : this.#slots.installNext(keypair);
    this.#timers.keypairMade(nowMs);
    return [
      ...this.#retire(fallen),
      { kind: 'install', peer: this.id, keypair: { ...session, id, initiator, bornMs: nowMs }, place },
    ];
  }

  #complete(realMs: number): void {
    this.#timers.handshakeEnded();
    this.#lastHandshakeRealMs = realMs;
    this.#lastFailure = null;
    this.#cipherRefusals = 0;
  }

  /** Keeps a handshake that is under way, and the packets that wait for it: neither is older than the last traffic. */
  #zeroKeyMaterial(): Action[] {
    const actions = this.#clearKeypairs();
    if (this.#timers.handshakeUnderWay) return actions;
    this.#handshake.clear();
    return [...actions, { kind: 'dropStaged', peer: this.id }];
  }

  #clearKeypairs(): Action[] {
    this.#timers.keysCleared();
    return this.#retire(this.#slots.clear());
  }

  #retire(fallen: readonly Keypair[]): Action[] {
    return fallen.map(({ id, localIndex }) => {
      this.#tools.keypairIds.release(id);
      this.#tools.indices.release(localIndex);
      return { kind: 'retire', peer: this.id, keypairId: id };
    });
  }

  /** A handshake of ours failed. */
  #fail(reason: HandshakeFailure): Action[] {
    this.#lastFailure = reason;
    return this.#refuse(reason);
  }

  /** A message was refused. Most reasons say nothing about the peer, for anybody may have sent the message. */
  #refuse(reason: HandshakeFailure): Action[] {
    if (reason === 'cipher refused') this.#cipherRefusals++;
    // A single one is an offer of `auto` at the other end, which goes on with another cipher by itself.
    const tells = reason === 'cipher refused' ? this.#cipherRefusals > 1 : reason === 'bad response';
    if (tells) this.#lastFailure = reason;
    return [{ kind: 'failed', peer: this.id, reason }];
  }

  #jitterMs(): number {
    const bytes = this.#tools.random(2);
    return ((bytes[0] << 8) | bytes[1]) % (this.#tools.timing.REKEY_TIMEOUT_JITTER_MS_MAX + 1);
  }
}
