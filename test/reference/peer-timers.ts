/**
 * Slow twin of the passive keepalive, the new handshake and the persistent keepalive in src/protocol/timers.ts: real
 * timers that are set and stopped with each packet, as the WireGuard paper and its implementations tell it. Jitter is 0.
 *
 * One difference to the reference implementations is meant: whether another keepalive is needed is forgotten when
 * something is sent, where they carry it over to the next time.
 */
import { newHandshakeTimeoutMs, type Timing } from '../../src/protocol/constants.ts';

export type Expiry = 'keepalive' | 'newHandshake';

export class ReferenceTimers {
  readonly #timing: Timing;
  readonly #persistentMs: number;
  #keepaliveAtMs = Number.POSITIVE_INFINITY;
  #needsAnother = false;
  #newHandshakeAtMs = Number.POSITIVE_INFINITY;
  #persistentAtMs: number;

  constructor(timing: Timing, persistentMs: number) {
    this.#timing = timing;
    this.#persistentMs = persistentMs > 0 ? persistentMs : Number.POSITIVE_INFINITY;
    this.#persistentAtMs = this.#persistentMs;
  }

  dataSent(nowMs: number): void {
    if (this.#newHandshakeAtMs === Number.POSITIVE_INFINITY) {
      this.#newHandshakeAtMs = nowMs + newHandshakeTimeoutMs(this.#timing);
    }
    this.anythingSent(nowMs);
  }

  dataReceived(nowMs: number): void {
    if (this.#keepaliveAtMs === Number.POSITIVE_INFINITY)
      this.#keepaliveAtMs = nowMs + this.#timing.KEEPALIVE_TIMEOUT_MS;
    else this.#needsAnother = true;
    this.anythingReceived(nowMs);
  }

  anythingSent(nowMs: number): void {
    this.#keepaliveAtMs = Number.POSITIVE_INFINITY;
    this.#needsAnother = false;
    this.#persistentAtMs = nowMs + this.#persistentMs;
  }

  anythingReceived(nowMs: number): void {
    this.#newHandshakeAtMs = Number.POSITIVE_INFINITY;
    this.#persistentAtMs = nowMs + this.#persistentMs;
  }

  get nextMs(): number {
    return Math.min(this.#keepaliveAtMs, this.#newHandshakeAtMs, this.#persistentAtMs);
  }

  /** What expires at `nextMs`; a keepalive is sent by it. */
  expire(): Expiry {
    const nowMs = this.nextMs;
    if (nowMs === this.#newHandshakeAtMs) {
      this.#newHandshakeAtMs = Number.POSITIVE_INFINITY;
      return 'newHandshake';
    }
    const needsAnother = this.#needsAnother && nowMs === this.#keepaliveAtMs;
    this.anythingSent(nowMs);
    if (needsAnother) this.#keepaliveAtMs = nowMs + this.#timing.KEEPALIVE_TIMEOUT_MS;
    return 'keepalive';
  }
}
