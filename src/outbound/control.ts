/**
 * Outbound, control messages to another gigatun: their plaintexts come from the control lane, and each list of them leaves
 * as one datagram group, whatever groups the peer gets otherwise, for it may be a probe. A cold path: between two turns,
 * the memory of TUN reads is free to hold them.
 */
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { ENDPOINT, SEAL } from '../native/layout.ts';
import { LIMIT } from '../packet/arena.ts';
import { NO_PATH, PATHS_MAX } from '../path/path-types.ts';
import type { LanePeer } from '../tables/peers.ts';
import { type OutboundBatch, RUN } from './batch.ts';
import { hasEndpoint, sealWith, usableKeypair } from './seal.ts';

/**
 * Puts a group into an empty batch; false, and nothing done, without keypair or endpoint or for a group that is too large.
 *
 * @param path of the peer; NO_PATH: as data goes
 */
export function sealControl(
  lane: LaneContext,
  batch: OutboundBatch,
  peer: LanePeer,
  group: readonly Uint8Array[],
  path: number = NO_PATH,
): boolean {
  const keypair = usableKeypair(lane, peer);
  const bytes = group.reduce((sum, { length }) => sum + length, 0);
  const isTooLarge = group.length > LIMIT.SEALS || bytes > LIMIT.TUN_READ_BYTES;
  if (keypair === null || !canSend(peer, path) || group.length === 0 || isTooLarge) return false;
  const { groupDatagramsMax, groupShortTail } = peer;
  peer.groupDatagramsMax = group.length;
  peer.groupShortTail = true;
  placeMessages(lane, batch, group);
  batch.kind = RUN.NAMED;
  batch.namedPath = path === NO_PATH ? (peer.history?.choice.first ?? NO_PATH) : path;
  const sealed = sealWith(lane, batch, keypair, 0);
  peer.groupDatagramsMax = groupDatagramsMax;
  peer.groupShortTail = groupShortTail;
  if (!sealed) {
    batch.clear();
    return false;
  }
  // Not data: a peer that has nothing to answer owes no answer.
  batch.runData[batch.runs - 1] = 0;
  lane.ledger.counts[COUNTER.CONTROL_TX] += group.length;
  return true;
}

/** Whether there is an address to send to over the path. */
export function canSend(peer: LanePeer, path: number): boolean {
  if (path === NO_PATH) return hasEndpoint(peer);
  const { history } = peer;
  return history !== null && path >= 0 && path < PATHS_MAX && history.endpoints[path * ENDPOINT.WORDS] !== 0;
}

function placeMessages(lane: LaneContext, batch: OutboundBatch, group: readonly Uint8Array[]): void {
  const { bytes, words, seals, tunIn } = lane.arena;
  let offset = tunIn;
  for (const message of group) {
    const seal = (seals >> 2) + batch.segments * SEAL.WORDS;
    bytes.set(message, offset);
    words.fill(0, seal, seal + SEAL.WORDS);
    words[seal + SEAL.HEAD_OFFSET] = offset;
    words[seal + SEAL.HEAD_LENGTH] = message.length;
    words[seal + SEAL.PAYLOAD_OFFSET] = offset;
    words[seal + SEAL.CHECKSUM_START] = -1;
    batch.segments += 1;
    offset += message.length;
  }
}
