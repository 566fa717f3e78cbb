/**
 * RX history: which transport counters of a keypair arrived. Authentic messages that are new become `fresh`; duplicates
 * and those behind the replay window (RFC 6479) end here. The keypair's lock is taken once per run.
 *
 * Of a peer with histories it is also noted over which path what came, what is missing, and what came late
 * (`rx-state.ts`); what had been given up is dropped when it comes after all.
 */
import { FRESH, type InboundBatch } from '../inbound/batch.ts';
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { UNSEAL } from '../native/layout.ts';
import { DROP } from '../packet/drop-reason.ts';
import { acceptCounter, acceptNext, REPLAY_DUPLICATE, REPLAY_NEW } from '../protocol/replay-window.ts';
import { NEWEST_RECEIVED, RECEIVED_COUNT } from '../tables/keypair-memory.ts';
import type { LaneKeypair } from '../tables/peers.ts';
import { HISTORY_CELL } from './history-cells.ts';
import type { PeerHistory } from './peer-history.ts';
import { lostBehind } from './window-losses.ts';

/** Marks each message of a batch as fresh or not; it was just unsealed. */
export function recordReceived(lane: LaneContext, batch: InboundBatch): void {
  for (let run = 0; run < batch.runs; run += 1) recordRun(lane, batch, run);
}

function recordRun(lane: LaneContext, batch: InboundBatch, run: number): void {
  const keypair = batch.runKeypairs[run];
  if (keypair === null) return;
  if (keypair.peer.history !== null) {
    recordWatched(lane, batch, run, keypair, keypair.peer.history);
    return;
  }
  const { words, unseals } = lane.arena;
  const { counters, fresh } = batch;
  const { drops, counts } = lane.ledger;
  const { memory } = keypair;
  const first = run === 0 ? 0 : batch.runEnds[run - 1];
  const end = batch.runEnds[run];
  let freshCount = 0;
  memory.lock();
  if (bytesOfNext(lane, batch, first, end, memory.counters[NEWEST_RECEIVED]) >= 0) {
    freshCount = end - first;
    acceptNext(memory.window, memory.counters, NEWEST_RECEIVED, freshCount);
    fresh.fill(FRESH, first, end);
  } else
    for (let message = first; message < end; message += 1) {
      fresh[message] = 0;
      if (words[(unseals >> 2) + message * UNSEAL.WORDS + UNSEAL.RESULT] < 0) continue;
      const verdict = acceptCounter(memory.window, memory.counters, NEWEST_RECEIVED, counters[message]);
      if (verdict === REPLAY_NEW) {
        fresh[message] = FRESH;
        freshCount += 1;
      } else drops[verdict === REPLAY_DUPLICATE ? DROP.IN_REPLAY : DROP.IN_TOO_OLD] += 1;
    }
  memory.counters[RECEIVED_COUNT] += freshCount;
  memory.unlock();
  counts[COUNTER.UDP_RX_UNIQ] += freshCount;
}

/** Bytes of the plaintexts of a run whose messages are all authentic, one behind the other from counter `next` on: the usual case. Else -1. */
function bytesOfNext(
  { arena }: LaneContext,
  { counters }: InboundBatch,
  first: number,
  end: number,
  next: number,
): number {
  const { words } = arena;
  let at = (arena.unseals >> 2) + first * UNSEAL.WORDS + UNSEAL.RESULT;
  let bytes = 0;
  for (let message = first; message < end; message += 1) {
    const length = words[at];
    if (length < 0 || counters[message] !== next + message - first) return -1;
    bytes += length;
    at += UNSEAL.WORDS;
  }
  return bytes;
}

function recordWatched(
  lane: LaneContext,
  batch: InboundBatch,
  run: number,
  keypair: LaneKeypair,
  history: PeerHistory,
): void {
  const { counts } = lane.ledger;
  const { memory } = keypair;
  const { rx } = history;
  const first = run === 0 ? 0 : batch.runEnds[run - 1];
  const end = batch.runEnds[run];
  const path = batch.isRemade ? batch.remadePath : history.pathOf(lane.arena.words, batch.runSources[run] >> 2);
  const before = memory.counters[NEWEST_RECEIVED];
  rx.beginRun(keypair, before, path, batch.isRemade, lane.nowMs());
  memory.lock();
  const next = memory.counters[NEWEST_RECEIVED];
  const bytes = history.watchesGaps ? bytesOfNext(lane, batch, first, end, next) : -1;
  if (bytes >= 0) {
    acceptNext(memory.window, memory.counters, NEWEST_RECEIVED, end - first);
    batch.fresh.fill(FRESH, first, end);
    rx.takeNext(end - first, bytes, next);
    memory.counters[RECEIVED_COUNT] += end - first;
  } else memory.counters[RECEIVED_COUNT] += takeEach(lane, batch, first, end, keypair, history);
  memory.unlock();
  if (rx.order !== null) batch.hasOrdered = true;
  batch.runPaths[run] = path;
  batch.runNewest[run] = rx.hasNewest ? 1 : 0;
  batch.runNext[run] = bytes >= 0 ? 1 : 0;
  counts[COUNTER.UDP_RX_UNIQ] += rx.freshCount;
  counts[COUNTER.REPAIRED_RX] += rx.repaired;
  rx.endRun();
  lane.due.expect(history.receiveDueMs);
}

/** Messages of a run that are not simply those that follow; returns how many the replay window had not seen. The lock is held. */
function takeEach(
  lane: LaneContext,
  batch: InboundBatch,
  first: number,
  end: number,
  { memory }: LaneKeypair,
  history: PeerHistory,
): number {
  const { words, unseals } = lane.arena;
  const { counters, fresh } = batch;
  const { drops } = lane.ledger;
  let newCount = 0;
  for (let message = first; message < end; message += 1) {
    fresh[message] = 0;
    const length = words[(unseals >> 2) + message * UNSEAL.WORDS + UNSEAL.RESULT];
    if (length < 0) continue;
    const expected = memory.counters[NEWEST_RECEIVED];
    if (!history.watchesGaps && counters[message] >= expected)
      history.cells[HISTORY_CELL.LOST] += lostBehind(memory.window, expected, counters[message]);
    const verdict = acceptCounter(memory.window, memory.counters, NEWEST_RECEIVED, counters[message]);
    const outcome = history.rx.take(verdict, counters[message], expected, length);
    if (verdict === REPLAY_NEW) newCount += 1;
    if (outcome === REPLAY_NEW) fresh[message] = FRESH;
    else if (!batch.isRemade) drops[DROP_OF[outcome]] += 1;
  }
  return newCount;
}

/** By outcome: REPLAY_DUPLICATE, REPLAY_TOO_OLD, RX_TOO_LATE. */
const DROP_OF: readonly number[] = [0, DROP.IN_REPLAY, DROP.IN_TOO_OLD, DROP.IN_TOO_LATE];
