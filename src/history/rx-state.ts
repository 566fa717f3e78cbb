/**
 * What a lane knows of the counters that one peer sent it: the gaps of its two latest keypairs, what came over which path, and
 * what waits for its turn. `gap-asker.ts` asks for what is missing. Runs are taken one at a time: `beginRun`, `take` for each new message, `endRun`; `due` when
 * time has come. Lanes that do not see all counters of the peer watch no gaps;
 * what is lost they tell by the replay window (`window-losses.ts`).
 */
import type { LaneContext } from '../lane-context.ts';
import type { RegionPool } from '../packet/region-pool.ts';
import { NO_PATH } from '../path/path-types.ts';
import { TAG_LENGTH, TRANSPORT_HEADER_LENGTH } from '../protocol/constants.ts';
import { gapCount, gapFirst, gapsIndex, gapsRanges } from '../protocol/gaps-message.ts';
import { REPLAY_DUPLICATE, REPLAY_NEW, type REPLAY_TOO_OLD } from '../protocol/replay-window.ts';
import type { LaneKeypair } from '../tables/peers.ts';
import { GapAsker } from './gap-asker.ts';
import { GapWatch } from './gap-watch.ts';
import { HISTORY_CELL, PATH_CELL } from './history-cells.ts';
import { InOrder } from './in-order.ts';
import type { PeerHistory } from './peer-history.ts';
import { type HistorySettings, HOLD_BYTES } from './settings.ts';

/** What becomes of an authentic message beside the verdicts of the replay window: it was new, but had been given up. */
export const RX_TOO_LATE = 3;
export type RxOutcome = typeof REPLAY_NEW | typeof REPLAY_DUPLICATE | typeof REPLAY_TOO_OLD | typeof RX_TOO_LATE;

/** What comes sooner than this share of the RTT after it was asked for was on its way already. */
const REPEAT_RTTS_MIN = 0.75;
/** Where nothing is asked for, what is missing for so long counts as lost, ms. */
const LOST_AFTER_MS = 1_000;
/** Reports of gaps, and answers to ours, that are taken from a peer in a second: one of each every 2 ms. */
const REPORTS_PER_SECOND_MAX = 1_000;
/** Who sends over several paths at once is followed to another one only after so long a silence on the present one, ms. */
const FOLLOW_MS = 100;
/** Longest wait for those before where nothing is repeated, ms. */
const HOLD_MS = 50;
/** Of a pool that has no room. */
const NO_ROOM = -1;
const OVERHEAD = TRANSPORT_HEADER_LENGTH + TAG_LENGTH;

export class RxState {
  readonly #history: PeerHistory;
  /** None before something comes, then one for each keypair, two at most. */
  readonly #watches: GapWatch[] = [];
  /** Null where packets are delivered as they come. */
  order: InOrder | null = null;
  readonly #asker: GapAsker;
  /** Reports of the peer's in the second that began then. */
  #admitSinceMs = Number.NEGATIVE_INFINITY;
  #admitted = 0;
  /** The path that data comes by which is newer than all, and when it last did. */
  #followed: number = NO_PATH;
  #followedMs = Number.NEGATIVE_INFINITY;

  /** Of the run at hand: authentic messages and their bytes, those to be delivered, and those that filled gaps after an ask. */
  #authentic = 0;
  #bytes = 0;
  #duplicates = 0;
  freshCount = 0;
  repaired = 0;
  /** Whether one of them was newer than all before. */
  hasNewest = false;
  #watch: GapWatch | null = null;
  #path: number = NO_PATH;
  #isRemade = false;
  #nowMs = 0;

  constructor(history: PeerHistory) {
    this.#history = history;
    this.#asker = new GapAsker(history);
  }

  /** Takes over what configuration says; the hold comes from the pool. Without room there is no order. All that waited went before. */
  setSettings({ inOrder }: HistorySettings, pool: RegionPool): void {
    if (!this.#history.watchesGaps) this.#unwatch();
    const isWanted = inOrder !== 'off' && this.#history.isAlone;
    if (isWanted === (this.order !== null)) return;
    if (this.order !== null) pool.release(this.order.offset);
    const offset = isWanted ? pool.take(HOLD_BYTES) : NO_ROOM;
    this.order = offset === NO_ROOM ? null : new InOrder(offset);
  }

  /** Gives the hold back, in which nothing waits. */
  close(pool: RegionPool): void {
    if (this.order !== null) pool.release(this.order.offset);
    this.order = null;
  }

  #unwatch(): void {
    for (const { missing } of this.#watches) this.#history.cells[HISTORY_CELL.LOST] += missing;
    this.#watches.length = 0;
  }

  /** Gaps of a keypair; null where they are not watched. */
  watchOf(keypair: LaneKeypair): GapWatch | null {
    for (const watch of this.#watches) if (watch.keypair === keypair) return watch;
    return null;
  }

  /** `expected`: the newest counter + 1 before the run. */
  beginRun(keypair: LaneKeypair, expected: number, path: number, isRemade: boolean, nowMs: number): void {
    this.#authentic = 0;
    this.#bytes = 0;
    this.#duplicates = 0;
    this.freshCount = 0;
    this.repaired = 0;
    this.hasNewest = false;
    this.#path = path;
    this.#isRemade = isRemade;
    this.#nowMs = nowMs;
    this.#watch = this.#history.watchesGaps ? (this.watchOf(keypair) ?? this.#begin(keypair, expected)) : null;
  }

  /** The older of the two makes room; a keypair that is older than both is not watched. */
  #begin(keypair: LaneKeypair, expected: number): GapWatch | null {
    const watch = this.#watchToUse();
    if (watch.keypair !== null && watch.keypair.bornMs > keypair.bornMs) return null;
    this.#history.cells[HISTORY_CELL.LOST] += watch.begin(keypair, expected);
    watch.isWhole = this.order !== null;
    return watch;
  }

  #watchToUse(): GapWatch {
    const [one, other] = this.#watches;
    if (one !== undefined && other !== undefined)
      return (other.keypair?.bornMs ?? 0) < (one.keypair?.bornMs ?? 0) ? other : one;
    const added = new GapWatch();
    this.#watches.push(added);
    return added;
  }

  /**
   * Takes an authentic message: what the replay window said of its counter, the newest counter before it + 1, and the length of
   * its plaintext. Returns that verdict, or RX_TOO_LATE.
   */
  take(verdict: 0 | 1 | 2, counter: number, expected: number, length: number): RxOutcome {
    this.#authentic += 1;
    this.#bytes += length + OVERHEAD;
    if (verdict === REPLAY_DUPLICATE) this.#takeDuplicate(counter);
    if (verdict !== REPLAY_NEW) return verdict;
    const outcome = counter >= expected ? this.#takeNewest(counter, expected) : this.#takeLate(counter);
    if (outcome === REPLAY_NEW) this.freshCount += 1;
    else this.#history.cells[HISTORY_CELL.TOO_LATE] += 1;
    return outcome;
  }

  #takeDuplicate(counter: number): void {
    this.#duplicates += 1;
    if (this.#watch !== null && this.#path !== NO_PATH && this.#watch.pathExpected[this.#path] <= counter)
      this.#watch.pathExpected[this.#path] = counter + 1;
  }

  /** Takes `count` new messages whose counters follow from `expected` on, with so many bytes of plaintext: what `take` does for each. */
  takeNext(count: number, bytes: number, expected: number): void {
    this.#authentic += count;
    this.#bytes += bytes + count * OVERHEAD;
    this.freshCount += count;
    this.hasNewest = true;
    this.#history.cells[HISTORY_CELL.EXPECTED] += count;
    if (this.#watch === null) return;
    this.#history.cells[HISTORY_CELL.LOST] += this.#watch.follow(count);
    if (this.#path !== NO_PATH) this.#watch.pathExpected[this.#path] = expected + count;
  }

  #takeNewest(counter: number, expected: number): RxOutcome {
    const { cells } = this.#history;
    this.hasNewest = true;
    cells[HISTORY_CELL.EXPECTED] += counter - expected + 1;
    if (this.#watch !== null) {
      cells[HISTORY_CELL.MISSED] += counter - expected;
      cells[HISTORY_CELL.LOST] += this.#watch.advance(counter, this.#nowMs);
      if (this.#path !== NO_PATH) this.#watch.pathExpected[this.#path] = counter + 1;
    }
    return REPLAY_NEW;
  }

  #takeLate(counter: number): RxOutcome {
    const watch = this.#watch;
    if (watch === null) return REPLAY_NEW;
    if (watch.fill(counter)) {
      this.#countFilled(watch, counter);
      return REPLAY_NEW;
    }
    return counter < watch.floor || this.#history.settings.retransmitMs === 0 ? REPLAY_NEW : RX_TOO_LATE;
  }

  #countFilled(watch: GapWatch, counter: number): void {
    const { cells, paths } = this.#history;
    const missingMs = this.#nowMs - watch.filledSinceMs;
    const askedMs = watch.filledAskedMs;
    const isRepeat = askedMs !== 0 && this.#nowMs - askedMs >= paths.rttMs * REPEAT_RTTS_MIN;
    if (this.#isRemade || isRepeat) {
      cells[this.#isRemade ? HISTORY_CELL.FILLED_PARITY : HISTORY_CELL.FILLED_REPEAT] += 1;
      cells[HISTORY_CELL.REPAIR_MS] += missingMs;
      this.repaired += 1;
      return;
    }
    const overtaken = watch.expected - 1 - counter;
    cells[HISTORY_CELL.FILLED_LATE] += 1;
    cells[HISTORY_CELL.REORDER_MAX] = Math.max(cells[HISTORY_CELL.REORDER_MAX], overtaken);
    const isOwn = this.#path === NO_PATH || this.#countLate(watch, counter);
    this.#asker.noteLate(missingMs, isOwn, this.#nowMs);
  }

  /** Whether others of its own path overtook a counter, which is booked: what a quicker path brought did not. */
  #countLate(watch: GapWatch, counter: number): boolean {
    const path = this.#path;
    const overtaken = watch.pathExpected[path] - 1 - counter;
    if (overtaken < 0) {
      watch.pathExpected[path] = counter + 1;
      return false;
    }
    const { cells } = this.#history;
    const at = this.#history.cellsOf(path);
    cells[at + PATH_CELL.LATE] += 1;
    cells[at + PATH_CELL.REORDER_MAX] = Math.max(cells[at + PATH_CELL.REORDER_MAX], overtaken);
    return true;
  }

  /** Books the run, and plans when to look for what is missing. */
  endRun(): void {
    const { cells } = this.#history;
    const watch = this.#watch;
    this.#asker.earn(this.#bytes);
    if (watch !== null && watch.missing > 0) {
      this.#history.wantReceiveDue(watch.oldestSinceMs + this.#giveUpMs);
      this.#asker.plan(watch, this.#nowMs);
    }
    if (this.#isRemade) {
      cells[HISTORY_CELL.REMADE_REFUSED] += 1 - this.freshCount;
      return;
    }
    cells[HISTORY_CELL.DUPLICATES] += this.#duplicates;
    if (this.#path === NO_PATH || this.#authentic === 0) return;
    const at = this.#history.cellsOf(this.#path);
    cells[at + PATH_CELL.UDP_RX] += this.#authentic;
    cells[at + PATH_CELL.UDP_RX_UNIQ] += this.freshCount;
    cells[at + PATH_CELL.UDP_RX_BYTES] += this.#bytes;
    cells[at + PATH_CELL.LAST_RX_MS] = this.#nowMs;
  }

  /** Whether one more report of gaps, or answer to one, may be taken from the peer: a bounded number each second. */
  admitReport(nowMs: number): boolean {
    if (nowMs - this.#admitSinceMs >= 1_000) {
      this.#admitSinceMs = nowMs;
      this.#admitted = 0;
    }
    this.#admitted += 1;
    return this.#admitted <= REPORTS_PER_SECOND_MAX;
  }

  /**
   * The peer says, in a message of kind 11 at `offset`, what it will not repeat. Nobody asks or waits for that any more; if it
   * comes after all, it is welcome. The message's own batch delivers what waited for it.
   */
  takeGone(view: DataView, offset: number, length: number, nowMs: number): void {
    const ranges = gapsRanges(view, offset, length);
    const watch = ranges === 0 ? null : this.#watchAt(gapsIndex(view, offset));
    if (watch === null) return;
    const order = this.order?.keypair === watch.keypair ? this.order : null;
    for (let range = 0; range < ranges; range += 1) {
      const first = gapFirst(view, offset, range);
      const end = Math.min(first + gapCount(view, offset, range), watch.expected);
      watch.waive(first, end, nowMs);
      order?.passOver(first, end);
    }
    if (order !== null) this.planOrder();
  }

  /** Gaps of the keypair with this receiver index; null where they are not watched. */
  #watchAt(localIndex: number): GapWatch | null {
    for (const watch of this.#watches) if (watch.keypair?.localIndex === localIndex) return watch;
    return null;
  }

  /** Newest data came over `path`: whether to answer there. Only where the path before has been silent for FOLLOW_MS. */
  follows(path: number, nowMs: number): boolean {
    if (path !== this.#followed && nowMs - this.#followedMs < FOLLOW_MS) return false;
    this.#followed = path;
    this.#followedMs = nowMs;
    return true;
  }

  /** Gives up what is missing for too long, asks for the rest, and says when to look again. Not within a run. */
  due(lane: LaneContext): void {
    const nowMs = lane.nowMs();
    this.#history.receiveDueMs = Number.POSITIVE_INFINITY;
    for (const watch of this.#watches) {
      if (watch.missing === 0) continue;
      this.#history.cells[HISTORY_CELL.LOST] += watch.giveUp(nowMs - this.#giveUpMs);
      if (watch.missing === 0) continue;
      this.#history.wantReceiveDue(watch.oldestSinceMs + this.#giveUpMs);
      this.#asker.ask(lane, watch, nowMs);
    }
    if (this.order !== null && this.order.held > 0) this.#expireOrder(this.order, nowMs);
  }

  /** Goes over to a newer keypair, from its first counter or, where order is new itself, from `lowest` on. */
  beginOrder(keypair: LaneKeypair, lowest: number): boolean {
    const { order } = this;
    const watch = this.watchOf(keypair);
    if (order === null || watch === null) return false;
    if (order.keypair !== null && order.keypair.bornMs > keypair.bornMs) return false;
    order.begin(keypair, watch.isWhole ? watch.floor : lowest);
    return true;
  }

  /** Books what waits, and plans when the wait ends. */
  planOrder(): void {
    const { order } = this;
    if (order === null) return;
    const { cells } = this.#history;
    cells[HISTORY_CELL.HELD] += order.heldSince;
    cells[HISTORY_CELL.HELD_EXPIRED] += order.expiredSince;
    order.heldSince = 0;
    order.expiredSince = 0;
    if (order.held > 0) this.#history.wantReceiveDue(order.heldSinceMs + this.#holdMs);
  }

  /** Puts out all that waits. */
  releaseOrder(): void {
    this.order?.releaseAll();
    this.planOrder();
  }

  /** Nobody waits for what was given up, nor for longer than is allowed. */
  #expireOrder(order: InOrder, nowMs: number): void {
    const watch = order.keypair === null ? null : this.watchOf(order.keypair);
    if (watch !== null) order.passTo(Math.min(watch.oldest, watch.expected));
    order.expire(nowMs - this.#holdMs);
    this.planOrder();
  }

  get #holdMs(): number {
    const { holdMs, retransmitMs } = this.#history.settings;
    return holdMs ?? (retransmitMs > 0 ? retransmitMs : HOLD_MS);
  }

  get #giveUpMs(): number {
    const { retransmitMs } = this.#history.settings;
    return retransmitMs > 0 ? retransmitMs : LOST_AFTER_MS;
  }
}
