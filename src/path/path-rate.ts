/**
 * A path's capacity, estimated from what the peer says arrived: as long as nothing tells of congestion it is what was believed,
 * and more where that is nearly used; when datagrams get lost, or wait, it is what came through, and a little less, so that
 * the queue on the path empties. What a peer says never counts for more than was sent: one that lies cannot raise the estimate
 * above that for long. Pure.
 */
import type { Delivery } from './path-health.ts';
import { SlidingLeast } from './sliding-least.ts';

/** Round trips so much above the least tell of a queue, ms. */
const INFLATION_MS = 15;
/** Loss so much above what the path loses anyway tells of congestion. */
const LOSS = 0.01;
const LOSS_WINDOW_MS = 10_000;
const SPAN_MS = 90;
/** Of what came through while the path was congested. */
const DRAIN = 0.95;
/** Least that is left of the estimate in one step. */
const FALL = 0.7;
const USED = 0.85;
/** First steps up, and those after so many in a row. */
const GROWTH = [1.02, 1.02, 1.04, 1.04, 1.06, 1.06, 1.1] as const;
/** What is said to have arrived in a step is believed up to so much of the most that was sent in one, of late. */
const SENT_SHARE_MAX = 1.25;
/** Bytes per ms; 64 kbit/s. */
const RATE_LEAST = 8;
/** Who sends less than this, bytes per ms, or than this share of the estimate, congests nothing. */
const RATE_BUSY = 16;
const USED_BUSY = 0.5;

const NOTHING: Delivery = { spanMs: 0, sentDatagrams: 0, sentBytes: 0, deliveredDatagrams: 0, deliveredBytes: 0 };

export class PathRate {
  #rate: number;
  #pending: Delivery = NOTHING;
  #steps = 0;
  readonly #usualLoss: SlidingLeast = new SlidingLeast(LOSS_WINDOW_MS);
  /** Most that was sent in a step, bytes per ms; fades. */
  #sentMost = 0;

  /** `first`: bytes per ms; 0 for unknown. */
  constructor(first = 0) {
    this.#rate = first;
  }

  /** Bytes per ms; 0 while unknown, for the path never showed its end. */
  get bytesPerMs(): number {
    return this.#rate;
  }

  /** `inflationMs`: how much longer than the least the round trip takes now. */
  take(delivery: Delivery, inflationMs: number, nowMs: number): void {
    const sum = added(this.#pending, delivery);
    this.#pending = sum;
    if (sum.spanMs < SPAN_MS || sum.sentDatagrams === 0) return;
    this.#pending = NOTHING;
    const sent = sum.sentBytes / sum.spanMs;
    this.#sentMost = Math.max(sent, this.#sentMost * 0.97);
    const loss = Math.max(0, 1 - sum.deliveredDatagrams / sum.sentDatagrams);
    const usual = this.#usualLoss.value ?? 0;
    this.#usualLoss.add(loss, nowMs);
    const delivered = Math.min(sum.deliveredBytes / sum.spanMs, SENT_SHARE_MAX * this.#sentMost);
    // Who sends little is not who fills the path.
    const isBusy = sent > Math.max(RATE_BUSY, USED_BUSY * this.#rate);
    this.#step(delivered, isBusy && (inflationMs > INFLATION_MS || loss > LOSS + 1.5 * usual));
  }

  /** Nothing is known any more. */
  reset(first = 0): void {
    this.#rate = first;
    this.#pending = NOTHING;
    this.#steps = 0;
    this.#sentMost = 0;
    this.#usualLoss.clear();
  }

  #step(delivered: number, isCongested: boolean): void {
    if (isCongested) {
      this.#steps = 0;
      this.#rate = Math.max(RATE_LEAST, DRAIN * delivered, FALL * this.#rate);
    } else if (this.#rate > 0 && delivered > USED * this.#rate) {
      this.#rate *= GROWTH[Math.min(this.#steps, GROWTH.length - 1)];
      this.#steps += 1;
    } else this.#steps = 0;
  }
}

function added(left: Delivery, right: Delivery): Delivery {
  return {
    spanMs: left.spanMs + right.spanMs,
    sentDatagrams: left.sentDatagrams + right.sentDatagrams,
    sentBytes: left.sentBytes + right.sentBytes,
    deliveredDatagrams: left.deliveredDatagrams + right.deliveredDatagrams,
    deliveredBytes: left.deliveredBytes + right.deliveredBytes,
  };
}
