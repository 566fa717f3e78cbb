/**
 * The stage of in-order delivery, between the RX history and verify, for the runs of peers that ask for it: packets that wait
 * for their turn go to the hold or to the list of what may be delivered, and are marked so that verify counts them only.
 */
import { FRESH, type InboundBatch, ORDERED } from '../inbound/batch.ts';
import type { LaneContext } from '../lane-context.ts';
import { UDP_RECEIVE, UNSEAL } from '../native/layout.ts';
import type { LaneKeypair } from '../tables/peers.ts';
import { type InOrder, waitsForTurn } from './in-order.ts';
import type { PeerHistory } from './peer-history.ts';

/** Orders what of a batch is fresh. */
export function orderReceived(lane: LaneContext, batch: InboundBatch): void {
  for (let run = 0; run < batch.runs; run += 1) {
    const keypair = batch.runKeypairs[run];
    const history = keypair?.peer.history ?? null;
    if (keypair === null || history === null || history.rx.order === null) continue;
    const { order } = history.rx;
    const first = run === 0 ? 0 : batch.runEnds[run - 1];
    const isInOrder = keypair === order.keypair || begins(batch, first, batch.runEnds[run], history, keypair);
    if (isInOrder) orderRun(lane, batch, run, first, history, order);
  }
}

function orderRun(
  lane: LaneContext,
  batch: InboundBatch,
  run: number,
  first: number,
  history: PeerHistory,
  order: InOrder,
): void {
  const { bytes, words, unseals, view } = lane.arena;
  const { counters, fresh } = batch;
  const end = batch.runEnds[run];
  const isNext = batch.runNext[run] === 1 && counters[first] === order.next;
  if (isNext && order.outCount === 0 && order.held === 0) {
    order.passRun(end - first);
    return;
  }
  const isTcpOnly = history.settings.inOrder === 'tcp';
  const trafficClass = words[(batch.runSources[run] >> 2) + UDP_RECEIVE.TRAFFIC_CLASS - UDP_RECEIVE.ENDPOINT];
  const nowMs = lane.nowMs();
  for (let message = first; message < end; message += 1) {
    if (fresh[message] === 0) continue;
    const unseal = (unseals >> 2) + message * UNSEAL.WORDS;
    const offset = words[unseal + UNSEAL.OFFSET];
    const length = words[unseal + UNSEAL.RESULT];
    if (waitsForTurn(view, offset, length, isTcpOnly)) {
      fresh[message] = ORDERED;
      order.take(bytes, counters[message], offset, length, words[unseal + UNSEAL.SUM], trafficClass, nowMs);
    } else order.pass(counters[message]);
  }
  history.rx.planOrder();
}

/** Goes over to this keypair, unless it is older; then its packets are delivered as they come. */
function begins(batch: InboundBatch, first: number, end: number, history: PeerHistory, keypair: LaneKeypair): boolean {
  let lowest = Number.POSITIVE_INFINITY;
  for (let message = first; message < end; message += 1)
    if (batch.fresh[message] === FRESH) lowest = Math.min(lowest, batch.counters[message]);
  return lowest < Number.POSITIVE_INFINITY && history.rx.beginOrder(keypair, lowest);
}
