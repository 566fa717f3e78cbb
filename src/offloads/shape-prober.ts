/**
 * Finds out which groups the path to a peer carries; pure: time is an argument, what is to be sent is a result.
 *
 * A session starts with a quick round, the largest group with a short tail. If it arrives, all is well. If not, full
 * rounds follow until each shape has passed once or failed three times. A shape passes when half of its datagrams (its
 * tail, if that is the question) arrived in any of its groups; it fails in a round when no group did although more than
 * half of the single datagrams beside it arrived. So lost datagrams alone demote nothing, and what never works is found.
 * A session to which nothing at all is answered ends with its first full round: who it went to may not have asked for it.
 *
 * The verdict stands until the next session: for demoted shapes after half a minute, then ever later; at once when the
 * peer has moved; and when losses look like it, but not again and again while all is well.
 */
import { Backoff } from './backoff.ts';
import { fullRound, type GroupShapes, type ProbeGroup, quickRound, sizesOf } from './group-shapes.ts';

export type ProbeStep =
  | { readonly kind: 'round'; readonly round: number; readonly groups: readonly ProbeGroup[] }
  | { readonly kind: 'ask'; readonly round: number }
  /** A session ended; `after` is the same object as `before` if nothing changed. */
  | { readonly kind: 'verdict'; readonly before: GroupShapes; readonly after: GroupShapes };

/** After a round, ms: when its fate is asked for, and when it is given up. */
const ASK_AFTER_MS: readonly number[] = [200, 450, 900];
const ROUND_LIMIT_MS = 1_500;
const FAILURES_MIN = 3;
const FULL_ROUNDS_MAX = 10;
const RETRY_FIRST_MS = 30_000;
const RETRY_MOST_MS = 30 * 60_000;
/** A healthy path that loses datagrams is looked at again after this. */
const CALM_FIRST_MS = 10_000;
const CALM_MOST_MS = 5 * 60_000;

interface Row extends ProbeGroup {
  passed: boolean;
  failures: number;
}

export class ShapeProber {
  readonly #all: GroupShapes;
  readonly #retry: Backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS);
  readonly #calm: Backoff = new Backoff(CALM_FIRST_MS, CALM_MOST_MS);
  #shapes: GroupShapes;
  /** When the next session is due, and before when losses start none. */
  #dueMs = Number.POSITIVE_INFINITY;
  #calmUntilMs = Number.NEGATIVE_INFINITY;
  #rows: Row[] | null = null;
  #fullRounds = 0;
  #answered = false;
  #round = 0;
  /** The round under way; null between rounds. */
  #groups: readonly ProbeGroup[] | null = null;
  #sentMs = 0;
  #asks = 0;

  /** `datagramsMax`: most datagrams that the kernel takes in a group, 2 or more. `firstRound`: any number. */
  constructor(datagramsMax: number, firstRound: number) {
    this.#all = { datagramsMax, shortTail: true };
    this.#shapes = this.#all;
    this.#round = firstRound >>> 0;
  }

  /** What the path carries, as far as is known. */
  get shapes(): GroupShapes {
    return this.#shapes;
  }

  get isDemoted(): boolean {
    return this.#shapes.datagramsMax < this.#all.datagramsMax || !this.#shapes.shortTail;
  }

  /** Whether a session is under way. */
  get isProbing(): boolean {
    return this.#rows !== null;
  }

  /** When a demoted shape is tried again, ms; Infinity for never. */
  get retryMs(): number {
    return this.#dueMs;
  }

  /** The peer can answer, or is somewhere else: what was found out no longer counts. */
  start(nowMs: number): void {
    this.#rows = null;
    this.#groups = null;
    this.#retry.reset();
    this.#calm.reset();
    this.#dueMs = nowMs;
  }

  /** Datagrams get lost more than they should. */
  suspect(nowMs: number): void {
    if (this.#rows === null && nowMs >= this.#calmUntilMs && nowMs < this.#dueMs) this.#dueMs = nowMs;
  }

  /** What is to be done now, or null; to be called until it is. `mayBegin`: whether a session may start. */
  step(nowMs: number, mayBegin: boolean): ProbeStep | null {
    if (this.#rows === null) return mayBegin && nowMs >= this.#dueMs ? this.#begin(nowMs) : null;
    if (this.#groups === null)
      return this.#isDecided() ? this.#end(nowMs) : this.#send(nowMs, fullRound(this.#all.datagramsMax));
    const passedMs = nowMs - this.#sentMs;
    if (passedMs >= ROUND_LIMIT_MS) {
      this.#countRound();
      return this.step(nowMs, mayBegin);
    }
    if (passedMs < (ASK_AFTER_MS[this.#asks] ?? ROUND_LIMIT_MS)) return null;
    this.#asks += 1;
    return { kind: 'ask', round: this.#round };
  }

  /** The peer says which datagrams of a round arrived: bit n % 8 of byte n / 8 for the n-th. */
  arrived(round: number, bits: Uint8Array): void {
    if (this.#groups === null || this.#rows === null || round !== this.#round) return;
    const groups = this.#groups;
    this.#answered = true;
    const arrivals = arrivalsOf(groups, bits);
    if (groups.length === 1) this.#takeQuick(arrivals[0]);
    else takeFull(this.#rows, groups, arrivals);
    this.#countRound();
  }

  #begin(nowMs: number): ProbeStep {
    const { datagramsMax } = this.#all;
    const equal = sizesOf(datagramsMax).map((datagrams) => ({ datagrams, shortTail: false }));
    const tails = [2, 8].map((datagrams) => ({ datagrams, shortTail: true }));
    this.#rows = [...equal, ...tails].map((group) => ({ ...group, passed: false, failures: 0 }));
    this.#fullRounds = 0;
    this.#answered = false;
    this.#dueMs = Number.POSITIVE_INFINITY;
    return this.#send(nowMs, quickRound(datagramsMax));
  }

  #send(nowMs: number, groups: readonly ProbeGroup[]): ProbeStep {
    this.#round = (this.#round + 1) >>> 0;
    this.#groups = groups;
    this.#sentMs = nowMs;
    this.#asks = 0;
    return { kind: 'round', round: this.#round, groups };
  }

  #countRound(): void {
    if (this.#groups !== null && this.#groups.length > 1) this.#fullRounds += 1;
    this.#groups = null;
  }

  #takeQuick(arrival: Arrival | undefined): void {
    if (arrival === undefined || !isCarried(arrival) || !arrival.tail) return;
    for (const row of this.#rows ?? []) row.passed = true;
  }

  #isDecided(): boolean {
    const rows = this.#rows ?? [];
    const decided = rows.every((row) => row.passed || isFailed(row) || (row.shortTail && isFailed(equalOf(rows, row))));
    return decided || this.#fullRounds >= (this.#answered ? FULL_ROUNDS_MAX : 1);
  }

  #end(nowMs: number): ProbeStep {
    const before = this.#shapes;
    const found = this.#answered ? verdictOf(this.#rows ?? [], this.#all, before) : before;
    this.#rows = null;
    const isSame = found.datagramsMax === before.datagramsMax && found.shortTail === before.shortTail;
    this.#shapes = isSame ? before : found;
    if (!isSame) this.#calm.reset();
    if (!this.isDemoted) this.#retry.reset();
    this.#dueMs = this.isDemoted ? nowMs + this.#retry.take() : Number.POSITIVE_INFINITY;
    this.#calmUntilMs = nowMs + this.#calm.take();
    return { kind: 'verdict', before, after: this.#shapes };
  }
}

/** What arrived of one group. */
interface Arrival {
  readonly sent: number;
  readonly arrived: number;
  readonly tail: boolean;
}

function arrivalsOf(groups: readonly ProbeGroup[], bits: Uint8Array): Arrival[] {
  let number = 0;
  return groups.map(({ datagrams }) => {
    let arrived = 0;
    let tail = false;
    for (let index = 0; index < datagrams; index += 1, number += 1) {
      tail = (((bits[number >>> 3] ?? 0) >>> (number & 7)) & 1) === 1;
      arrived += tail ? 1 : 0;
    }
    return { sent: datagrams, arrived, tail };
  });
}

/** At least half, and of two both: one of two may be all that a path makes of a group. */
function isCarried({ sent, arrived }: Arrival): boolean {
  return arrived >= (sent === 2 ? 2 : Math.ceil(sent / 2));
}

function takeFull(rows: readonly Row[], groups: readonly ProbeGroup[], arrivals: readonly Arrival[]): void {
  const arrivalsLike = ({ datagrams, shortTail }: ProbeGroup): Arrival[] =>
    arrivals.filter((_, index) => groups[index].datagrams === datagrams && groups[index].shortTail === shortTail);
  const singlesArrive = (shortTail: boolean): boolean => {
    const singles = arrivalsLike({ datagrams: 1, shortTail });
    return singles.filter(({ arrived }) => arrived > 0).length * 2 > singles.length;
  };
  const full = singlesArrive(false);
  const short = singlesArrive(true);
  for (const row of rows) row.passed ||= arrivalsLike(row).some((one) => (row.shortTail ? one.tail : isCarried(one)));
  for (const row of rows) {
    const counts = row.shortTail ? full && short && equalOf(rows, row)?.passed === true : full;
    if (!row.passed && counts) row.failures += 1;
  }
}

/** The row without the tail: a tail says something only where that is carried. */
function equalOf(rows: readonly Row[], { datagrams }: ProbeGroup): Row | undefined {
  return rows.find((row) => row.datagrams === datagrams && !row.shortTail);
}

function isFailed(row: Row | undefined): boolean {
  return row !== undefined && !row.passed && row.failures >= FAILURES_MIN;
}

function verdictOf(rows: readonly Row[], all: GroupShapes, before: GroupShapes): GroupShapes {
  const equal = rows.filter(({ shortTail }) => !shortTail);
  const firstFailed = equal.findIndex(isFailed);
  const allPassed = equal.every(({ passed }) => passed);
  const undecided = allPassed ? all.datagramsMax : before.datagramsMax;
  const datagramsMax = firstFailed === -1 ? undecided : (equal[firstFailed - 1]?.datagrams ?? 1);
  const tails = rows.filter((row) => row.shortTail && row.datagrams <= datagramsMax);
  const keepsTail = tails.every(({ passed }) => passed) || before.shortTail;
  return { datagramsMax, shortTail: !tails.some(isFailed) && keepsTail };
}
