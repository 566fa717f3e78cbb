/**
 * Cookies (paper, section 5.4.7): under load, a device answers a handshake message with an encrypted cookie instead of
 * a handshake, and only takes messages that are signed with it (mac2). The cookie is a MAC of the sender's address and
 * port under a secret that changes every two minutes, so that the checker keeps nothing per sender.
 *
 * CookieChecker is one per device, CookieGenerator one per peer: it signs what we send.
 */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import type { Endpoint } from '../packet/endpoint.ts';
import { COOKIE_NONCE_LENGTH, KEY_LENGTH, LABEL_COOKIE, type Timing } from './constants.ts';
import { hash, mac } from './hash.ts';
import { hasValidMac2, mac1Key, mac1Of, stampMac1, stampMac2 } from './mac.ts';
import { type CookieReply, encodeCookieReply } from './messages.ts';

export class CookieChecker {
  readonly #sealKey: Uint8Array;
  readonly #timing: Timing;
  readonly #random: (length: number) => Uint8Array;
  #secret: Uint8Array = new Uint8Array(0);
  #secretBornMs = Number.NEGATIVE_INFINITY;

  /** @param publicKey our static public key, 32 bytes */
  constructor(publicKey: Uint8Array, timing: Timing, random: (length: number) => Uint8Array) {
    this.#sealKey = cookieKey(publicKey);
    this.#timing = timing;
    this.#random = random;
  }

  /** Whether mac2 of an initiation or response was made with the present cookie of its source. */
  hasValidMac2(message: Uint8Array, source: Endpoint, nowMs: number): boolean {
    return !this.#isExpired(nowMs) && hasValidMac2(message, this.#cookieOf(source));
  }

  /**
   * The cookie reply to an initiation or response, 64 new bytes.
   *
   * @param receiver sender index of the message, int32
   */
  reply(message: Uint8Array, receiver: number, source: Endpoint, nowMs: number): Uint8Array {
    if (this.#isExpired(nowMs)) {
      this.#secret.fill(0);
      this.#secret = Uint8Array.from(this.#random(KEY_LENGTH));
      this.#secretBornMs = nowMs;
    }
    const nonce = this.#random(COOKIE_NONCE_LENGTH);
    const sealed = xchacha20poly1305(this.#sealKey, nonce, mac1Of(message)).encrypt(this.#cookieOf(source));
    return encodeCookieReply(receiver, nonce, sealed);
  }

  #isExpired(nowMs: number): boolean {
    return nowMs - this.#secretBornMs >= this.#timing.COOKIE_REFRESH_TIME_MS;
  }

  #cookieOf(source: Endpoint): Uint8Array {
    return mac(this.#secret, source.address, Uint8Array.of(source.port >>> 8, source.port & 0xff));
  }
}

export class CookieGenerator {
  readonly #publicKey: Uint8Array;
  readonly #timing: Timing;
  /** Made of the public key when first needed: most of many peers never need them. */
  #mac1Key: Uint8Array | null = null;
  #sealKey: Uint8Array | null = null;
  #lastMac1: Uint8Array | null = null;
  #cookie: Uint8Array | null = null;
  #cookieBornMs = 0;

  /** @param publicKey the peer's static public key, 32 bytes; kept */
  constructor(publicKey: Uint8Array, timing: Timing) {
    this.#publicKey = publicKey;
    this.#timing = timing;
  }

  /** Writes mac1, and mac2 if there is a fresh cookie, into a message that is about to be sent, and remembers its mac1. */
  stamp(message: Uint8Array, nowMs: number): void {
    this.#mac1Key ??= mac1Key(this.#publicKey);
    stampMac1(message, this.#mac1Key);
    this.#lastMac1 = Uint8Array.from(mac1Of(message));
    const lifeMs = this.#timing.COOKIE_REFRESH_TIME_MS - this.#timing.COOKIE_SECRET_LATENCY_MS;
    if (this.#cookie !== null && nowMs - this.#cookieBornMs < lifeMs) stampMac2(message, this.#cookie);
  }

  /** Takes the cookie of a reply to the last message that was stamped; each message takes one at most. */
  consume(reply: CookieReply, nowMs: number): 'taken' | 'unexpected cookie' | 'bad cookie' {
    if (this.#lastMac1 === null) return 'unexpected cookie';
    this.#sealKey ??= cookieKey(this.#publicKey);
    try {
      this.#cookie = xchacha20poly1305(this.#sealKey, reply.nonce, this.#lastMac1).decrypt(reply.sealedCookie);
    } catch {
      return 'bad cookie';
    }
    this.#cookieBornMs = nowMs;
    this.#lastMac1 = null;
    return 'taken';
  }
}

/** Key of cookie replies by the holder of a static public key (32 bytes); returns 32 new bytes. */
export function cookieKey(publicKey: Uint8Array): Uint8Array {
  return hash(Buffer.from(LABEL_COOKIE), publicKey);
}
