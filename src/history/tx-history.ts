/**
 * TX history: what was sealed for whom. It books each run of datagrams to its peer: bytes, and the times that the
 * peer's timers go by (paper 6.1 - 6.5). Runs, not packets, are the unit here.
 */
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import type { OutboundBatch } from '../outbound/batch.ts';
import { PEER_CELL } from '../tables/peers.ts';

const { UDP_TX_UNIQ } = COUNTER;

/** Books the runs of a batch that was just sealed. */
export function recordSent(lane: LaneContext, batch: OutboundBatch): void {
  const nowMs = lane.nowMs();
  const { counts } = lane.ledger;
  for (let run = 0; run < batch.runs; run += 1) {
    const peer = batch.runPeers[run];
    if (peer === null) continue;
    const cells = peer.cells;
    counts[UDP_TX_UNIQ] += batch.runDatagrams[run];
    cells[peer.sentBytesCell] += batch.runBytes[run];
    cells[PEER_CELL.LAST_SENT_MS] = nowMs;
    cells[PEER_CELL.OWED_SINCE_MS] = 0;
    if (batch.runData[run] === 1 && cells[PEER_CELL.UNANSWERED_SINCE_MS] === 0)
      cells[PEER_CELL.UNANSWERED_SINCE_MS] = nowMs;
    lane.watch(peer);
  }
}
