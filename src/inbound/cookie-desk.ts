/**
 * A lane's cookies (paper, section 5.4.7): their secret, and cookie replies, which are made and go out over the lane's own
 * socket at the end of the turn, many in one call. So an initiation under a flood costs its answer and nothing else: no
 * copy, no word to the control lane. Each lane has a secret of its own, for the kernel leads the datagrams of one sender to
 * one lane.
 *
 * What an answer costs depends on the machine and the way out, from 2 to 10 µs and more, nearly all of it in the kernel; so
 * what is limited is the time: a share of the lane's, which leaves the rest to the tunnel, and more of what it would have slept.
 *
 * Replies lie where the outbound direction has its datagrams, which it leaves empty between its turns.
 */
import { randomBytes } from 'node:crypto';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { BOOKS, ENDPOINT, HANDSHAKE, HANDSHAKE_KEYS, UDP_SEND } from '../native/layout.ts';
import { LIMIT } from '../packet/arena.ts';
import { DROP } from '../packet/drop-reason.ts';
import {
  COOKIE_NONCE_LENGTH,
  COOKIE_REPLY,
  HANDSHAKE_TRAFFIC_CLASS,
  INITIATION,
  KEY_LENGTH,
} from '../protocol/constants.ts';
import { cookieKey } from '../protocol/cookie.ts';

/** Shares of the lane's time, and of its sleep beside that, that go into replies; and how much may be saved up, ns, for what comes when
 * the lane has waited for a core. */
const TIME_SHARE = 0.08;
const SLEEP_SHARE = 0.1;
const SAVED_NS_MAX = 100e6;
/** Of it this much is kept for who is answered first, ns. */
const KEPT_NS = 20e6;
/** EAGAIN and ENOBUFS. */
const NO_ROOM: ReadonlySet<number> = new Set([11, 105]);

export class CookieDesk {
  readonly #lane: LaneContext;
  #secretBornMs = Number.NEGATIVE_INFINITY;
  #replies = 0;
  #allowedNs = SAVED_NS_MAX;
  #allowedAtNs = 0;
  #sleptNs = 0;

  constructor(lane: LaneContext) {
    this.#lane = lane;
  }

  /** Takes our static public key (32 bytes), or null for none; cookies of before count no more. */
  setIdentity(publicKey: Uint8Array | null): void {
    if (publicKey !== null) this.#setKey(HANDSHAKE_KEYS.SEALING, cookieKey(publicKey));
    this.#secretBornMs = Number.NEGATIVE_INFINITY;
  }

  /** Whether there is no secret, or it is too old: no message bears a cookie of ours then, whatever was found of it. */
  get isExpired(): boolean {
    return this.#lane.nowMs() - this.#secretBornMs >= this.#lane.timing.COOKIE_REFRESH_TIME_MS;
  }

  /** Whether there is time left for one more answer; `isFirst`: also of what is kept. */
  hasTime(isFirst: boolean): boolean {
    const { books } = this.#lane.ledger;
    const earnedNs = TIME_SHARE * (books[BOOKS.NOW_NS] - this.#allowedAtNs);
    const sleptNs = SLEEP_SHARE * (books[BOOKS.SLEEP_NS] - this.#sleptNs);
    this.#allowedNs = Math.min(SAVED_NS_MAX, this.#allowedNs + earnedNs + sleptNs);
    this.#allowedAtNs = books[BOOKS.NOW_NS];
    this.#sleptNs = books[BOOKS.SLEEP_NS];
    return this.#allowedNs > (isFirst ? 0 : KEPT_NS);
  }

  /** Answers an initiation with a cookie when the turn ends; until then the message and its source, both byte offsets, stay where they are. */
  answer(offset: number, source: number): void {
    const { words, cookies, udpOut } = this.#lane.arena;
    const handshake = (cookies >> 2) + this.#replies * HANDSHAKE.WORDS;
    const reply = udpOut + this.#replies * COOKIE_REPLY.LENGTH;
    words[handshake + HANDSHAKE.OFFSET] = offset;
    words[handshake + HANDSHAKE.LENGTH] = INITIATION.LENGTH;
    words[handshake + HANDSHAKE.ENDPOINT_OFFSET] = source;
    words[handshake + HANDSHAKE.OUT_OFFSET] = reply;
    this.#describe(this.#replies, reply, source >> 2);
    this.#replies += 1;
    if (this.#replies === LIMIT.HANDSHAKES) this.flush();
  }

  /** Makes and sends the replies. */
  flush(): void {
    if (this.#replies === 0) return;
    const { native, handle, arena } = this.#lane;
    native.book(handle, ACTIVITY.USER_UDP_TO_TUN);
    const beganNs = this.#onCoreNs();
    if (this.isExpired) this.#renew();
    native.sealCookies(handle, arena.cookies, this.#replies, arena.handshakeKeys, ACTIVITY.USER_UDP_TO_TUN);
    this.#send();
    native.book(handle, ACTIVITY.USER_UDP_TO_TUN);
    this.#allowedNs -= this.#onCoreNs() - beganNs;
    this.#replies = 0;
  }

  /** A clock that stands still, as far as the books know, while the thread has no core. */
  #onCoreNs(): number {
    const { books } = this.#lane.ledger;
    const waits = BOOKS.CORE_WAIT_NS;
    return books[BOOKS.NOW_NS] - books[waits + ACTIVITY.KERN_SEND_UDP] - books[waits + ACTIVITY.USER_UDP_TO_TUN];
  }

  #send(): void {
    const { native, handle, arena, ledger } = this.#lane;
    const sent = native.sendUdp(handle, arena.sends, this.#replies, ACTIVITY.USER_UDP_TO_TUN);
    ledger.counts[COUNTER.HANDSHAKE_TX] += sent;
    ledger.counts[COUNTER.UDP_TX] += sent;
    ledger.counts[COUNTER.UDP_TX_BYTES] += sent * COOKIE_REPLY.LENGTH;
    if (sent < this.#replies) this.#countFailed();
  }

  #renew(): void {
    this.#setKey(HANDSHAKE_KEYS.SECRET, randomBytes(KEY_LENGTH));
    this.#setKey(HANDSHAKE_KEYS.NONCE, randomBytes(COOKIE_NONCE_LENGTH));
    this.#secretBornMs = this.#lane.nowMs();
  }

  /** Moves a key to its place in the arena: the bytes given are zeroed. */
  #setKey(word: number, key: Uint8Array): void {
    const { bytes, handshakeKeys } = this.#lane.arena;
    bytes.set(key, handshakeKeys + 4 * word);
    key.fill(0);
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
