/**
 * Outbound, messages of a lane's own histories to the peer's: reports of gaps, tails, parity. Their plaintext lies in the
 * arena, mostly in its room for that, and is sealed like any packet; nothing is allocated.
 */
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { SEAL } from '../native/layout.ts';
import { NO_PATH } from '../path/path-types.ts';
import type { LanePeer } from '../tables/peers.ts';
import { type OutboundBatch, RUN } from './batch.ts';
import { canSend } from './control.ts';
import { sealWith, usableKeypair } from './seal.ts';

/**
 * Puts `count` messages of equal length, `stride` bytes from one to the next, into an empty batch; false, and nothing done, without
 * a keypair or an endpoint.
 */
export function sealMessages(
  lane: LaneContext,
  batch: OutboundBatch,
  peer: LanePeer,
  offset: number,
  length: number,
  path: number,
  count: number,
  stride: number,
): boolean {
  const keypair = usableKeypair(lane, peer);
  if (keypair === null || !canSend(peer, path)) return false;
  for (let message = 0; message < count; message += 1) placeMessage(lane, message, offset + message * stride, length);
  batch.segments = count;
  batch.kind = path === NO_PATH ? RUN.MESSAGE : RUN.NAMED;
  batch.namedPath = path;
  if (!sealWith(lane, batch, keypair, 0)) {
    batch.clear();
    return false;
  }
  // Not data: a peer that has nothing to answer owes no answer.
  batch.runData[0] = 0;
  lane.ledger.counts[COUNTER.CONTROL_TX] += count;
  return true;
}

function placeMessage({ arena }: LaneContext, message: number, offset: number, length: number): void {
  const { words, seals } = arena;
  const seal = (seals >> 2) + message * SEAL.WORDS;
  words.fill(0, seal, seal + SEAL.WORDS);
  words[seal + SEAL.HEAD_OFFSET] = offset;
  words[seal + SEAL.HEAD_LENGTH] = length;
  words[seal + SEAL.PAYLOAD_OFFSET] = offset;
  words[seal + SEAL.CHECKSUM_START] = -1;
}
