/**
 * The gate before the control lane: which handshake messages are worth a public-key operation, of which the control lane
 * can do some thousands a second and a flood asks for a hundred times as many. Messages of right form and length come in,
 * and wait until the turn has moved its transport messages; then the MACs of all are checked in one call, and what is worth
 * it goes to the control lane as a copy; all else is dropped here, or answered with a cookie.
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
 * than could be remembered, all look alike, and all get a cookie as long as there is time for that, and those first that were
 * heard of five seconds before, as an honest initiator is that got none. A forger never sees it, and what comes back with one
 * shares nothing with the rest. Peers at addresses where they were heard before, or are configured to be, share nothing
 * with strangers either. The control lane checks mac1 again and relies on nothing here.
 */
import { randomBytes } from 'node:crypto';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { ENDPOINT, HANDSHAKE, HANDSHAKE_KEYS, MACS } from '../native/layout.ts';
import { LIMIT } from '../packet/arena.ts';
import { DROP } from '../packet/drop-reason.ts';
import { readEndpoint } from '../packet/endpoint.ts';
import { COOKIE_REPLY, INITIATION, KEY_LENGTH, MESSAGE_COOKIE_REPLY, RESPONSE } from '../protocol/constants.ts';
import { mac1Key } from '../protocol/mac.ts';
import type { LiveIndices } from '../tables/live-indices.ts';
import { CookieDesk } from './cookie-desk.ts';
import { KnownSources } from './known-sources.ts';
import { HEARD, hashSource, RecentSources, SourceBudget, TotalBudget } from './source-budget.ts';

/** Initiations that may come at once before addresses are looked at, a crowd behind one address; and of the burst below. */
const CALM_MESSAGES = 512;
const CALM_SHARE = 0.25;
/** Of the whole device; each lane has its part. Unproven initiations in calm, or of all known addresses. */
const UNPROVEN_BURST = 2_048;
const UNPROVEN_PER_SECOND = 500;
/** The same of all strangers when it is not calm. Each costs the control lane a quarter of a millisecond, and who is refused gets a cookie. */
const STRANGERS_PER_SECOND = 100;
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
/** Cookie replies to one address, which may be forged and hide an honest peer. */
const SOURCE_COOKIES_PER_SECOND = 100;
const SOURCE_COOKIES_BURST = 20;
/**
 * An address that was not heard of for this long, or for up to twice as long, is fresh; of common budgets others get this share only.
 * One that was heard of before that, up to four times as long ago, is returning: REKEY_TIMEOUT is among what lies between.
 */
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
  readonly #desk: CookieDesk;
  readonly #calmMax: number;
  #hasIdentity = false;
  /** Messages in the arena's column that were not judged yet. */
  #waiting = 0;
  #watchfulUntilMs = 0;
  readonly #calm: TotalBudget;
  readonly #strangers: TotalBudget;
  readonly #acquaintances: TotalBudget;
  readonly #proven: TotalBudget;
  readonly #recent: RecentSources;
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
    this.#calm = new TotalBudget(UNPROVEN_PER_SECOND / lanes, UNPROVEN_BURST / lanes);
    this.#strangers = new TotalBudget(STRANGERS_PER_SECOND / lanes, UNPROVEN_BURST / lanes);
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
    const { bytes, handshakeKeys } = this.#lane.arena;
    const at = handshakeKeys + 4 * HANDSHAKE_KEYS.MAC1;
    this.#hasIdentity = publicKey !== null;
    this.#desk.setIdentity(publicKey);
    if (publicKey === null) bytes.fill(0, at, at + KEY_LENGTH);
    else bytes.set(mac1Key(publicKey), at);
  }

  /**
   * Takes a message of a type (1 to 3) and that type's length, at `offset` of the arena, from the ENDPOINT record at byte
   * `source`. Both stay where they are until the turn ends.
   */
  take(type: number, offset: number, length: number, source: number): void {
    const { arena, ledger } = this.#lane;
    if (arena.words[(source >> 2) + ENDPOINT.FAMILY] === 0) ledger.drops[DROP.IN_HANDSHAKE_QUEUE] += 1;
    else if (type === MESSAGE_COOKIE_REPLY) this.#takeAwaited(offset, length, source, COOKIE_REPLY.RECEIVER);
    else if (!this.#hasIdentity) ledger.drops[DROP.IN_HANDSHAKE_BAD] += 1;
    else {
      const handshake = (arena.handshakes >> 2) + this.#waiting * HANDSHAKE.WORDS;
      arena.words[handshake + HANDSHAKE.OFFSET] = offset;
      arena.words[handshake + HANDSHAKE.LENGTH] = length;
      arena.words[handshake + HANDSHAKE.ENDPOINT_OFFSET] = source;
      this.#waiting += 1;
      if (this.#waiting === LIMIT.HANDSHAKES) this.flush();
    }
  }

  /** Ends a turn: what came in it is judged, and what is to be answered goes out. */
  flush(): void {
    if (this.#waiting > 0) this.#judgeAll();
    this.#desk.flush();
  }

  /** Forgets its keys. */
  close(): void {
    const { bytes, handshakeKeys } = this.#lane.arena;
    bytes.fill(0, handshakeKeys, handshakeKeys + 4 * HANDSHAKE_KEYS.WORDS);
  }

  #judgeAll(): void {
    const { native, handle, arena, ledger } = this.#lane;
    const { words, handshakes, handshakeKeys } = arena;
    native.checkMacs(handle, handshakes, this.#waiting, handshakeKeys, ACTIVITY.USER_UDP_TO_TUN);
    for (let number = 0; number < this.#waiting; number += 1) {
      const at = (handshakes >> 2) + number * HANDSHAKE.WORDS;
      const offset = words[at + HANDSHAKE.OFFSET];
      const length = words[at + HANDSHAKE.LENGTH];
      const source = words[at + HANDSHAKE.ENDPOINT_OFFSET];
      const macs = words[at + HANDSHAKE.RESULT];
      if ((macs & MACS.MAC1) === 0) ledger.drops[DROP.IN_HANDSHAKE_BAD] += 1;
      else if (length === INITIATION.LENGTH) this.#takeInitiation(offset, source, (macs & MACS.MAC2) !== 0);
      else this.#takeAwaited(offset, length, source, RESPONSE.RECEIVER);
    }
    this.#waiting = 0;
  }

  /** A response or a cookie reply, whose receiver index lies at `receiver` of it: does somebody wait for it? */
  #takeAwaited(offset: number, length: number, source: number, receiver: number): void {
    const { arena, ledger } = this.#lane;
    const { drops } = ledger;
    if (!this.#live.has(arena.view.getInt32(offset + receiver, true))) drops[DROP.IN_HANDSHAKE_BAD] += 1;
    else if (this.#sourceAwaited.take(hashSource(arena.words, source >> 2, this.#seed), this.#lane.nowMs()))
      this.#handOver(offset, length, source, true);
    else drops[DROP.IN_HANDSHAKE_RATE] += 1;
  }

  #takeInitiation(offset: number, source: number, hasMac2: boolean): void {
    const hash = hashSource(this.#lane.arena.words, source >> 2, this.#seed);
    const verdict = this.#judge(hash, hasMac2 && !this.#desk.isExpired);
    if (verdict === 'cookie') this.#desk.answer(offset, source);
    if (verdict === 'cookie' || verdict === 'no') this.#lane.ledger.drops[DROP.IN_HANDSHAKE_RATE] += 1;
    else this.#handOver(offset, INITIATION.LENGTH, source, verdict === 'in');
  }

  /** What sums say is asked before what tables say, which a flood from many addresses keeps out of caches. */
  #judge(hash: number, isProven: boolean): Verdict {
    const nowMs = this.#lane.nowMs();
    if (this.#isCalm(nowMs)) return this.#calm.take(nowMs) ? 'stranger' : 'no';
    const heard = this.#recent.mark(hash, nowMs);
    const share = heard === HEARD.LATELY ? STALE_SHARE : 1;
    if (isProven) return this.#sourceProven.take(hash, nowMs) && this.#proven.take(nowMs, share) ? 'in' : 'no';
    const isKnown = this.#known.has(hash, nowMs);
    const total = isKnown ? this.#acquaintances : this.#strangers;
    const isIn = total.has(nowMs, share) && this.#sourceUnproven.take(hash, nowMs) && total.take(nowMs, share);
    if (isIn) return isKnown ? 'in' : 'stranger';
    this.#watchfulUntilMs = nowMs + WATCHFUL_MS;
    return this.#mayAnswer(hash, heard, nowMs) ? 'cookie' : 'no';
  }

  /** Of the time for cookies a part is kept for those that come back when a handshake's retry is due. */
  #mayAnswer(hash: number, heard: number, nowMs: number): boolean {
    if (!this.#desk.hasTime(heard === HEARD.RETURNING)) return false;
    if (heard === HEARD.LATELY && !this.#staleCookies.has(nowMs)) return false;
    return this.#sourceCookies.take(hash, nowMs) && (heard !== HEARD.LATELY || this.#staleCookies.take(nowMs));
  }

  #isCalm(nowMs: number): boolean {
    if (this.#calm.used(nowMs) >= this.#calmMax) this.#watchfulUntilMs = nowMs + WATCHFUL_MS;
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
