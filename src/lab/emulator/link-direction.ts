/**
 * One direction of a link, as a model: a datagram goes in with its length and the time, and out come the times at which it
 * arrives: one, two (it is duplicated) or none (it is lost). Pure: time is an argument, chance comes from a seed.
 *
 *     blackout -> loss -> bursts -> rate and its queue -> delay, jitter -> reordering -> duplication
 */
import type { Impairments } from './impairments.ts';
import { SeededRandom } from './random.ts';

/** What became of the datagrams of a direction; each that came in is counted once, as lost or as passed. */
export interface DirectionFigures {
  passed: number;
  passedBytes: number;
  lostRandom: number;
  lostBurst: number;
  lostQueue: number;
  lostBlackout: number;
  /** Of those that passed. */
  duplicated: number;
  reordered: number;
}

export class LinkDirection {
  readonly figures: DirectionFigures = {
    ...{ passed: 0, passedBytes: 0, lostRandom: 0, lostBurst: 0, lostQueue: 0, lostBlackout: 0 },
    ...{ duplicated: 0, reordered: 0 },
  };
  /** When the datagram of the last `pass` arrives, us: the first ones, as many as that returned. */
  readonly arrivalsUs: Float64Array = new Float64Array(2);
  readonly #link: Impairments;
  readonly #random: SeededRandom;
  readonly #endOfBurst: number;
  readonly #beginOfBurst: number;
  /** Whether nothing passes, by somebody's hand. */
  isCut = false;
  #isBursting = false;
  /** Until then the line is busy with datagrams that came before. */
  #busyUntilUs = 0;
  #lastArrivalUs = 0;

  constructor(link: Impairments, seed: number) {
    this.#link = link;
    this.#random = new SeededRandom(seed);
    const { share = 0, length = 1 } = link.burst ?? {};
    this.#endOfBurst = 1 / length;
    this.#beginOfBurst = share / (length * (1 - share));
  }

  /** Takes a datagram of `bytes` at a time since the start, us; returns how often it arrives: 0, 1 or 2. */
  pass(nowUs: number, bytes: number): number {
    const { figures } = this;
    if (this.isCut || this.#isBlackout(nowUs / 1_000)) figures.lostBlackout += 1;
    else if (this.#isHit(this.#link.loss)) figures.lostRandom += 1;
    else if (this.#isInBurst()) figures.lostBurst += 1;
    else return this.#queue(nowUs, bytes);
    return 0;
  }

  #isBlackout(nowMs: number): boolean {
    for (const { startMs, lengthMs, everyMs } of this.#link.blackouts) {
      const sinceMs = nowMs - startMs;
      if (sinceMs >= 0 && (everyMs === null ? sinceMs : sinceMs % everyMs) < lengthMs) return true;
    }
    return false;
  }

  /** No number is drawn for what never happens, so that switching one impairment on leaves the others' chance as it was. */
  #isHit(share: number): boolean {
    return share > 0 && this.#random.draw() < share;
  }

  /** The state changes before each datagram: bursts have a geometric length, and are lost whole. */
  #isInBurst(): boolean {
    if (this.#link.burst === null) return false;
    const turns = this.#isBursting ? this.#endOfBurst : this.#beginOfBurst;
    if (this.#random.draw() < turns) this.#isBursting = !this.#isBursting;
    return this.#isBursting;
  }

  #queue(nowUs: number, bytes: number): number {
    const { rateBitsPerSecond, overheadBytes, queueMs } = this.#link;
    if (rateBitsPerSecond === null) return this.#arrive(nowUs, bytes);
    const startUs = Math.max(nowUs, this.#busyUntilUs);
    if (startUs - nowUs > queueMs * 1_000) {
      this.figures.lostQueue += 1;
      return 0;
    }
    this.#busyUntilUs = startUs + ((bytes + overheadBytes) * 8e6) / rateBitsPerSecond;
    return this.#arrive(this.#busyUntilUs, bytes);
  }

  #arrive(leavesUs: number, bytes: number): number {
    const { delayMs, jitterMs, reorder, reorderMs, duplicate } = this.#link;
    const jitterUs = jitterMs > 0 ? jitterMs * 1_000 * this.#random.draw() : 0;
    let arrivalUs = Math.max(leavesUs + delayMs * 1_000 + jitterUs, this.#lastArrivalUs);
    if (this.#isHit(reorder)) {
      this.figures.reordered += 1;
      arrivalUs += reorderMs * 1_000;
    } else this.#lastArrivalUs = arrivalUs;
    this.figures.passed += 1;
    this.figures.passedBytes += bytes;
    this.arrivalsUs.fill(arrivalUs);
    const isTwice = this.#isHit(duplicate);
    this.figures.duplicated += isTwice ? 1 : 0;
    return isTwice ? 2 : 1;
  }
}
