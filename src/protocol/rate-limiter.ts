/**
 * How many handshake messages one address may have us work on while we are under load: a bucket of 5, filled at 20 a
 * second. IPv6 senders are counted by /64, of which one machine usually owns all addresses. Asked only after a valid
 * mac2, so sources cannot be forged; when the table is full, unknown addresses are refused.
 */
import type { Endpoint } from '../packet/endpoint.ts';

const MESSAGES_PER_SECOND = 20;
const BURST = 5;
const ADDRESSES_MAX = 65_536;
/** A bucket untouched for this long is full again. */
const FULL_AGAIN_MS: number = (1000 * BURST) / MESSAGES_PER_SECOND;

interface Bucket {
  messages: number;
  atMs: number;
}

export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();
  #sweptMs = 0;

  /** Whether a message from this source may be worked on now. */
  allow(source: Endpoint, nowMs: number): boolean {
    this.#sweep(nowMs);
    const key = Buffer.from(source.address.subarray(0, 8)).toString('hex');
    const bucket = this.#buckets.get(key) ?? this.#open(key, nowMs);
    if (bucket === null) return false;
    const filled = bucket.messages + ((nowMs - bucket.atMs) * MESSAGES_PER_SECOND) / 1000;
    bucket.messages = Math.min(BURST, filled);
    bucket.atMs = nowMs;
    if (bucket.messages < 1) return false;
    bucket.messages -= 1;
    return true;
  }

  #open(key: string, nowMs: number): Bucket | null {
    if (this.#buckets.size >= ADDRESSES_MAX) return null;
    const bucket = { messages: BURST, atMs: nowMs };
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < 1000) return;
    this.#sweptMs = nowMs;
    for (const [key, bucket] of this.#buckets) {
      if (nowMs - bucket.atMs >= FULL_AGAIN_MS) this.#buckets.delete(key);
    }
  }
}
