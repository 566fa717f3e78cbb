/**
 * A lane's cookies (paper, section 5.4.7): whether a message bears the present one of its source, and cookie replies, which
 * go out over the lane's own socket at the end of the turn, many in one call. So an initiation under a flood costs its
 * answer and nothing else: no copy, no word to the control lane. Each lane has a secret of its own, for the kernel leads
 * the datagrams of one sender to one lane.
 *
 * What an answer costs depends on the machine and the way out, from 2 to 10 µs and more; so what is limited is the time: a
 * share of the lane's, which leaves the rest to the tunnel, and more of what it would have slept.
 *
 * Replies lie where the outbound direction has its datagrams, which it leaves empty between its turns.
 */
import { randomBytes } from 'node:crypto';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { BOOKS, ENDPOINT, UDP_SEND } from '../native/layout.ts';
import { DROP } from '../packet/drop-reason.ts';
import {
  COOKIE_NONCE_LENGTH,
  COOKIE_REPLY,
  HANDSHAKE_TRAFFIC_CLASS,
  INITIATION,
  KEY_LENGTH,
  MESSAGE_COOKIE_REPLY,
} from '../protocol/constants.ts';
import { cookieKey } from '../protocol/cookie.ts';
import { CookieSealer } from '../protocol/cookie-sealer.ts';
import { KeyedBlake2s } from '../protocol/keyed-blake2s.ts';
import { RecentSources } from './source-budget.ts';

/** Replies that go out in one call; below LIMIT.SENDS. */
const REPLIES_MAX = 128;
/** Address and port in network order: what a cookie is made of. */
const COOKIE_INPUT_MAX = 18;
/** Shares of the lane's time, and of its sleep beside that, that go into replies; and how much may be saved up, ns, for what comes when
 * the lane has waited for a core. */
const TIME_SHARE = 0.1;
const SLEEP_SHARE = 0.5;
const SAVED_NS_MAX = 100e6;
/** Who was sent a cookie is expected back with it for this long, or for up to twice as long: two retries of a handshake. */
const EXPECTED_MS = 12_000;
/** EAGAIN and ENOBUFS. */
const NO_ROOM: ReadonlySet<number> = new Set([11, 105]);

export class CookieDesk {
  readonly #lane: LaneContext;
  readonly #secret: KeyedBlake2s = new KeyedBlake2s();
  readonly #mac2: KeyedBlake2s = new KeyedBlake2s();
  readonly #sealer: CookieSealer = new CookieSealer();
  readonly #input: DataView = new DataView(new ArrayBuffer(COOKIE_INPUT_MAX));
  readonly #cookie: DataView = new DataView(this.#secret.mac.buffer);
  readonly #expected: RecentSources = new RecentSources(EXPECTED_MS);
  #sealKey: Uint8Array | null = null;
  #secretBornMs = Number.NEGATIVE_INFINITY;
  /** Offsets of the messages to be answered, and words of their sources, in pairs. */
  readonly #pending: Int32Array = new Int32Array(2 * REPLIES_MAX);
  #replies = 0;
  #allowedNs = SAVED_NS_MAX;
  #allowedAtNs = 0;
  #sleptNs = 0;

  constructor(lane: LaneContext) {
    this.#lane = lane;
  }

  /** Takes our static public key (32 bytes), or null for none; cookies of before count no more. */
  setIdentity(publicKey: Uint8Array | null): void {
    this.#sealKey = publicKey && cookieKey(publicKey);
    this.#secretBornMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * Whether mac2 of an initiation that `bearsCookie` was made with the present cookie of its source.
   *
   * @param offset of the initiation in the arena
   * @param source word of its ENDPOINT record
   */
  isProven(offset: number, source: number): boolean {
    this.#makeCookie(source);
    this.#mac2.setKey(this.#secret.mac);
    return this.#mac2.isMac(this.#lane.arena.view, offset, INITIATION.MAC2, offset + INITIATION.MAC2);
  }

  /** Whether an initiation bears what may be a cookie of ours. Without one mac2 is all zeros. */
  bearsCookie(offset: number): boolean {
    const { view } = this.#lane.arena;
    const mac2 = offset + INITIATION.MAC2;
    return (view.getInt32(mac2, true) | view.getInt32(mac2 + 4, true)) !== 0 && !this.#isExpired();
  }

  /** Whether the source with this hash was sent a cookie lately. */
  expects(hash: number): boolean {
    return this.#expected.has(hash, this.#lane.nowMs());
  }

  /** Whether there is time left for one more answer. */
  hasTime(): boolean {
    const { books } = this.#lane.ledger;
    const earnedNs = TIME_SHARE * (books[BOOKS.NOW_NS] - this.#allowedAtNs);
    const sleptNs = SLEEP_SHARE * (books[BOOKS.SLEEP_NS] - this.#sleptNs);
    this.#allowedNs = Math.min(SAVED_NS_MAX, this.#allowedNs + earnedNs + sleptNs);
    this.#allowedAtNs = books[BOOKS.NOW_NS];
    this.#sleptNs = books[BOOKS.SLEEP_NS];
    return this.#allowedNs > 0;
  }

  /** Answers an initiation with a cookie when the turn ends; until then the message and its source (with this hash) stay where they are. */
  answer(offset: number, source: number, hash: number): void {
    this.#expected.mark(hash, this.#lane.nowMs());
    this.#pending[2 * this.#replies] = offset;
    this.#pending[2 * this.#replies + 1] = source;
    this.#replies += 1;
    if (this.#replies === REPLIES_MAX) this.flush();
  }

  /** Makes and sends the replies. */
  flush(): void {
    if (this.#replies === 0) return;
    const { native, handle } = this.#lane;
    native.book(handle, ACTIVITY.USER_UDP_TO_TUN);
    const beganNs = this.#onCoreNs();
    if (this.#isExpired()) this.#renew();
    for (let reply = 0; reply < this.#replies; reply += 1)
      this.#make(reply, this.#pending[2 * reply], this.#pending[2 * reply + 1]);
    this.#send();
    native.book(handle, ACTIVITY.USER_UDP_TO_TUN);
    this.#allowedNs -= this.#onCoreNs() - beganNs;
    this.#replies = 0;
  }

  /** Forgets its keys. */
  close(): void {
    for (const keyed of [this.#secret, this.#mac2, this.#sealer]) keyed.clear();
  }

  /** A clock that stands still, as far as the books know, while the thread has no core. */
  #onCoreNs(): number {
    const { books } = this.#lane.ledger;
    const waits = BOOKS.CORE_WAIT_NS;
    return books[BOOKS.NOW_NS] - books[waits + ACTIVITY.KERN_SEND_UDP] - books[waits + ACTIVITY.USER_UDP_TO_TUN];
  }

  #make(number: number, offset: number, source: number): void {
    const { view, udpOut } = this.#lane.arena;
    const reply = udpOut + number * COOKIE_REPLY.LENGTH;
    view.setInt32(reply, MESSAGE_COOKIE_REPLY, true);
    view.setInt32(reply + COOKIE_REPLY.RECEIVER, view.getInt32(offset + INITIATION.SENDER, true), true);
    this.#makeCookie(source);
    this.#sealer.seal(view, reply + COOKIE_REPLY.NONCE, offset + INITIATION.MAC1, this.#cookie);
    this.#describe(number, reply, source);
  }

  #send(): void {
    const { native, handle, arena, ledger } = this.#lane;
    const sent = native.sendUdp(handle, arena.sends, this.#replies, ACTIVITY.USER_UDP_TO_TUN);
    ledger.counts[COUNTER.HANDSHAKE_TX] += sent;
    ledger.counts[COUNTER.UDP_TX] += sent;
    ledger.counts[COUNTER.UDP_TX_BYTES] += sent * COOKIE_REPLY.LENGTH;
    if (sent < this.#replies) this.#countFailed();
  }

  #isExpired(): boolean {
    return this.#lane.nowMs() - this.#secretBornMs >= this.#lane.timing.COOKIE_REFRESH_TIME_MS;
  }

  #renew(): void {
    if (this.#sealKey === null) return;
    const secret = randomBytes(KEY_LENGTH);
    this.#secret.setKey(secret);
    secret.fill(0);
    this.#sealer.setKey(this.#sealKey, randomBytes(COOKIE_NONCE_LENGTH));
    this.#secretBornMs = this.#lane.nowMs();
  }

  /** The cookie of a source, as the MAC that was computed last. */
  #makeCookie(source: number): void {
    const { words, view } = this.#lane.arena;
    const length = words[source + ENDPOINT.FAMILY] === 4 ? 4 : 16;
    const address = (source + ENDPOINT.ADDRESS) << 2;
    for (let at = 0; at < length; at += 4) this.#input.setInt32(at, view.getInt32(address + at));
    this.#input.setUint16(length, words[source + ENDPOINT.PORT]);
    this.#secret.compute(this.#input, 0, length + 2);
  }

  /** Back to where it came from, with the local address that it came to. */
  #describe(number: number, reply: number, source: number): void {
    const { words, sends, sendEndpoints } = this.#lane.arena;
    const endpoint = sendEndpoints + number * ENDPOINT.WORDS * 4;
    for (let word = 0; word < ENDPOINT.WORDS; word += 1) words[(endpoint >> 2) + word] = words[source + word];
    const send = (sends >> 2) + number * UDP_SEND.WORDS;
    words[send + UDP_SEND.OFFSET] = reply;
    words[send + UDP_SEND.LENGTH] = COOKIE_REPLY.LENGTH;
    words[send + UDP_SEND.SEGMENT_LENGTH] = 0;
    words[send + UDP_SEND.TRAFFIC_CLASS] = HANDSHAKE_TRAFFIC_CLASS;
    words[send + UDP_SEND.ENDPOINT_OFFSET] = endpoint;
    words[send + UDP_SEND.DATAGRAMS] = 1;
  }

  #countFailed(): void {
    const { arena, ledger } = this.#lane;
    for (let reply = 0; reply < this.#replies; reply += 1) {
      const result = arena.words[(arena.sends >> 2) + reply * UDP_SEND.WORDS + UDP_SEND.RESULT];
      if (result < 0) ledger.drops[NO_ROOM.has(-result) ? DROP.OUT_SEND_FULL : DROP.OUT_SEND_FAILED] += 1;
    }
  }
}
