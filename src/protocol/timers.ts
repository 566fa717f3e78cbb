/**
 * The five timers of a peer (paper, section 6): retransmission of an initiation, the passive keepalive, the new
 * handshake after silence, the zeroing of key material, and the persistent keepalive.
 *
 * No timer runs. Lanes note a few times as packets flow (PeerTimes), the machine notes its own messages, and deadlines
 * follow from them when somebody looks. That loses nothing: no deadline lies nearer to its cause than KEEPALIVE_TIMEOUT
 * or the persistent interval, so who looks that often, and at `nextDeadlineMs`, sees each in time.
 *
 * `observe` reads the lanes' times; the `take…` methods then say whether something is due, once each.
 */
import { newHandshakeTimeoutMs, type Timing, zeroKeyMaterialMs } from './constants.ts';

/**
 * When packets flowed, in monotonic milliseconds; 0 means never, or no longer. The lanes write these as packets flow;
 * the protocol only reads them and asks with `clearTime` for the two that a handshake message settles.
 */
export interface PeerTimes {
  /** First data message (not a keepalive) sent since anything authentic was received. */
  readonly unansweredSinceMs: number;
  /** First data message (not a keepalive) received since anything was sent. */
  readonly owedSinceMs: number;
  /** Newest data message received. */
  readonly lastDataReceivedMs: number;
  /** Newest transport message sent, keepalives included. */
  readonly lastSentMs: number;
  /** Newest authentic transport message received, keepalives included. */
  readonly lastReceivedMs: number;
}

const NEVER = Number.POSITIVE_INFINITY;
/** What is sent within this part of KEEPALIVE_TIMEOUT after a keepalive was ordered is that keepalive. */
const KEEPALIVE_DELAY_PART = 0.1;

export class PeerTimers {
  readonly #timing: Timing;
  /** Milliseconds, 0 to REKEY_TIMEOUT_JITTER_MS_MAX, new at each call. */
  readonly #jitterMs: () => number;

  #retransmitAtMs = NEVER;
  #wantedMs = 0;
  #zeroAtMs = NEVER;

  #unansweredSinceMs = 0;
  #newHandshakeAtMs = NEVER;

  #owedSinceMs = 0;
  #keepaliveAtMs = NEVER;
  /** The keepalive after the last one, for data that came while that one waited; armed when the last was ordered. */
  #anotherKeepaliveAtMs = NEVER;
  #keepaliveOrderedMs = 0;
  #lastDataReceivedMs = 0;

  #persistentIntervalMs = 0;
  #persistentIsDue = false;
  #traversedMs = 0;

  constructor(timing: Timing, jitterMs: () => number) {
    this.#timing = timing;
    this.#jitterMs = jitterMs;
  }

  /** When something is due next, as far as is known; Infinity when idle. May lie in the past. */
  get nextDeadlineMs(): number {
    const keepaliveMs = Math.min(this.#keepaliveAtMs, this.#anotherKeepaliveAtMs, this.#persistentAtMs());
    return Math.min(this.#retransmitAtMs, this.#zeroAtMs, this.#newHandshakeAtMs, keepaliveMs);
  }

  /** Whether an initiation is to be sent or sent again. */
  get handshakeUnderWay(): boolean {
    return this.#retransmitAtMs !== NEVER;
  }

  /** Takes in what the lanes noted. */
  observe(times: PeerTimes): void {
    this.#observeSilence(times.unansweredSinceMs);
    this.#observeDebt(times);
    this.#lastDataReceivedMs = times.lastDataReceivedMs;
    this.#traversed(Math.max(times.lastSentMs, times.lastReceivedMs));
  }

  /** Something wants to be sent: retransmission goes on for REKEY_ATTEMPT_TIME from now. */
  handshakeWanted(nowMs: number): void {
    this.#wantedMs = nowMs;
  }

  /** The first initiation must wait, for another handshake message went out too short a while ago. */
  handshakePostponed(untilMs: number): void {
    this.#retransmitAtMs = untilMs;
  }

  initiationSent(nowMs: number): void {
    this.#retransmitAtMs = nowMs + this.#timing.REKEY_TIMEOUT_MS + this.#jitterMs();
    this.handshakeMessageSent(nowMs);
  }

  /** An initiation or response went out: as good as a keepalive to whom it reaches. */
  handshakeMessageSent(nowMs: number): void {
    this.#keepaliveAtMs = NEVER;
    this.#anotherKeepaliveAtMs = NEVER;
    this.#traversed(nowMs);
  }

  /** An authentic initiation or response came. */
  handshakeMessageReceived(nowMs: number): void {
    this.#newHandshakeAtMs = NEVER;
    this.#traversed(nowMs);
  }

  keypairMade(nowMs: number): void {
    this.#zeroAtMs = nowMs + zeroKeyMaterialMs(this.#timing);
  }

  /** The handshake is complete, or cannot go on. */
  handshakeEnded(): void {
    this.#retransmitAtMs = NEVER;
  }

  /** All keys are gone. */
  keysCleared(): void {
    this.#zeroAtMs = NEVER;
  }

  /** Seconds 0 switches it off. Switched on, one keepalive is due at once. */
  setPersistentKeepalive(seconds: number): void {
    if (this.#persistentIntervalMs === 0) this.#persistentIsDue = true;
    this.#persistentIntervalMs = seconds * 1000;
  }

  /** The link is down: nothing is due any more but what is persistent. */
  stop(): void {
    this.handshakeEnded();
    this.keysCleared();
    this.#newHandshakeAtMs = NEVER;
    this.#keepaliveAtMs = NEVER;
    this.#anotherKeepaliveAtMs = NEVER;
  }

  /** The link is up: a persistent keepalive, if there are any, is due at once. */
  start(): void {
    this.#persistentIsDue = true;
  }

  /** Whether keys are so old that they must be zeroed. */
  takeZeroKeyMaterial(nowMs: number): boolean {
    if (nowMs < this.#zeroAtMs) return false;
    this.#zeroAtMs = NEVER;
    return true;
  }

  /** Whether data was sent and nothing was heard for so long that a new handshake is needed. */
  takeNewHandshake(nowMs: number): boolean {
    if (nowMs < this.#newHandshakeAtMs) return false;
    this.#newHandshakeAtMs = NEVER;
    return true;
  }

  /** Whether the initiation must go out again, or is given up, which ends the handshake. */
  takeRetransmission(nowMs: number): 'retransmit' | 'give up' | 'wait' {
    if (nowMs < this.#retransmitAtMs) return 'wait';
    if (nowMs - this.#wantedMs < this.#timing.REKEY_ATTEMPT_TIME_MS) return 'retransmit';
    this.#retransmitAtMs = NEVER;
    this.#keepaliveAtMs = NEVER;
    this.#anotherKeepaliveAtMs = NEVER;
    if (this.#zeroAtMs === NEVER) this.keypairMade(nowMs);
    return 'give up';
  }

  /** Whether a keepalive is due, passive or persistent. */
  takeKeepalive(nowMs: number): boolean {
    const passive = this.#takePassiveKeepalive(nowMs);
    if (nowMs < this.#persistentAtMs() && !passive) return false;
    this.#persistentIsDue = false;
    this.#traversed(nowMs);
    return true;
  }

  #takePassiveKeepalive(nowMs: number): boolean {
    const waitingSinceMs = nowMs >= this.#keepaliveAtMs ? this.#owedSinceMs : this.#keepaliveOrderedMs;
    if (nowMs < this.#keepaliveAtMs && nowMs < this.#anotherKeepaliveAtMs) return false;
    const cameMeanwhile = this.#lastDataReceivedMs > waitingSinceMs;
    this.#keepaliveAtMs = NEVER;
    this.#keepaliveOrderedMs = nowMs;
    this.#anotherKeepaliveAtMs = cameMeanwhile ? nowMs + this.#timing.KEEPALIVE_TIMEOUT_MS : NEVER;
    return true;
  }

  #persistentAtMs(): number {
    if (this.#persistentIntervalMs === 0) return NEVER;
    return this.#persistentIsDue ? 0 : this.#traversedMs + this.#persistentIntervalMs;
  }

  #observeSilence(sinceMs: number): void {
    if (sinceMs === this.#unansweredSinceMs) return;
    this.#unansweredSinceMs = sinceMs;
    this.#newHandshakeAtMs = sinceMs === 0 ? NEVER : sinceMs + newHandshakeTimeoutMs(this.#timing) + this.#jitterMs();
  }

  #observeDebt(times: PeerTimes): void {
    const delayMs = this.#timing.KEEPALIVE_TIMEOUT_MS * KEEPALIVE_DELAY_PART;
    if (times.lastSentMs > this.#keepaliveOrderedMs + delayMs) this.#anotherKeepaliveAtMs = NEVER;
    if (times.owedSinceMs === this.#owedSinceMs) return;
    this.#owedSinceMs = times.owedSinceMs;
    this.#keepaliveAtMs = times.owedSinceMs === 0 ? NEVER : times.owedSinceMs + this.#timing.KEEPALIVE_TIMEOUT_MS;
  }

  /** An authentic message went one way or the other: the persistent keepalive waits anew. */
  #traversed(atMs: number): void {
    this.#traversedMs = Math.max(this.#traversedMs, atMs);
  }
}
