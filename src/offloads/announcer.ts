/**
 * Who may be spoken to: two gigatuns find each other by announcements, and a stock peer is bothered with no more than one
 * an hour. Pure: time is an argument, messages are results.
 *
 * A gigatun announces itself on its first keypair with a peer. Nothing else is sent to a peer that has not announced
 * itself too; until then, the announcement is repeated on a new keypair once an hour at most. Between two that know each
 * other each new keypair brings an announcement each way, so that a peer that has become another program is noticed: one
 * that was silent for a whole keypair is no gigatun any more. An announcement says whether the sender has heard the other's;
 * one that was not heard is repeated a few times, as are those to a peer that was heard on the last keypair and not yet on
 * this one: two that get lost must not end it.
 */
import { CAPABILITY, type ControlMessage } from '../protocol/control-message.ts';

const STRANGER_INTERVAL_MS = 3_600_000;
const REPEAT_FIRST_MS = 500;
const SENDS_PER_KEYPAIR_MAX = 8;
/** What every gigatun can do. */
const CAPABILITIES = CAPABILITY.PROBES | CAPABILITY.RECEIVED | CAPABILITY.PATHS;

export class Announcer {
  readonly #isOn: boolean;
  #heardOnThis = false;
  #heardOnLast = false;
  /** The other one said that it has heard us, on this keypair. */
  #confirmed = false;
  #toldHeard = false;
  #sends = 0;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #capabilities = 0;
  /** What else can be done with this peer. */
  #offered: number;

  /** `offered`: capability bits besides those of every gigatun. */
  constructor(isOn: boolean, offered = 0) {
    this.#isOn = isOn;
    this.#offered = offered;
  }

  /** Whether the peer has announced itself, on this keypair or the one before. */
  get isHeard(): boolean {
    return this.#heardOnThis || this.#heardOnLast;
  }

  /** Capability bits of the peer; 0 for a stranger. */
  get capabilities(): number {
    return this.isHeard ? this.#capabilities : 0;
  }

  /** When `due` has something to say, ms; Infinity for never. */
  get dueMs(): number {
    const waits = this.#heardOnThis ? !this.#confirmed : this.#heardOnLast;
    const repeats = waits && this.#sends > 0 && this.#sends < SENDS_PER_KEYPAIR_MAX;
    return repeats ? this.#lastSentMs + REPEAT_FIRST_MS * 2 ** this.#sends : Number.POSITIVE_INFINITY;
  }

  /** A new keypair is sent with. */
  newKeypair(nowMs: number): ControlMessage | null {
    this.#heardOnLast = this.#heardOnThis;
    this.#heardOnThis = false;
    this.#confirmed = false;
    this.#toldHeard = false;
    this.#sends = 0;
    const isStranger = !this.#heardOnLast && nowMs - this.#lastSentMs < STRANGER_INTERVAL_MS;
    return isStranger ? null : this.#say(nowMs);
  }

  /** The peer announced itself; returns an answer if it needs one. */
  take(message: Extract<ControlMessage, { kind: 'announce' }>, nowMs: number): ControlMessage | null {
    if (!this.#isOn) return null;
    this.#heardOnThis = true;
    this.#capabilities = message.capabilities;
    this.#confirmed ||= message.heard;
    return this.#toldHeard && message.heard ? null : this.#say(nowMs);
  }

  /** Something else is offered from now on: a peer that is known is told so. */
  offer(offered: number, nowMs: number): ControlMessage | null {
    if (offered === this.#offered) return null;
    this.#offered = offered;
    if (!this.isHeard) return null;
    this.#confirmed = false;
    return this.#say(nowMs);
  }

  /** Another announcement, for a peer that seems not to have heard one. */
  due(nowMs: number): ControlMessage | null {
    return nowMs >= this.dueMs ? this.#say(nowMs) : null;
  }

  #say(nowMs: number): ControlMessage | null {
    if (!this.#isOn || this.#sends >= SENDS_PER_KEYPAIR_MAX) return null;
    this.#sends += 1;
    this.#lastSentMs = nowMs;
    this.#toldHeard = this.#heardOnThis;
    return { kind: 'announce', capabilities: CAPABILITIES | this.#offered, heard: this.#heardOnThis };
  }
}
