/**
 * A path's capacity, estimated from what the peer says arrived. A path that is full delivers at its capacity, however much is
 * sent; one that is not full delivers less, and says nothing of its end. So what came through while a queue stood is taken for
 * the capacity, over spans long enough that a program which woke late is no loss of it; more loss than the path has anyway
 * tells of a queue too short to see. Before any of that the capacity is unknown. Used without a queue, the estimate grows,
 * for the path may be faster than was thought. What a peer says never counts for more than was sent: one that lies cannot
 * raise the estimate above that. Pure.
 */
import { type Delivery, NO_DELIVERY } from './path-health.ts';
import { SlidingLeast } from './sliding-least.ts';

/** A round trip so much above the least tells of a queue, ms, where the path is used as the estimate has it. */
const STANDING_MS = 4;
/** Up to so much above the least nothing waits, ms. */
const EMPTY_MS = 5;
/** Round trips so much above the least tell of a queue whoever made it, ms. */
const INFLATION_MS = 15;
/** Loss so much above what the path loses anyway tells of congestion. */
const LOSS = 0.03;
/** Fewer may be missing because what was sent and what came is not counted at the same moment. */
const MISSING_LEAST = 24;
const LOSS_WINDOW_MS = 10_000;
/** Of a step; what came through is looked at over two of them. */
const SPAN_MS = 180;
/** What came through counts so long. */
const DELIVERED_WINDOW_MS = 4_000;
/** Nothing told of congestion for so long: the estimate may grow. */
const CALM_MS = 500;
/** Least that is left of the estimate in one step. */
const FALL = 0.85;
/** Of the difference to what a full path delivers, each step: whatever is late makes that less, and nothing makes it more. */
const NEARER = { UP: 0.5, DOWN: 0.2 } as const;
/** Of the estimate, step by step, while it is used and nothing waits. */
const GROWTH = [1.02, 1.04, 1.08, 1.16, 1.3] as const;
/** Share of the estimate that comes through where it is used: of a small one less, for groups are large beside it. */
const USED = { SMALL: 0.3, OTHER: 0.85 } as const;
/** Bytes per ms; 2 Mbit/s. */
const RATE_SMALL = 250;
/** Steps in a row that tell of congestion, before they count where capacity is unknown. */
const SIGNS_UNKNOWN = 2;
/** Who sends more than this share of the estimate fills the path, if a queue stands. */
const FULL = 0.8;
/** Where less is used, so many of the last steps, about 1 / QUEUED_STEP, with a queue or loss say that the estimate is too high. */
const QUEUED = 0.4;
const QUEUED_STEP = 1 / 8;
/** What is said to have arrived in a step is believed up to so much of the most that was sent in one, of late. */
const SENT_SHARE_MAX = 1.25;
/** Bytes per ms; 64 kbit/s. */
const RATE_LEAST = 8;
/** Who sends less than this, bytes per ms, or than this share of the estimate, and of what came through of late, congests nothing. */
const RATE_BUSY = 62;
const USED_BUSY = 0.5;

/** What some answers in a row said. */
interface Step {
  readonly sum: Delivery;
  /** Least and most of what waited. */
  readonly leastMs: number;
  readonly mostMs: number;
}

const NO_STEP: Step = { sum: NO_DELIVERY, leastMs: Number.POSITIVE_INFINITY, mostMs: 0 };

export class PathRate {
  #rate: number;
  #pending: Step = NO_STEP;
  #before: Step = NO_STEP;
  readonly #usualLoss: SlidingLeast = new SlidingLeast(LOSS_WINDOW_MS);
  /** Of negative rates: the most that came through. */
  readonly #delivered: SlidingLeast = new SlidingLeast(DELIVERED_WINDOW_MS);
  #signs = 0;
  /** Share of the last steps that told of congestion. */
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

  take(delivery: Delivery, nowMs: number): void {
    const step = added(this.#pending, { sum: delivery, leastMs: delivery.queueMs, mostMs: delivery.queueMs });
    this.#pending = step;
    const { sum } = step;
    if (sum.spanMs < SPAN_MS || sum.sentDatagrams === 0) return;
    const sent = sum.sentBytes / sum.spanMs;
    this.#sentMost = Math.max(sent, this.#sentMost * 0.97);
    this.#step(added(this.#before, step), this.#isLossy(sum, nowMs), nowMs);
    this.#before = step;
    this.#pending = NO_STEP;
  }

  /** Nothing is known any more. */
  reset(first = 0): void {
    this.#rate = first;
    this.#pending = NO_STEP;
    this.#before = NO_STEP;
    this.#sentMost = 0;
    this.#signs = 0;
    this.#queued = 0;
    this.#grown = 0;
    this.#congestedMs = Number.NEGATIVE_INFINITY;
    this.#usualLoss.clear();
    this.#delivered.clear();
  }

  #isLossy({ sentDatagrams, deliveredDatagrams }: Delivery, nowMs: number): boolean {
    const loss = Math.max(0, 1 - deliveredDatagrams / sentDatagrams);
    const usual = this.#usualLoss.value ?? loss;
    this.#usualLoss.add(loss, nowMs);
    return sentDatagrams - deliveredDatagrams > MISSING_LEAST && loss > LOSS + 1.5 * usual;
  }

  #step({ sum, leastMs, mostMs }: Step, isLossy: boolean, nowMs: number): void {
    const sent = sum.sentBytes / sum.spanMs;
    // Probes that arrive closer together than they were sent say that a queue before them has gone: nothing of rates.
    const spanMs = Math.max(sum.arrivedSpanMs, sum.spanMs / 2);
    const delivered = Math.min(sum.deliveredBytes / spanMs, SENT_SHARE_MAX * this.#sentMost);
    this.#delivered.add(-delivered, nowMs);
    const isFull = this.#rate > 0 && sent > FULL * this.#rate && (leastMs > STANDING_MS || isLossy);
    const isCongested = !isFull && this.#isCongested(sent, leastMs > INFLATION_MS, isLossy);
    if (isFull || isCongested) this.#congestedMs = nowMs;
    if (isFull) this.#approach(delivered);
    else if (isCongested) this.#rate = Math.max(RATE_LEAST, FALL * this.#rate, this.#most);
    this.#grow(delivered, mostMs < EMPTY_MS && !isLossy, nowMs);
  }

  /** A path that is not used as the estimate has it, or of which there is none. */
  #isCongested(sent: number, hasQueue: boolean, isLossy: boolean): boolean {
    // Who sends little is not who fills the path.
    const most = this.#most;
    const isBusy = sent > Math.max(RATE_BUSY, USED_BUSY * (this.#rate === 0 ? most : Math.min(this.#rate, most)));
    const tells = hasQueue || isLossy;
    this.#signs = isBusy && tells ? this.#signs + 1 : 0;
    this.#queued += QUEUED_STEP * ((tells && sent > RATE_BUSY ? 1 : 0) - this.#queued);
    return this.#rate === 0 ? this.#signs >= SIGNS_UNKNOWN : tells && this.#queued > QUEUED;
  }

  #approach(delivered: number): void {
    const share = delivered > this.#rate ? NEARER.UP : NEARER.DOWN;
    const nearer = this.#rate + share * (delivered - this.#rate);
    this.#rate = Math.max(RATE_LEAST, FALL * this.#rate, nearer);
  }

  #grow(delivered: number, isEmpty: boolean, nowMs: number): void {
    const isCalm = isEmpty && this.#rate > 0 && nowMs - this.#congestedMs > CALM_MS;
    const grows = isCalm && delivered > usedShare(this.#rate) * this.#rate;
    if (grows) this.#rate *= GROWTH[Math.min(this.#grown, GROWTH.length - 1)];
    this.#grown = grows ? this.#grown + 1 : 0;
  }

  /** Most that came through of late, bytes per ms. */
  get #most(): number {
    return -(this.#delivered.value ?? 0);
  }
}

function usedShare(rate: number): number {
  return rate < RATE_SMALL ? USED.SMALL : USED.OTHER;
}

function added(left: Step, right: Step): Step {
  const [one, other] = [left.sum, right.sum];
  return {
    sum: {
      spanMs: one.spanMs + other.spanMs,
      arrivedSpanMs: one.arrivedSpanMs + other.arrivedSpanMs,
      sentDatagrams: one.sentDatagrams + other.sentDatagrams,
      sentBytes: one.sentBytes + other.sentBytes,
      deliveredDatagrams: one.deliveredDatagrams + other.deliveredDatagrams,
      deliveredBytes: one.deliveredBytes + other.deliveredBytes,
      queueMs: other.queueMs,
    },
    leastMs: Math.min(left.leastMs, right.leastMs),
    mostMs: Math.max(left.mostMs, right.mostMs),
  };
}
