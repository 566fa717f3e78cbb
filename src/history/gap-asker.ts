/**
 * When and how a lane asks a peer for what is missing: as soon as it is known to be lost and not late, and again until it comes.
 * Reports get lost as all else does, in bursts too, and on a path on which hardly anything else flows a burst may take
 * many of them. So some reports fall within the time in which a repeat is of use, and the longer nothing comes of
 * them the closer they follow each other. What is more than one report a round trip is a small share of what came from the peer.
 */
import type { LaneContext } from '../lane-context.ts';
import { NO_PATH } from '../path/path-types.ts';
import { TAG_LENGTH, TRANSPORT_HEADER_LENGTH } from '../protocol/constants.ts';
import { GAPS_RANGES_MAX, gapsLength } from '../protocol/gaps-message.ts';
import { ByteBudget } from './byte-budget.ts';
import type { AskRules, GapWatch } from './gap-watch.ts';
import { HISTORY_CELL, PATH_CELL, pathCells } from './history-cells.ts';
import type { PeerHistory } from './peer-history.ts';
import { REORDER_WAIT_MIN_MS, ReorderWait } from './reorder-wait.ts';

/** From one report to the next, at least, ms. */
const REPORT_INTERVAL_MS = 2;
/** A missing counter is asked for again after so many RTTs, and not sooner than this, ms. */
const ASK_AGAIN_RTTS = 1.2;
const ASK_AGAIN_MIN_MS = 10;
/** While no RTT is known, ms. */
const ASK_AGAIN_UNKNOWN_MS = 30;
/** Reports that fall within the time in which a repeat is of use, at least. */
const ASKS_MIN = 6;
const OVERHEAD = TRANSPORT_HEADER_LENGTH + TAG_LENGTH;
/** Reports that come sooner than after a round trip: a share of the bytes that came, and what may be saved up, bytes. */
const PRESS_SHARE = 1 / 64;
const PRESS_BYTES_MAX = 16_384;
/** With less in hand, which is the longest report, none does. */
const PRESS_BYTES_LEAST: number = gapsLength(GAPS_RANGES_MAX) + OVERHEAD;
/** A path over which nothing has come for so long brings nothing, ms. */
const CARRIES_MS = 1_000;

/** Rules of one look, reused from each to the next. */
type Rules = { -readonly [Name in keyof AskRules]: AskRules[Name] };

export class GapAsker {
  readonly #history: PeerHistory;
  /** Of what came late at all, and of what came late on its own path. */
  readonly #wait: ReorderWait = new ReorderWait();
  readonly #ownWait: ReorderWait = new ReorderWait();
  readonly #press: ByteBudget = new ByteBudget(PRESS_SHARE, PRESS_BYTES_MAX);
  readonly #rules: Rules = { allowanceMs: 0, passedMs: 0, passedBelow: 0, isOrderly: true, askAgainMs: 0 };
  #reportFromMs = 0;

  constructor(history: PeerHistory) {
    this.#history = history;
  }

  /** Whether the peer is asked for what is missing. */
  get isOn(): boolean {
    return this.#history.settings.retransmitMs > 0 && this.#history.paths.knows.gaps;
  }

  /** Authentic bytes came from the peer. */
  earn(bytes: number): void {
    this.#press.earn(bytes);
  }

  /** A counter came by itself, `lateMs` after a newer one; `isOwn`: after a newer one of its own path, as far as is known. */
  noteLate(lateMs: number, isOwn: boolean, nowMs: number): void {
    this.#wait.note(lateMs, nowMs);
    if (isOwn) this.#ownWait.note(lateMs, nowMs);
  }

  /** Plans when to ask for gaps that a run left: for those not asked for at once, if newer ones prove that they are lost. */
  plan(watch: GapWatch, nowMs: number): void {
    if (!this.isOn || watch.unasked === 0) return;
    this.#setAllowance(watch, nowMs);
    const { allowanceMs, passedMs, passedBelow, isOrderly } = this.#rules;
    const isPassed = watch.oldest < passedBelow;
    const isProven = isPassed && isOrderly && watch.provesLoss;
    const askMs = isProven ? nowMs : nowMs + (isPassed ? passedMs : allowanceMs);
    this.#history.wantReceiveDue(Math.max(askMs, this.#reportFromMs));
  }

  /** Asks for what is to be asked for now, and plans the next time. */
  ask(lane: LaneContext, watch: GapWatch, nowMs: number): void {
    if (!this.isOn) return;
    this.#setAllowance(watch, nowMs);
    const roundMs = this.#roundMs;
    this.#rules.askAgainMs = this.#paceMs(watch, roundMs, nowMs);
    if (nowMs >= this.#reportFromMs && watch.keypair !== null && lane.sender !== null) {
      const { view, controlOut } = lane.arena;
      const length = watch.report(view, controlOut, watch.keypair.localIndex, nowMs, this.#rules);
      if (length > 0) {
        this.#reportFromMs = nowMs + REPORT_INTERVAL_MS;
        if (this.#rules.askAgainMs < roundMs) this.#press.spend(length + OVERHEAD);
        const isSent = lane.sender.sendMessage(this.#history.peer, controlOut, length, NO_PATH);
        this.#history.cells[HISTORY_CELL.GAPS_TX] += isSent ? 1 : 0;
      }
    }
    const dueMs = Math.min(watch.dueMs(this.#rules), this.#fasterMs(watch, roundMs, nowMs));
    this.#history.wantReceiveDue(Math.max(dueMs, this.#reportFromMs));
  }

  /** In which an answer should have come, ms. */
  get #roundMs(): number {
    const { rttMs } = this.#history.paths;
    return Math.max(rttMs > 0 ? rttMs * ASK_AGAIN_RTTS : ASK_AGAIN_UNKNOWN_MS, ASK_AGAIN_MIN_MS);
  }

  /** From one ask to the next, ms: a quarter of that with each round in which nothing came that was asked for. */
  #paceMs(watch: GapWatch, roundMs: number, nowMs: number): number {
    if (this.#press.bytes < PRESS_BYTES_LEAST) return roundMs;
    const { settings, paths } = this.#history;
    const usefulMs = settings.retransmitMs - paths.rttMs;
    const paceMs = usefulMs > 0 ? Math.min(roundMs, usefulMs / ASKS_MIN) : roundMs;
    return Math.max(REPORT_INTERVAL_MS, paceMs / 4 ** roundsOf(watch, roundMs, nowMs));
  }

  /** When the pace quickens, if nothing comes before, ms; Infinity while nothing is awaited. */
  #fasterMs(watch: GapWatch, roundMs: number, nowMs: number): number {
    const isPressing = this.#rules.askAgainMs < roundMs || this.#press.bytes >= PRESS_BYTES_LEAST;
    if (watch.unansweredSinceMs === 0 || !isPressing || this.#rules.askAgainMs === REPORT_INTERVAL_MS)
      return Number.POSITIVE_INFINITY;
    // Not now: what is due now was looked at.
    return Math.max(nowMs + 1, watch.unansweredSinceMs + (roundsOf(watch, roundMs, nowMs) + 1) * roundMs);
  }

  #setAllowance(watch: GapWatch, nowMs: number): void {
    const mostMs = this.#history.settings.retransmitMs / 2;
    const parityMs = this.#parityMs(nowMs);
    this.#rules.allowanceMs = Math.max(this.#wait.ms(nowMs, mostMs), parityMs);
    this.#rules.passedMs = Math.max(this.#ownWait.ms(nowMs, mostMs), parityMs);
    this.#rules.passedBelow = this.#passedBelow(watch, nowMs);
    this.#rules.isOrderly = this.#rules.passedMs <= REORDER_WAIT_MIN_MS;
  }

  /**
   * Each path keeps its own order, by and large: what is missing below the newest counter of each that brings something is lost. What
   * is above it for one of them may be on its way there.
   */
  #passedBelow(watch: GapWatch, nowMs: number): number {
    const { paths, cells } = this.#history;
    let below = Number.POSITIVE_INFINITY;
    if (paths.paths.length < 2) return below;
    for (const { path } of paths.paths)
      if (nowMs - cells[pathCells(path) + PATH_CELL.LAST_RX_MS] < CARRIES_MS)
        below = Math.min(below, watch.pathExpected[path]);
    return below;
  }

  /** How long parity may take that makes a repeat needless, ms. */
  #parityMs(nowMs: number): number {
    const { parityReceiver, settings } = this.#history;
    const isExpecting = parityReceiver?.isExpecting(nowMs) ?? false;
    return isExpecting ? Math.min(settings.fec.delayMs, settings.retransmitMs / 2) : 0;
  }
}

/** Rounds in which nothing came of what was asked for. */
function roundsOf({ unansweredSinceMs }: GapWatch, roundMs: number, nowMs: number): number {
  return unansweredSinceMs === 0 ? 0 : Math.floor((nowMs - unansweredSinceMs) / roundMs);
}
