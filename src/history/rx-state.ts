/**
 * What a lane knows of the counters that one peer sent it: the gaps of its two latest keypairs, what came over which path, and
 * when to ask for what is missing. Runs are taken one at a time: `beginRun`, `take` for each new message, `endRun`; `due` when
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
import { GapWatch } from './gap-watch.ts';
import { HISTORY_CELL, PATH_CELL } from './history-cells.ts';
import { InOrder } from './in-order.ts';
import type { PeerHistory } from './peer-history.ts';
import { REORDER_WAIT_MIN_MS, ReorderWait } from './reorder-wait.ts';
import { type HistorySettings, HOLD_BYTES } from './settings.ts';

/** What becomes of an authentic message beside the verdicts of the replay window: it was new, but had been given up. */
export const RX_TOO_LATE = 3;
export type RxOutcome = typeof REPLAY_NEW | typeof REPLAY_DUPLICATE | typeof REPLAY_TOO_OLD | typeof RX_TOO_LATE;

/** From one report of a keypair's gaps to the next, at least, ms. */
const REPORT_INTERVAL_MS = 2;
/** A missing counter is asked for again after so many RTTs, and not sooner than this, ms. */
const ASK_AGAIN_RTTS = 1.2;
const ASK_AGAIN_MIN_MS = 10;
/** While no RTT is known, ms. */
const ASK_AGAIN_UNKNOWN_MS = 30;
/** What comes sooner than this share of the RTT after it was asked for was on its way already. */
const REPEAT_RTTS_MIN = 0.75;
/** Where nothing is asked for, what is missing for so long counts as lost, ms. */
const LOST_AFTER_MS = 1_000;
/** Reports of gaps, and answers to ours, that are taken from a peer in a second: those of two keypairs, REPORT_INTERVAL_MS apart. */
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
  readonly #watches: readonly [GapWatch, GapWatch] = [new GapWatch(), new GapWatch()];
  /** Null where packets are delivered as they come. */
  order: InOrder | null = null;
  readonly #wait: ReorderWait = new ReorderWait();
  /** Reused from one look to the next. */
  readonly #rules = { allowanceMs: 0, isOrderly: true, askAgainMs: 0 };
  #reportFromMs = 0;
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
  }

  /** Takes over what configuration says; the hold comes from the pool. Without room there is no order. All that waited went before. */
  setSettings({ inOrder }: HistorySettings, pool: RegionPool): void {
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

  /** Gaps of a keypair; null where they are not watched. */
  watchOf(keypair: LaneKeypair): GapWatch | null {
    const [one, other] = this.#watches;
    return one.keypair === keypair ? one : other.keypair === keypair ? other : null;
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
    this.#watch = this.#history.isAlone ? (this.watchOf(keypair) ?? this.#begin(keypair, expected)) : null;
  }

  /** The older of the two makes room; a keypair that is older than both is not watched. */
  #begin(keypair: LaneKeypair, expected: number): GapWatch | null {
    const [one, other] = this.#watches;
    const isOther = one.keypair !== null && (other.keypair === null || other.keypair.bornMs < one.keypair.bornMs);
    const watch = isOther ? other : one;
    if (watch.keypair !== null && watch.keypair.bornMs > keypair.bornMs) return null;
    this.#history.cells[HISTORY_CELL.LOST] += watch.begin(keypair, expected);
    watch.isWhole = this.order !== null;
    return watch;
  }

  /**
   * Takes an authentic message: what the replay window said of its counter, the newest counter before it + 1, and the length of
   * its plaintext. Returns that verdict, or RX_TOO_LATE.
   */
  take(verdict: 0 | 1 | 2, counter: number, expected: number, length: number): RxOutcome {
    this.#authentic += 1;
    this.#bytes += length + OVERHEAD;
    if (verdict === REPLAY_DUPLICATE) this.#duplicates += 1;
    if (verdict !== REPLAY_NEW) return verdict;
    const outcome = counter >= expected ? this.#takeNewest(counter, expected) : this.#takeLate(counter);
    if (outcome === REPLAY_NEW) this.freshCount += 1;
    else this.#history.cells[HISTORY_CELL.TOO_LATE] += 1;
    return outcome;
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
    this.#wait.note(missingMs, this.#nowMs);
    if (this.#path !== NO_PATH) this.#countLate(watch, counter);
  }

  /** A counter that others of its own path overtook: what a quicker path brought is none. */
  #countLate(watch: GapWatch, counter: number): void {
    const path = this.#path;
    const overtaken = watch.pathExpected[path] - 1 - counter;
    if (overtaken < 0) watch.pathExpected[path] = counter + 1;
    else {
      const { cells } = this.#history;
      const at = this.#history.cellsOf(path);
      cells[at + PATH_CELL.LATE] += 1;
      cells[at + PATH_CELL.REORDER_MAX] = Math.max(cells[at + PATH_CELL.REORDER_MAX], overtaken);
    }
  }

  /** Books the run, and plans when to look for what is missing. */
  endRun(): void {
    const { cells } = this.#history;
    const watch = this.#watch;
    if (watch !== null && watch.missing > 0) this.#plan(watch);
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
   * The peer says, in a message of kind 11 at `offset`, what it will not repeat. Nobody waits for that any more; if it comes
   * after all, it is welcome. The message's own batch delivers what waited for it.
   */
  takeGone(view: DataView, offset: number, length: number): void {
    const { order } = this;
    const keypair = order?.keypair ?? null;
    const watch = keypair === null ? null : this.watchOf(keypair);
    const ranges = gapsRanges(view, offset, length);
    if (order === null || watch === null || ranges === 0 || keypair?.localIndex !== gapsIndex(view, offset)) return;
    for (let range = 0; range < ranges; range += 1) {
      const first = gapFirst(view, offset, range);
      order.passOver(first, Math.min(first + gapCount(view, offset, range), watch.expected));
    }
    this.planOrder();
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
      if (this.#asks) this.#ask(lane, watch, nowMs);
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

  #ask(lane: LaneContext, watch: GapWatch, nowMs: number): void {
    this.#setRules(nowMs);
    if (nowMs >= this.#reportFromMs && watch.keypair !== null && lane.sender !== null) {
      const { view, controlOut } = lane.arena;
      const length = watch.report(view, controlOut, watch.keypair.localIndex, nowMs, this.#rules);
      if (length > 0) {
        this.#reportFromMs = nowMs + REPORT_INTERVAL_MS;
        const isSent = lane.sender.sendMessage(this.#history.peer, controlOut, length, NO_PATH);
        this.#history.cells[HISTORY_CELL.GAPS_TX] += isSent ? 1 : 0;
      }
    }
    this.#history.wantReceiveDue(Math.max(watch.dueMs(this.#rules), this.#reportFromMs));
  }

  /** When to look at gaps that a run left: for those not asked for at once, if newer ones prove that they are lost. */
  #plan(watch: GapWatch): void {
    this.#history.wantReceiveDue(watch.oldestSinceMs + this.#giveUpMs);
    if (!this.#asks || watch.unasked === 0) return;
    this.#setRules(this.#nowMs);
    const isProven = this.#rules.isOrderly && watch.provesLoss;
    const askMs = isProven ? this.#nowMs : this.#nowMs + this.#rules.allowanceMs;
    this.#history.wantReceiveDue(Math.max(askMs, this.#reportFromMs));
  }

  #setRules(nowMs: number): void {
    const { settings, paths } = this.#history;
    const again = paths.rttMs > 0 ? paths.rttMs * ASK_AGAIN_RTTS : ASK_AGAIN_UNKNOWN_MS;
    const waitMs = this.#wait.ms(nowMs, settings.retransmitMs / 2);
    this.#rules.allowanceMs = Math.max(waitMs, this.#parityMs(nowMs));
    this.#rules.isOrderly = this.#rules.allowanceMs <= REORDER_WAIT_MIN_MS;
    this.#rules.askAgainMs = Math.max(again, ASK_AGAIN_MIN_MS);
  }

  /** How long parity may take that makes a repeat needless, ms. */
  #parityMs(nowMs: number): number {
    const { parityReceiver, settings } = this.#history;
    const isExpecting = parityReceiver?.isExpecting(nowMs) ?? false;
    return isExpecting ? Math.min(settings.fec.delayMs, settings.retransmitMs / 2) : 0;
  }

  /** Whether the peer is asked for what is missing. */
  get #asks(): boolean {
    return this.#history.settings.retransmitMs > 0 && this.#history.paths.knows.gaps;
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
