/**
 * Outbound, copies that waited: groups of a peer's ring go out once more when their delay is over, as the groups that they
 * were, over the path that first sendings take by now.
 */
import { HISTORY_CELL } from '../history/history-cells.ts';
import type { PeerHistory } from '../history/peer-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY } from '../ledger/catalog.ts';
import type { AgainColumn } from './again.ts';

/** Sends the copies that are due. */
export function sendDelayed(lane: LaneContext, column: AgainColumn, history: PeerHistory, nowMs: number): void {
  const { delayed } = history;
  if (delayed === null || delayed.dueMs > nowMs) return;
  lane.native.book(lane.handle, ACTIVITY.USER_TX_HISTORY);
  while (delayed.dueMs <= nowMs) sendGroup(column, history, nowMs);
  column.send(ACTIVITY.USER_CONTROL);
  lane.native.book(lane.handle, ACTIVITY.USER_CONTROL);
}

/** Takes the first group of the queue, sends it, and queues it once more where it is to be copied again. */
function sendGroup(column: AgainColumn, history: PeerHistory, nowMs: number): void {
  const { ring, delayed, choice } = history;
  if (delayed === null) return;
  const place = delayed.take();
  const length = delayed.lengths[place];
  const datagrams = delayed.datagrams[place];
  const offset = ring === null ? -1 : ring.offsetOf(delayed.positions[place]);
  if (offset === -1) {
    ring?.want();
    history.cells[HISTORY_CELL.COPIES_HELD] += datagrams * delayed.left[place];
    return;
  }
  const path = choice.take(length, nowMs);
  const { segmentLengths, trafficClasses } = delayed;
  column.addGroup(
    history.peer,
    offset,
    length,
    segmentLengths[place],
    datagrams,
    trafficClasses[place],
    path,
    ACTIVITY.USER_TX_HISTORY,
  );
  if (delayed.left[place] > 1) queueAgain(history, place, nowMs);
}

/** The place that was taken is the last one that a new group takes, so its columns are there to copy. */
function queueAgain({ delayed, copies }: PeerHistory, from: number, nowMs: number): void {
  const to = delayed?.put(nowMs + copies.delayMs) ?? -1;
  if (delayed === null || to === -1) return;
  delayed.positions[to] = delayed.positions[from];
  delayed.lengths[to] = delayed.lengths[from];
  delayed.segmentLengths[to] = delayed.segmentLengths[from];
  delayed.datagrams[to] = delayed.datagrams[from];
  delayed.trafficClasses[to] = delayed.trafficClasses[from];
  delayed.left[to] = delayed.left[from] - 1;
}
