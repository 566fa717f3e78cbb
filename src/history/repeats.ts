/**
 * Which of the datagrams that a peer misses are sent again: those that the ring still holds, that are young enough to be of use,
 * that were not sent again a moment ago, and that the budget allows. A peer that lies gets no more than that.
 */
import { ByteBudget } from './byte-budget.ts';
import { HISTORY_CELL } from './history-cells.ts';
import { SENT_DATAGRAMS_MAX, type SentIndex, type SentRing } from './sent-ring.ts';
import { type HistorySettings, NO_HISTORY } from './settings.ts';

/** What repeats may save up, bytes. */
const BUDGET_BYTES_MAX = 65_536;
/** What is sent again at once when a path has died, bytes: a burst that a path may be expected to take. */
const RESEND_BYTES_MAX = 262_144;
/** Repeats of one datagram. */
export const REPEATS_MAX = 8;
/** Shortest time between two repeats of a datagram, ms; where that is longer, this share of an RTT: reports follow each other faster. */
const AGAIN_MS_MIN = 5;
const AGAIN_RTTS = 0.9;
/** Reports that are looked at: one each ms, and so many at a time. */
const REPORTS_MAX = 16;
/** Counters that are looked up: so many each ms, and so many at a time, which is what the longest reports name. */
const LOOKS_PER_MS = 512;
const LOOKS_MAX: number = REPORTS_MAX * SENT_DATAGRAMS_MAX;

export class Repeats {
  readonly #cells: Float64Array;
  readonly #budget: ByteBudget = new ByteBudget(NO_HISTORY.retransmitBudget, BUDGET_BYTES_MAX);
  /** For what nobody has asked for: of what repeats leave over, so that a peer that changes its path all the time gains nothing. */
  readonly #resends: ByteBudget = new ByteBudget(1, RESEND_BYTES_MAX);
  #retransmitMs = 0;
  #againMs: number = AGAIN_MS_MIN;
  #reports = REPORTS_MAX;
  #reportsMs = 0;
  #looks: number = LOOKS_MAX;
  #looksMs = 0;

  /** `cells`: the lane's block of the peer's books. */
  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  setSettings({ retransmitMs, retransmitBudget }: HistorySettings): void {
    this.#retransmitMs = retransmitMs;
    this.#budget.share = retransmitBudget;
  }

  setRtt(rttMs: number): void {
    this.#againMs = Math.max(AGAIN_MS_MIN, rttMs * AGAIN_RTTS);
  }

  earn(bytes: number): void {
    this.#resends.earn(this.#budget.earn(bytes));
  }

  /** Whether one more report is looked at. */
  admitReport(nowMs: number): boolean {
    this.#reports = Math.min(REPORTS_MAX, this.#reports + nowMs - this.#reportsMs);
    this.#reportsMs = nowMs;
    if (this.#reports < 1) return false;
    this.#reports -= 1;
    return true;
  }

  /**
   * How many of the next `wanted` counters are looked up, 0 or more; the others are booked as held. Who asks on and on for all
   * that a report can name costs the lane no more than that.
   */
  admitLooks(wanted: number, nowMs: number): number {
    this.#looks = Math.min(LOOKS_MAX, this.#looks + (nowMs - this.#looksMs) * LOOKS_PER_MS);
    this.#looksMs = nowMs;
    const admitted = Math.max(0, Math.min(wanted, Math.floor(this.#looks)));
    const held = Math.max(0, wanted) - admitted;
    this.#looks -= admitted;
    this.#cells[HISTORY_CELL.REPEATS_ASKED] += held;
    this.#cells[HISTORY_CELL.REPEATS_HELD] += held;
    return admitted;
  }

  /** Slot of a datagram that is to be repeated now, which is noted; -1 for one that is not. Every counter that is asked is booked. */
  take(ring: SentRing, index: SentIndex, counter: number, nowMs: number): number {
    const cells = this.#cells;
    cells[HISTORY_CELL.REPEATS_ASKED] += 1;
    const slot = index.slotOf(counter);
    if (slot !== -1) ring.want();
    if (slot === -1 || !this.#isOfUse(ring, index, slot, nowMs)) {
      cells[HISTORY_CELL.REPEATS_GONE] += 1;
      return -1;
    }
    if (nowMs - index.repeatedMs[slot] < this.#againMs) return -1;
    if (!this.#budget.spend(index.lengths[slot])) {
      cells[HISTORY_CELL.REPEATS_HELD] += 1;
      return -1;
    }
    index.repeatedMs[slot] = nowMs;
    index.repeats[slot] += 1;
    return slot;
  }

  /** Whether so many bytes may be spent on telling the peer what it will not get. */
  spend(bytes: number): boolean {
    return this.#budget.spend(bytes);
  }

  /** What may be sent again at once that nobody has asked for, bytes. */
  get resendBytes(): number {
    return this.#resends.bytes;
  }

  /** Notes a repeat that nobody has asked for; false for a datagram that is of no use any more, or is too much. */
  volunteer(ring: SentRing, index: SentIndex, slot: number, nowMs: number): boolean {
    if (!this.#isOfUse(ring, index, slot, nowMs) || !this.#resends.spend(index.lengths[slot])) return false;
    index.repeatedMs[slot] = nowMs;
    index.repeats[slot] += 1;
    return true;
  }

  #isOfUse(ring: SentRing, index: SentIndex, slot: number, nowMs: number): boolean {
    return (
      ring.offsetOf(index.positions[slot]) !== -1 &&
      nowMs - index.sentMs[slot] <= this.#retransmitMs &&
      index.repeats[slot] < REPEATS_MAX
    );
  }
}
