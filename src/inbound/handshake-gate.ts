/**
 * The gate before the control lane: which handshake messages are worth a public-key operation, of which the control lane
 * can do some thousands a second and a flood asks for a hundred times as many. Messages of right form and length come in;
 * what is worth it goes to the control lane as a copy; all else is dropped here, or answered with a cookie.
 *
 *     mac1 -> does somebody wait for it?                       responses, cookie replies (these bear no MAC)
 *          -> few come: in                                     initiations
 *          -> mac2 made with our cookie: in, by the rate of its proven address
 *          -> in by the rate of its address, while all of these together are not too many
 *          -> not in, but a cookie for it, while the lane has time for that
 *
 * So a flood from one address costs that address its own budget and nobody else's. One from many addresses makes
 * strangers show a cookie (paper, section 5.3), but the half of each common budget is kept for addresses that were not
 * heard of for some seconds, as an honest initiator is, who repeats itself each five. Where more addresses are forged
 * than could be remembered, all look alike, and all get a cookie; a forger never sees it, and what comes back with one
 * shares nothing with the rest. Peers at addresses where they were heard before, or are configured to be, share nothing
 * with strangers either. The control lane checks mac1 again and relies on nothing here.
 */
import { randomBytes } from 'node:crypto';
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { ENDPOINT } from '../native/layout.ts';
import { DROP } from '../packet/drop-reason.ts';
import { readEndpoint } from '../packet/endpoint.ts';
import {
  COOKIE_REPLY,
  MAC_LENGTH,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_INITIATION,
  MESSAGE_RESPONSE,
  RESPONSE,
} from '../protocol/constants.ts';
import { KeyedBlake2s } from '../protocol/keyed-blake2s.ts';
import { mac1Key } from '../protocol/mac.ts';
import type { LiveIndices } from '../tables/live-indices.ts';
import { CookieDesk } from './cookie-desk.ts';
import { KnownSources } from './known-sources.ts';
import { hashSource, RecentSources, SourceBudget, TotalBudget } from './source-budget.ts';

/** Initiations that may come at once before addresses are looked at, a crowd behind one address; and of the burst below. */
const CALM_MESSAGES = 512;
const CALM_SHARE = 0.25;
/** Of the whole device; each lane has its part. Unproven initiations of all strangers, or of all known addresses. */
const UNPROVEN_BURST = 2_048;
const UNPROVEN_PER_SECOND = 500;
/** The same for those that bear a cookie. */
const PROVEN_BURST = 2_048;
const PROVEN_PER_SECOND = 2_000;
/** Of one address, unproven or proven, as WireGuard's limiter has it; and what a lane allows of it at once at least. */
const SOURCE_PER_SECOND = 20;
const SOURCE_BURST = 5;
const SOURCE_BURST_MIN = 2;
/** Of a lane: cookie replies to addresses that are not fresh, 64 bytes for 148. */
const STALE_COOKIES_PER_SECOND = 5_000;
const STALE_COOKIES_BURST = 1_000;
/** Of a lane: checks of mac2, twice as dear as mac1, where it comes too soon for a retry, or nobody was sent a cookie lately. */
const CHECKS_PER_SECOND = 20_000;
const CHECKS_BURST = 2_000;
/** Cookie replies to one address, which may be forged and hide an honest peer. */
const SOURCE_COOKIES_PER_SECOND = 100;
const SOURCE_COOKIES_BURST = 20;
/** An address that was not heard of for this long, or for up to twice as long, is fresh; of common budgets others get this share only. */
const FRESH_MS = 2_000;
const STALE_SHARE = 0.5;
/** So long after the last refusal addresses are still looked at, ms. */
const WATCHFUL_MS = 1_000;

/** What becomes of a message: handed over as that of a stranger, or of another; answered by a cookie; dropped. */
type Verdict = 'stranger' | 'in' | 'cookie' | 'no';

/** Room in the queue to the control lane. `isWorthy`: of all its places, else of those that strangers may have. */
export type AdmitHandshake = (isWorthy: boolean) => boolean;

export class HandshakeGate {
  readonly #lane: LaneContext;
  readonly #admit: AdmitHandshake;
  readonly #live: LiveIndices;
  readonly #seed: number = randomBytes(4).readInt32LE();
  readonly #known: KnownSources;
  readonly #mac1: KeyedBlake2s = new KeyedBlake2s();
  readonly #desk: CookieDesk;
  readonly #calmMax: number;
  #hasIdentity = false;
  #watchfulUntilMs = 0;
  readonly #strangers: TotalBudget;
  readonly #acquaintances: TotalBudget;
  readonly #proven: TotalBudget;
  readonly #recent: RecentSources;
  readonly #checks: TotalBudget = new TotalBudget(CHECKS_PER_SECOND, CHECKS_BURST);
  readonly #staleCookies: TotalBudget = new TotalBudget(STALE_COOKIES_PER_SECOND, STALE_COOKIES_BURST);
  readonly #sourceUnproven: SourceBudget;
  readonly #sourceProven: SourceBudget;
  readonly #sourceAwaited: SourceBudget;
  readonly #sourceCookies: SourceBudget;

  /** @param lanes of the device, over which the kernel spreads senders; each has its part of the device's budgets */
  constructor(lane: LaneContext, lanes: number, live: LiveIndices, admit: AdmitHandshake) {
    this.#lane = lane;
    this.#live = live;
    this.#admit = admit;
    this.#desk = new CookieDesk(lane);
    this.#known = new KnownSources(lane.peers, this.#seed);
    this.#recent = new RecentSources(FRESH_MS);
    this.#calmMax = Math.min(CALM_MESSAGES, (CALM_SHARE * UNPROVEN_BURST) / lanes);
    this.#strangers = new TotalBudget(UNPROVEN_PER_SECOND / lanes, UNPROVEN_BURST / lanes);
    this.#acquaintances = new TotalBudget(UNPROVEN_PER_SECOND / lanes, UNPROVEN_BURST / lanes);
    this.#proven = new TotalBudget(PROVEN_PER_SECOND / lanes, PROVEN_BURST / lanes);
    const burst = Math.max(SOURCE_BURST_MIN, Math.ceil(SOURCE_BURST / lanes));
    this.#sourceUnproven = new SourceBudget(SOURCE_PER_SECOND / lanes, burst);
    this.#sourceProven = new SourceBudget(SOURCE_PER_SECOND / lanes, burst);
    this.#sourceAwaited = new SourceBudget(SOURCE_PER_SECOND / lanes, burst);
    this.#sourceCookies = new SourceBudget(SOURCE_COOKIES_PER_SECOND / lanes, SOURCE_COOKIES_BURST);
  }

  /** Takes our static public key (32 bytes); with null, for want of one or while nobody is to be answered, nothing gets in. */
  setIdentity(publicKey: Uint8Array | null): void {
    this.#hasIdentity = publicKey !== null;
    this.#desk.setIdentity(publicKey);
    if (publicKey === null) this.#mac1.clear();
    else this.#mac1.setKey(mac1Key(publicKey));
  }

  /** Takes a message of a type (1 to 3) and that type's length, at `offset` of the arena, from the ENDPOINT record at byte `source`. */
  take(type: number, offset: number, length: number, source: number): void {
    const { drops } = this.#lane.ledger;
    if (this.#lane.arena.words[(source >> 2) + ENDPOINT.FAMILY] === 0) drops[DROP.IN_HANDSHAKE_QUEUE] += 1;
    else if (!this.#isForUs(type, offset, length)) drops[DROP.IN_HANDSHAKE_BAD] += 1;
    else {
      const hash = hashSource(this.#lane.arena.words, source >> 2, this.#seed);
      const verdict = this.#judge(type, offset, source >> 2, hash);
      if (verdict === 'cookie') this.#desk.answer(offset, source >> 2, hash);
      if (verdict === 'cookie' || verdict === 'no') drops[DROP.IN_HANDSHAKE_RATE] += 1;
      else this.#handOver(offset, length, source, verdict === 'in');
    }
  }

  /** Ends a turn: what is to be answered goes out. */
  flush(): void {
    this.#desk.flush();
  }

  /** Forgets its keys. */
  close(): void {
    this.#mac1.clear();
    this.#desk.close();
  }

  #isForUs(type: number, offset: number, length: number): boolean {
    const { view } = this.#lane.arena;
    if (type === MESSAGE_COOKIE_REPLY) return this.#live.has(view.getInt32(offset + COOKIE_REPLY.RECEIVER, true));
    const macOffset = offset + length - 2 * MAC_LENGTH;
    if (!this.#hasIdentity || !this.#mac1.isMac(view, offset, length - 2 * MAC_LENGTH, macOffset)) return false;
    return type !== MESSAGE_RESPONSE || this.#live.has(view.getInt32(offset + RESPONSE.RECEIVER, true));
  }

  #judge(type: number, offset: number, source: number, hash: number): Verdict {
    const nowMs = this.#lane.nowMs();
    if (type !== MESSAGE_INITIATION) return this.#sourceAwaited.take(hash, nowMs) ? 'in' : 'no';
    if (this.#isCalm(nowMs)) return this.#strangers.take(nowMs) ? 'stranger' : 'no';
    const isFresh = this.#recent.mark(hash, nowMs);
    const share = isFresh ? 1 : STALE_SHARE;
    if (this.#isProven(offset, source, hash, isFresh))
      return this.#sourceProven.take(hash, nowMs) && this.#proven.take(nowMs, share) ? 'in' : 'no';
    const isKnown = this.#known.has(hash, nowMs);
    const total = isKnown ? this.#acquaintances : this.#strangers;
    if (this.#sourceUnproven.take(hash, nowMs) && total.take(nowMs, share)) return isKnown ? 'in' : 'stranger';
    this.#watchfulUntilMs = nowMs + WATCHFUL_MS;
    return this.#mayAnswer(hash, isFresh, nowMs) ? 'cookie' : 'no';
  }

  #isProven(offset: number, source: number, hash: number, isFresh: boolean): boolean {
    if (!this.#desk.bearsCookie(offset)) return false;
    const isAwaited = isFresh && this.#desk.expects(hash);
    return (isAwaited || this.#checks.take(this.#lane.nowMs())) && this.#desk.isProven(offset, source);
  }

  #mayAnswer(hash: number, isFresh: boolean, nowMs: number): boolean {
    return this.#sourceCookies.take(hash, nowMs) && (isFresh || this.#staleCookies.take(nowMs)) && this.#desk.hasTime();
  }

  #isCalm(nowMs: number): boolean {
    if (this.#strangers.used(nowMs) >= this.#calmMax) this.#watchfulUntilMs = nowMs + WATCHFUL_MS;
    return nowMs >= this.#watchfulUntilMs;
  }

  #handOver(offset: number, length: number, source: number, isWorthy: boolean): void {
    const { arena, ledger, notify } = this.#lane;
    const endpoint = this.#admit(isWorthy) ? readEndpoint(arena.bytes, source) : null;
    if (endpoint === null) {
      ledger.drops[DROP.IN_HANDSHAKE_QUEUE] += 1;
      return;
    }
    ledger.counts[COUNTER.HANDSHAKE_RX] += 1;
    const message = Uint8Array.from(arena.bytes.subarray(offset, offset + length));
    notify({ type: 'handshake', message, source: endpoint });
  }
}
