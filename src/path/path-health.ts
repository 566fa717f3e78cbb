/**
 * One path's life as probes tell it: each has a random number and is answered over the path that it took. From the answers
 * come the round trip, and what of all that was sent arrived; from their absence, that the path is dead. Pure: time and
 * random numbers are arguments.
 *
 * A path is dead when several probes in a row were not answered in time, more of them where answers get lost anyway, and for
 * long enough; as soon as one is late, probes follow each other quickly. A dead path is probed ever more rarely, and lives
 * again with its second answer.
 */
import { SlidingLeast } from './sliding-least.ts';

/** What lanes have booked of a path so far. */
export interface PathTraffic {
  readonly sentDatagrams: number;
  readonly sentBytes: number;
  /** Datagrams that the kernel did not take. */
  readonly failedDatagrams: number;
  readonly receivedDatagrams: number;
  readonly receivedBytes: number;
  /** CLOCK_MONOTONIC ms, 0 for never. */
  readonly lastReceivedMs: number;
}

/** Of a path over which nothing ever went. */
export const NO_TRAFFIC: PathTraffic = {
  sentDatagrams: 0,
  sentBytes: 0,
  failedDatagrams: 0,
  receivedDatagrams: 0,
  receivedBytes: 0,
  lastReceivedMs: 0,
};

/** An answer to a probe, as the peer has it. */
export interface PathAnswer {
  readonly sequence: number;
  readonly heldUs: number;
  /** What came to the peer over the path so far. */
  readonly datagrams: number;
  readonly bytes: number;
  /** When the probe came, us of the peer's clock modulo 2^32; null where it does not say. */
  readonly arrivedUs: number | null;
}

/** What an answer says in the light of what was sent: between an earlier probe and this one. */
export interface Delivery {
  readonly spanMs: number;
  /** The same between their arrivals at the peer: longer while a queue on the path grows. */
  readonly arrivedSpanMs: number;
  readonly sentDatagrams: number;
  readonly sentBytes: number;
  /** Never more than was sent by now. */
  readonly deliveredDatagrams: number;
  readonly deliveredBytes: number;
  /** How much longer than the least the later one took to get there: what waited on the path before it, about. */
  readonly queueMs: number;
}

/** What waited on a path when a probe was sent over it. */
export interface QueueSeen {
  readonly queueMs: number;
  /** When the probe was sent, CLOCK_MONOTONIC ms. */
  readonly atMs: number;
}

/** `unknown`: no answer yet, or nobody asks; `dead`: answers stay out, or the kernel sends nothing over it. */
export type PathState = 'unknown' | 'alive' | 'dead';

/** Between two probes while one is late. */
const SUSPECT_MS = 30;
const UNKNOWN_MS = 300;
/** Between the first answer of a dead path and the probe that is to bring the second. */
const AGAIN_MS = 100;
const DEAD_FIRST_MS = 500;
const DEAD_MOST_MS = 10_000;
/** No answer is late before this, ms; and on a path that never answered. */
const LATE_LEAST_MS = 60;
const LATE_MOST_MS = 1_000;
/** A path is not given up before this silence, ms; nor before that one while anything comes in over it. */
const SILENCE_LEAST_MS = 300;
const SILENCE_HEARD_MS = 800;
/** With no other path to go to, nothing is gained by a quick verdict: it needs so much silence of probes and data alike. */
const SILENCE_ONLY_MS = 2_000;
const HEARD_MS = 250;
const MISSES_LEAST = 4;
const MISSES_MOST = 10;
/** So many misses in a row are looked for that by chance they are rarer than this. */
const CHANCE = 1e-6;
const LOSS_SHARE = 1 / 32;
const OUTSTANDING_MAX = 64;
const OUTSTANDING_MS = 5_000;
const RTT_WINDOW_MS = 20_000;
const HISTORY_MAX = 128;
const HISTORY_MS = 10_000;
/** Loss is told of at least so many datagrams and ms. */
const LOSS_DATAGRAMS = 500;
const LOSS_MS = 1_000;
/** Fewer than these may be missing for want of exactness: counts at both ends are not taken at the same moment. */
const MISSING_LEAST = 3;
/** Samples until what is missing is known well enough to tell more of it from. */
const SETTLING_SAMPLES = 3;

export const NO_DELIVERY: Delivery = {
  ...{ spanMs: 0, arrivedSpanMs: 0, sentDatagrams: 0, sentBytes: 0 },
  ...{ deliveredDatagrams: 0, deliveredBytes: 0, queueMs: 0 },
};
const NO_QUEUE: QueueSeen = { queueMs: 0, atMs: Number.NEGATIVE_INFINITY };

interface Outstanding {
  readonly sequence: number;
  readonly sentMs: number;
  readonly traffic: PathTraffic;
  isLate: boolean;
}

/** What was sent when a probe left, and what had arrived by then. */
interface Sample {
  readonly atMs: number;
  /** When the probe came, but for a constant: how far apart two of them arrived shows in it. */
  readonly arrivedMs: number;
  readonly sentDatagrams: number;
  readonly sentBytes: number;
  readonly arrivedDatagrams: number;
  readonly arrivedBytes: number;
  /**
   * The most by which what had arrived was behind what was sent, in any sample so far. Data that left between the count and its
   * probe, or came between the probe and its answer, makes less seem to be missing, the more the busier the machines are: never more.
   */
  readonly missing: number;
}

export class PathHealth {
  #state: PathState = 'unknown';
  #rttMs: number | null = null;
  #deviationMs = 0;
  #queue: QueueSeen = NO_QUEUE;
  readonly #least: SlidingLeast = new SlidingLeast(RTT_WINDOW_MS);
  /** The peer's clock less ours when the first probe came, us modulo 2^32; and of ways there, ms more than that one's. */
  #clockUs: number | null = null;
  readonly #leastThere: SlidingLeast = new SlidingLeast(RTT_WINDOW_MS);
  #outstanding: Outstanding[] = [];
  #samples: Sample[] = [];
  /** Probes in a row that were not answered in time; answers in a row. */
  #misses = 0;
  #answers = 0;
  /** Share of probes that were not answered in time. */
  #missed = 0;
  #probedMs = Number.NEGATIVE_INFINITY;
  /** Since when there is no answer, ms; null while none is awaited. */
  #silentMs: number | null = null;
  #deadWaitMs = DEAD_FIRST_MS;
  #aliveSinceMs = Number.NEGATIVE_INFINITY;

  get state(): PathState {
    return this.#state;
  }

  /** Smoothed, ms; null before the first answer. */
  get rttMs(): number | null {
    return this.#rttMs;
  }

  /** The least of the last seconds, ms; null before the first answer. */
  get leastRttMs(): number | null {
    return this.#least.value;
  }

  /** What waited on the path by the last answer: how much longer than the least the probe took to get there. */
  get queue(): QueueSeen {
    return this.#queue;
  }

  /** Since when it has been alive without a break, ms. */
  get aliveSinceMs(): number {
    return this.#aliveSinceMs;
  }

  /** Whether an answer is late. */
  get isSuspect(): boolean {
    return this.#misses > 0;
  }

  /** Share of what was sent over the path lately that did not arrive; null while nothing says so. */
  get loss(): number | null {
    const last = this.#samples.at(-1);
    const first = last && this.#lossStart(last);
    if (last === undefined || first === undefined) return null;
    const sent = last.sentDatagrams - first.sentDatagrams;
    const missing = last.missing - first.missing;
    return sent <= 0 || missing < MISSING_LEAST ? 0 : Math.min(1, missing / sent);
  }

  /** When `step` or a probe is due, ms. `paceMs`: between two probes while all is well; Infinity: none is sent. */
  dueMs(paceMs: number): number {
    let dueMs = this.#probeDueMs(paceMs);
    for (const { sentMs, isLate } of this.#outstanding) if (!isLate) dueMs = Math.min(dueMs, sentMs + this.#lateMs);
    return dueMs;
  }

  /**
   * Takes note of answers that are late by now. True if the state has changed.
   *
   * @param lastReceivedMs when something authentic last came over it
   * @param isOnly whether there is no other path to go to
   */
  step(nowMs: number, lastReceivedMs: number, isOnly: boolean): boolean {
    for (const probe of this.#outstanding) {
      if (probe.isLate || nowMs - probe.sentMs < this.#lateMs) continue;
      probe.isLate = true;
      this.#misses += 1;
      this.#answers = 0;
      if (this.#state === 'alive') this.#missed += (1 - this.#missed) * LOSS_SHARE;
    }
    this.#outstanding = this.#outstanding.filter(({ sentMs }) => nowMs - sentMs < OUTSTANDING_MS);
    return this.#state !== 'dead' && this.#isGone(nowMs, lastReceivedMs, isOnly) && this.#die();
  }

  /** Whether a probe is due. `paceMs`: as of `dueMs`. */
  isDue(nowMs: number, paceMs: number): boolean {
    return nowMs >= this.#probeDueMs(paceMs);
  }

  /** A probe leaves now. `sequence`: random, 32 bits. */
  probed(sequence: number, traffic: PathTraffic, nowMs: number): void {
    this.#probedMs = nowMs;
    this.#silentMs ??= nowMs;
    if (this.#state === 'dead') this.#deadWaitMs = Math.min(DEAD_MOST_MS, this.#deadWaitMs * 2);
    this.#outstanding = [...this.#outstanding, { sequence, sentMs: nowMs, traffic, isLate: false }].slice(
      -OUTSTANDING_MAX,
    );
  }

  /** Takes an answer that came over this path; null, and nothing is changed, if it answers no probe of ours. */
  answered(answer: PathAnswer, traffic: PathTraffic, atMs: number): Delivery | null {
    const at = this.#outstanding.findIndex(({ sequence }) => sequence === answer.sequence);
    const probe = this.#outstanding[at];
    if (probe === undefined || atMs < probe.sentMs) return null;
    this.#outstanding = this.#outstanding.filter((_, other) => other !== at);
    const rttMs = Math.max(0, atMs - probe.sentMs - Math.min(answer.heldUs / 1_000, atMs - probe.sentMs));
    this.#takeRtt(rttMs, atMs);
    const thereMs = this.#thereMs(probe, answer, atMs);
    // A clock that was set, or that lies, makes no queue that the round trip does not show.
    const longerMs = rttMs - (this.#least.value ?? rttMs);
    const queueMs = Math.min(longerMs, thereMs - (this.#leastThere.value ?? thereMs));
    if (probe.sentMs > this.#queue.atMs) this.#queue = { queueMs, atMs: probe.sentMs };
    if (!probe.isLate) this.#missed -= this.#missed * LOSS_SHARE;
    this.#silentMs = this.#outstanding.find(({ sentMs }) => sentMs > probe.sentMs)?.sentMs ?? null;
    this.#misses = 0;
    this.#answers += 1;
    if (this.#state === 'unknown' || (this.#state === 'dead' && this.#answers > 1)) this.#live(atMs);
    return this.#deliver(probe, answer, traffic, probe.sentMs + thereMs, queueMs);
  }

  /** A probe is due at once. */
  hurry(): void {
    this.#probedMs = Number.NEGATIVE_INFINITY;
  }

  /** The path is another now, or cannot be used: all that was known of it is void. */
  reset(state: PathState): void {
    this.#state = state;
    this.#rttMs = null;
    this.#queue = NO_QUEUE;
    this.#least.clear();
    this.#leastThere.clear();
    this.#clockUs = null;
    this.#outstanding = [];
    this.#samples = [];
    this.#misses = 0;
    this.#answers = 0;
    this.#missed = 0;
    this.#silentMs = null;
    this.#deadWaitMs = DEAD_FIRST_MS;
    this.#probedMs = Number.NEGATIVE_INFINITY;
  }

  /** Something other than probes says that it is dead, or alive: a stock peer answers none. */
  judge(state: 'alive' | 'dead', nowMs: number): boolean {
    if (state === this.#state) return false;
    if (state === 'dead') return this.#die();
    this.#live(nowMs);
    return true;
  }

  get #lateMs(): number {
    const rttMs = this.#rttMs;
    if (rttMs === null) return LATE_MOST_MS;
    return Math.min(LATE_MOST_MS, Math.max(LATE_LEAST_MS, 1.5 * rttMs + 4 * this.#deviationMs + 20));
  }

  get #silenceMs(): number {
    return Math.max(SILENCE_LEAST_MS, 3 * (this.#rttMs ?? 0));
  }

  get #missesNeeded(): number {
    const wanted = this.#missed < 0.01 ? MISSES_LEAST : Math.ceil(Math.log(CHANCE) / Math.log(this.#missed));
    return Math.min(MISSES_MOST, Math.max(MISSES_LEAST, wanted));
  }

  /** A path that was never probed is due at once, unless none is. */
  #probeDueMs(paceMs: number): number {
    const intervalMs = this.#intervalMs(paceMs);
    return intervalMs === Number.POSITIVE_INFINITY ? intervalMs : this.#probedMs + intervalMs;
  }

  #intervalMs(paceMs: number): number {
    if (paceMs === Number.POSITIVE_INFINITY) return paceMs;
    if (this.#state === 'dead') return this.#answers > 0 ? AGAIN_MS : this.#deadWaitMs;
    if (this.#state === 'unknown') return Math.min(UNKNOWN_MS, paceMs);
    return this.#misses > 0 ? SUSPECT_MS : paceMs;
  }

  #isGone(nowMs: number, lastReceivedMs: number, isOnly: boolean): boolean {
    if (this.#silentMs === null || this.#misses < this.#missesNeeded) return false;
    const silentMs = nowMs - this.#silentMs;
    if (isOnly) return Math.min(silentMs, nowMs - lastReceivedMs) >= SILENCE_ONLY_MS;
    const isHeard = nowMs - lastReceivedMs < HEARD_MS;
    return silentMs >= Math.max(this.#silenceMs, isHeard ? SILENCE_HEARD_MS : 0);
  }

  #die(): true {
    this.#state = 'dead';
    this.#answers = 0;
    this.#deadWaitMs = DEAD_FIRST_MS;
    this.#samples = [];
    return true;
  }

  #live(nowMs: number): void {
    this.#state = 'alive';
    this.#aliveSinceMs = nowMs;
    this.#misses = 0;
  }

  #takeRtt(rttMs: number, nowMs: number): void {
    // RFC 6298, section 2.
    this.#deviationMs =
      this.#rttMs === null ? rttMs / 2 : 0.75 * this.#deviationMs + 0.25 * Math.abs(this.#rttMs - rttMs);
    this.#rttMs = this.#rttMs === null ? rttMs : 0.875 * this.#rttMs + 0.125 * rttMs;
    this.#least.add(rttMs, nowMs);
  }

  /**
   * How long the probe took to get there, ms, but for a constant: by the peer's clock what waits on the way back is not in it.
   * Else by ours, both ways.
   */
  #thereMs({ sentMs }: Outstanding, { arrivedUs, heldUs }: PathAnswer, atMs: number): number {
    const fromUs = Math.round(sentMs * 1_000) % 2 ** 32;
    this.#clockUs ??= arrivedUs === null ? null : arrivedUs - fromUs;
    // The difference of two clocks wraps as they do: 36 minutes each way are told apart.
    const thereMs =
      arrivedUs === null ? atMs - sentMs - heldUs / 1_000 : ((arrivedUs - fromUs - (this.#clockUs ?? 0)) | 0) / 1_000;
    this.#leastThere.add(thereMs, atMs);
    return thereMs;
  }

  #deliver(probe: Outstanding, answer: PathAnswer, now: PathTraffic, arrivedMs: number, queueMs: number): Delivery {
    const last = this.#samples.at(-1);
    // A peer that counts anew, or never so much came: what it says counts from here on.
    if (last !== undefined && (answer.datagrams < last.arrivedDatagrams || answer.bytes < last.arrivedBytes))
      this.#samples = [];
    const base = this.#samples.at(-1);
    const { sentDatagrams, sentBytes } = probe.traffic;
    const arrivedDatagrams = believed(answer.datagrams, base?.arrivedDatagrams, base?.sentDatagrams, now.sentDatagrams);
    const sample: Sample = {
      ...{ atMs: probe.sentMs, arrivedMs, sentDatagrams, sentBytes, arrivedDatagrams },
      missing: Math.max(base?.missing ?? Number.NEGATIVE_INFINITY, sentDatagrams - arrivedDatagrams),
      arrivedBytes: believed(answer.bytes, base?.arrivedBytes, base?.sentBytes, now.sentBytes),
    };
    if (base !== undefined && probe.sentMs <= base.atMs) return NO_DELIVERY;
    this.#samples = [...this.#samples, sample].slice(-HISTORY_MAX);
    return base === undefined ? NO_DELIVERY : between(base, sample, queueMs);
  }

  /** The latest sample that is old enough, and before enough datagrams, to tell loss since then. */
  #lossStart(last: Sample): Sample | undefined {
    const old = this.#samples.slice(SETTLING_SAMPLES - 1).filter(({ atMs }) => last.atMs - atMs < HISTORY_MS);
    const enough = old.findLast(
      ({ atMs, sentDatagrams }) => last.atMs - atMs >= LOSS_MS && last.sentDatagrams - sentDatagrams >= LOSS_DATAGRAMS,
    );
    return enough ?? (last.atMs - (old[0]?.atMs ?? last.atMs) >= LOSS_MS ? old[0] : undefined);
  }
}

/** What arrived since the base cannot be more than was sent since then. */
function believed(told: number, baseTold: number | undefined, baseSent: number | undefined, sentNow: number): number {
  if (baseTold === undefined || baseSent === undefined) return told;
  return Math.min(told, baseTold + Math.max(0, sentNow - baseSent));
}

function between(from: Sample, to: Sample, queueMs: number): Delivery {
  return {
    spanMs: to.atMs - from.atMs,
    arrivedSpanMs: Math.max(0, to.arrivedMs - from.arrivedMs),
    sentDatagrams: to.sentDatagrams - from.sentDatagrams,
    sentBytes: to.sentBytes - from.sentBytes,
    deliveredDatagrams: Math.max(0, to.arrivedDatagrams - from.arrivedDatagrams),
    deliveredBytes: Math.max(0, to.arrivedBytes - from.arrivedBytes),
    queueMs,
  };
}
