/**
 * A path's capacity, estimated from what the peer says arrived. A path that is full delivers at its capacity, however much is
 * sent; one that is not full delivers less. So the most that came through in any step of late is the capacity, once
 * something told of congestion: round trips that grow, or more loss than the path has anyway. Before that it is unknown.
 * Nearly used without congestion, the estimate grows, for the path may have got faster. What a peer says never counts for
 * more than was sent: one that lies cannot raise the estimate above that. Pure.
 */
import type { Delivery } from './path-health.ts';
import { SlidingLeast } from './sliding-least.ts';

/** Round trips so much above the least tell of a queue, ms. */
const INFLATION_MS = 15;
/** Loss so much above what the path loses anyway tells of congestion. */
const LOSS = 0.03;
/** Fewer may be missing because what was sent and what came is not counted at the same moment. */
const MISSING_LEAST = 24;
const LOSS_WINDOW_MS = 10_000;
/** Of a step: long enough that what is inexact about its length is little. */
const SPAN_MS = 180;
/** What came through counts so long. */
const DELIVERED_WINDOW_MS = 4_000;
/** Nothing told of congestion for so long: the estimate may grow. */
const CALM_MS = 500;
/** Least that is left of the estimate in one step. */
const FALL = 0.85;
/** Of the estimate, step by step, while nothing tells of congestion and it is used. */
const GROWTH = [1.04, 1.04, 1.08, 1.16, 1.3] as const;
/** Share of the estimate that comes through where it is used: of a small one less, for groups are large beside it. */
const USED = { SMALL: 0.3, OTHER: 0.85 } as const;
/** Bytes per ms; 2 Mbit/s. */
const RATE_SMALL = 250;
/** Steps in a row that tell of congestion, before they count: where capacity is unknown, and where it is all used. */
const SIGNS = { UNKNOWN: 2, FULL: 1 } as const;
const FULL = 0.8;
/** Where less is used, so many of the last steps, about 1 / QUEUED_STEP, with a queue say that the estimate is too high. */
const QUEUED = 0.4;
const QUEUED_STEP = 1 / 8;
/** What is said to have arrived in a step is believed up to so much of the most that was sent in one, of late. */
const SENT_SHARE_MAX = 1.25;
/** Bytes per ms; 64 kbit/s. */
const RATE_LEAST = 8;
/** Who sends less than this, bytes per ms, or than this share of the estimate, and of what came through of late, congests nothing. */
const RATE_BUSY = 62;
const USED_BUSY = 0.5;

const NOTHING: Delivery = {
  ...{ spanMs: 0, arrivedSpanMs: 0, sentDatagrams: 0, sentBytes: 0 },
  ...{ deliveredDatagrams: 0, deliveredBytes: 0 },
};

export class PathRate {
  #rate: number;
  #pending: Delivery = NOTHING;
  readonly #usualLoss: SlidingLeast = new SlidingLeast(LOSS_WINDOW_MS);
  /** Of negative rates: the most that came through. */
  readonly #delivered: SlidingLeast = new SlidingLeast(DELIVERED_WINDOW_MS);
  #signs = 0;
  /** Share of the last steps in which there was a queue. */
  #queued = 0;
  #grown = 0;
  #congestedMs = Number.NEGATIVE_INFINITY;
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
    const missing = sum.sentDatagrams - sum.deliveredDatagrams;
    const usual = this.#usualLoss.value ?? 0;
    this.#usualLoss.add(loss, nowMs);
    // Probes that arrive closer together than they were sent say that a queue before them has gone: nothing of rates.
    const spanMs = Math.max(sum.arrivedSpanMs, sum.spanMs / 2);
    const delivered = Math.min(sum.deliveredBytes / spanMs, SENT_SHARE_MAX * this.#sentMost);
    this.#delivered.add(-delivered, nowMs);
    // Who sends little is not who fills the path.
    const most = -(this.#delivered.value ?? 0);
    const isBusy = sent > Math.max(RATE_BUSY, USED_BUSY * (this.#rate === 0 ? most : Math.min(this.#rate, most)));
    const isLossy = missing > MISSING_LEAST && loss > LOSS + 1.5 * usual;
    const hasQueue = inflationMs > INFLATION_MS;
    this.#signs = isBusy && (hasQueue || isLossy) ? this.#signs + 1 : 0;
    this.#queued += QUEUED_STEP * ((hasQueue && sent > RATE_BUSY ? 1 : 0) - this.#queued);
    if (this.#isCongested(sent, hasQueue)) this.#congestedMs = nowMs;
    this.#step(delivered, nowMs);
  }

  /** Nothing is known any more. */
  reset(first = 0): void {
    this.#rate = first;
    this.#pending = NOTHING;
    this.#sentMost = 0;
    this.#signs = 0;
    this.#queued = 0;
    this.#grown = 0;
    this.#congestedMs = Number.NEGATIVE_INFINITY;
    this.#usualLoss.clear();
    this.#delivered.clear();
  }

  #isCongested(sent: number, hasQueue: boolean): boolean {
    if (this.#rate === 0) return this.#signs >= SIGNS.UNKNOWN;
    return sent > FULL * this.#rate ? this.#signs >= SIGNS.FULL : hasQueue && this.#queued > QUEUED;
  }

  #step(delivered: number, nowMs: number): void {
    const isCongested = this.#congestedMs === nowMs;
    const grows =
      !isCongested &&
      this.#rate > 0 &&
      nowMs - this.#congestedMs > CALM_MS &&
      delivered > usedShare(this.#rate) * this.#rate;
    if (isCongested) this.#rate = Math.max(RATE_LEAST, FALL * this.#rate, -(this.#delivered.value ?? 0));
    else if (grows) this.#rate *= GROWTH[Math.min(this.#grown, GROWTH.length - 1)];
    this.#grown = grows ? this.#grown + 1 : 0;
  }
}

function usedShare(rate: number): number {
  return rate < RATE_SMALL ? USED.SMALL : USED.OTHER;
}

function added(left: Delivery, right: Delivery): Delivery {
  return {
    spanMs: left.spanMs + right.spanMs,
    arrivedSpanMs: left.arrivedSpanMs + right.arrivedSpanMs,
    sentDatagrams: left.sentDatagrams + right.sentDatagrams,
    sentBytes: left.sentBytes + right.sentBytes,
    deliveredDatagrams: left.deliveredDatagrams + right.deliveredDatagrams,
    deliveredBytes: left.deliveredBytes + right.deliveredBytes,
  };
}
