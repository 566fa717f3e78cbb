/**
 * The gate before the control lane: which handshake messages are worth a public-key operation, of which the control lane
 * can do some thousands a second and a flood asks for a hundred times as many. Messages of right form and length come in;
 * what is worth it goes to the control lane as a copy; all else is dropped here, at the price of half a microsecond.
 *
 *     mac1 -> does somebody wait for it?                       responses, cookie replies (these bear no MAC)
 *          -> few come: in                                     initiations
 *          -> mac2 made with our cookie: in, by the rate of its proven address
 *          -> in by the rate of its address, while all of these together are not too many
 *          -> not in, but a cookie for it, by the same two measures
 *
 * So a flood from one address costs that address its own budget and nobody else's. One from many addresses makes
 * strangers show a cookie (paper, section 5.3), but the half of each common budget is kept for addresses that were not
 * heard of for two seconds, as an honest initiator is, who repeats itself each five. Peers at addresses where they were
 * heard before, or are configured to be, share nothing with strangers. The control lane checks every message again and
 * relies on nothing here.
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
import type { LiveIndices } from '../tables/live-indices.ts';
import { KnownSources } from './known-sources.ts';
import { hashSource, RecentSources, SourceBudget, TotalBudget } from './source-budget.ts';

/** Initiations that may come at once before addresses are looked at: a crowd behind one address. */
const CALM_MESSAGES = 512;
/** Unproven initiations of all strangers, or of all known addresses: a burst, and what may go on. */
const UNPROVEN_BURST = 2_048;
const UNPROVEN_PER_SECOND = 500;
/** The same for those that bear a cookie. */
const PROVEN_BURST = 2_048;
const PROVEN_PER_SECOND = 2_000;
/** Of one address, unproven or proven: as WireGuard's limiter has it. */
const SOURCE_PER_SECOND = 20;
const SOURCE_BURST = 5;
/** Cookie replies, 64 bytes for 148: to all, and to one address, which may be forged and hide an honest peer. */
const COOKIES_PER_SECOND = 500;
const COOKIES_BURST = 500;
const SOURCE_COOKIES_PER_SECOND = 100;
const SOURCE_COOKIES_BURST = 20;
/** An address that was not heard of for this long is fresh; of common budgets others get this share only. */
const FRESH_MS = 2_000;
const STALE_SHARE = 0.5;
/** Messages of addresses that are not fresh of which mac2 is checked; it costs twice what mac1 does. */
const STALE_CHECKS_PER_SECOND = 20_000;
const STALE_CHECKS_BURST = 2_000;
/** So long after the last refusal addresses are still looked at, ms. */
const WATCHFUL_MS = 1_000;
/** Address and port in network order: what a cookie is made of. */
const COOKIE_INPUT_MAX = 18;

/** What is handed over: worked on, or answered by a cookie. */
type Verdict = 'in' | 'cookie' | 'no';

/** Room in the queue to the control lane. `isWorthy`: of all its places, else of half of them. */
export type AdmitHandshake = (isWorthy: boolean) => boolean;

export class HandshakeGate {
  readonly #lane: LaneContext;
  readonly #admit: AdmitHandshake;
  readonly #live: LiveIndices;
  readonly #seed: number = randomBytes(4).readInt32LE();
  readonly #known: KnownSources;
  readonly #mac1: KeyedBlake2s = new KeyedBlake2s();
  readonly #cookieSecret: KeyedBlake2s = new KeyedBlake2s();
  readonly #mac2: KeyedBlake2s = new KeyedBlake2s();
  readonly #cookieInput: Uint8Array = new Uint8Array(COOKIE_INPUT_MAX);
  readonly #cookieInputView: DataView = new DataView(this.#cookieInput.buffer);
  #hasIdentity = false;
  #secretBornMs = Number.NEGATIVE_INFINITY;
  #watchfulUntilMs = 0;
  readonly #strangers: TotalBudget = new TotalBudget(UNPROVEN_PER_SECOND, UNPROVEN_BURST);
  readonly #acquaintances: TotalBudget = new TotalBudget(UNPROVEN_PER_SECOND, UNPROVEN_BURST);
  readonly #proven: TotalBudget = new TotalBudget(PROVEN_PER_SECOND, PROVEN_BURST);
  readonly #staleChecks: TotalBudget = new TotalBudget(STALE_CHECKS_PER_SECOND, STALE_CHECKS_BURST);
  readonly #recent: RecentSources;
  readonly #cookies: TotalBudget = new TotalBudget(COOKIES_PER_SECOND, COOKIES_BURST);
  readonly #sourceUnproven: SourceBudget = new SourceBudget(SOURCE_PER_SECOND, SOURCE_BURST);
  readonly #sourceProven: SourceBudget = new SourceBudget(SOURCE_PER_SECOND, SOURCE_BURST);
  readonly #sourceAwaited: SourceBudget = new SourceBudget(SOURCE_PER_SECOND, SOURCE_BURST);
  readonly #sourceCookies: SourceBudget = new SourceBudget(SOURCE_COOKIES_PER_SECOND, SOURCE_COOKIES_BURST);

  constructor(lane: LaneContext, live: LiveIndices, admit: AdmitHandshake) {
    this.#lane = lane;
    this.#live = live;
    this.#admit = admit;
    this.#known = new KnownSources(lane.peers, this.#seed);
    this.#recent = new RecentSources(FRESH_MS, lane.nowMs());
  }

  /** Takes the key of mac1 in messages to us (32 bytes); with null, for want of a static key, nothing gets in. */
  setIdentity(mac1Key: Uint8Array | null): void {
    this.#hasIdentity = mac1Key !== null;
    this.#secretBornMs = Number.NEGATIVE_INFINITY;
    if (mac1Key === null) this.#mac1.clear();
    else this.#mac1.setKey(mac1Key);
  }

  /** Takes the secret (32 bytes) that cookies are made of since `bornMs`. */
  setCookieSecret(secret: Uint8Array, bornMs: number): void {
    this.#cookieSecret.setKey(secret);
    this.#secretBornMs = bornMs;
  }

  /** Takes a message of a type (1 to 3) and that type's length, at `offset` of the arena, from the ENDPOINT record at byte `source`. */
  take(type: number, offset: number, length: number, source: number): void {
    const { drops } = this.#lane.ledger;
    if (this.#lane.arena.words[(source >> 2) + ENDPOINT.FAMILY] === 0) drops[DROP.IN_HANDSHAKE_QUEUE] += 1;
    else if (!this.#isForUs(type, offset, length)) drops[DROP.IN_HANDSHAKE_BAD] += 1;
    else {
      const verdict = this.#judge(type, offset, length, source >> 2);
      if (verdict === 'no') drops[DROP.IN_HANDSHAKE_RATE] += 1;
      else this.#handOver(offset, length, source, verdict === 'cookie');
    }
  }

  /** Forgets its keys. */
  close(): void {
    for (const keyed of [this.#mac1, this.#cookieSecret, this.#mac2]) keyed.clear();
  }

  #isForUs(type: number, offset: number, length: number): boolean {
    const { view } = this.#lane.arena;
    if (type === MESSAGE_COOKIE_REPLY) return this.#live.has(view.getInt32(offset + COOKIE_REPLY.RECEIVER, true));
    const macOffset = offset + length - 2 * MAC_LENGTH;
    if (!this.#hasIdentity || !this.#mac1.isMac(view, offset, length - 2 * MAC_LENGTH, macOffset)) return false;
    return type !== MESSAGE_RESPONSE || this.#live.has(view.getInt32(offset + RESPONSE.RECEIVER, true));
  }

  #judge(type: number, offset: number, length: number, source: number): Verdict {
    const nowMs = this.#lane.nowMs();
    const hash = hashSource(this.#lane.arena.words, source, this.#seed);
    if (type !== MESSAGE_INITIATION) return this.#sourceAwaited.take(hash, nowMs) ? 'in' : 'no';
    if (this.#isCalm(nowMs)) return this.#strangers.take(nowMs) ? 'in' : 'no';
    const isFresh = this.#recent.mark(hash, nowMs);
    const bears = this.#bearsMac2(offset, length, nowMs);
    if (bears && (isFresh || this.#staleChecks.take(nowMs)) && this.#hasCookie(offset, length, source))
      return this.#sourceProven.take(hash, nowMs) && this.#proven.take(nowMs) ? 'in' : 'no';
    const share = isFresh ? 1 : STALE_SHARE;
    const total = this.#known.has(hash, nowMs) ? this.#acquaintances : this.#strangers;
    if (this.#sourceUnproven.take(hash, nowMs) && total.take(nowMs, share)) return 'in';
    this.#watchfulUntilMs = nowMs + WATCHFUL_MS;
    return this.#sourceCookies.take(hash, nowMs) && this.#cookies.take(nowMs, share) ? 'cookie' : 'no';
  }

  #isCalm(nowMs: number): boolean {
    if (this.#strangers.used(nowMs) >= CALM_MESSAGES) this.#watchfulUntilMs = nowMs + WATCHFUL_MS;
    return nowMs >= this.#watchfulUntilMs;
  }

  /** Whether there is a mac2 that may be good: without a cookie it is all zeros. */
  #bearsMac2(offset: number, length: number, nowMs: number): boolean {
    if (nowMs - this.#secretBornMs >= this.#lane.timing.COOKIE_REFRESH_TIME_MS) return false;
    const { view } = this.#lane.arena;
    const mac2 = offset + length - MAC_LENGTH;
    return (view.getInt32(mac2, true) | view.getInt32(mac2 + 4, true)) !== 0;
  }

  /** Whether mac2 was made with the present cookie of its source (paper, section 5.4.7). */
  #hasCookie(offset: number, length: number, source: number): boolean {
    const { bytes, view, words } = this.#lane.arena;
    const mac2 = offset + length - MAC_LENGTH;
    const addressLength = words[source + ENDPOINT.FAMILY] === 4 ? 4 : 16;
    const address = (source + ENDPOINT.ADDRESS) << 2;
    for (let at = 0; at < addressLength; at += 1) this.#cookieInput[at] = bytes[address + at];
    this.#cookieInputView.setUint16(addressLength, words[source + ENDPOINT.PORT]);
    this.#cookieSecret.compute(this.#cookieInputView, 0, addressLength + 2);
    this.#mac2.setKey(this.#cookieSecret.mac);
    return this.#mac2.isMac(view, offset, length - MAC_LENGTH, mac2);
  }

  #handOver(offset: number, length: number, source: number, needsCookie: boolean): void {
    const { arena, ledger, notify } = this.#lane;
    const endpoint = this.#admit(!needsCookie) ? readEndpoint(arena.bytes, source) : null;
    if (endpoint === null) {
      ledger.drops[DROP.IN_HANDSHAKE_QUEUE] += 1;
      return;
    }
    ledger.counts[COUNTER.HANDSHAKE_RX] += 1;
    const message = Uint8Array.from(arena.bytes.subarray(offset, offset + length));
    notify({ type: 'handshake', message, source: endpoint, needsCookie });
  }
}
