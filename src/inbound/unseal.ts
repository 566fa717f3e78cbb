/**
 * Inbound, unseal: the AEAD of a whole batch in one native call, in place. Afterwards RESULT is the length of each
 * plaintext, or -1 where the tag was wrong, which is counted here.
 */
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY } from '../ledger/catalog.ts';
import { DROP } from '../packet/drop-reason.ts';
import type { InboundBatch } from './batch.ts';

export function unsealBatch(lane: LaneContext, batch: InboundBatch): void {
  const good = lane.native.unseal(lane.handle, lane.arena.unseals, batch.messages, ACTIVITY.USER_RX_HISTORY);
  // What was remade and is wrong is no datagram that came.
  if (good === batch.messages || batch.isRemade) return;
  lane.ledger.drops[DROP.IN_BAD_TAG] += batch.messages - good;
  lane.groWatch.note(lane, batch);
}
