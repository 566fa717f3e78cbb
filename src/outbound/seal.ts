/**
 * Outbound, seal: segments become datagrams. The batch's new segments, all for one peer (a run), get consecutive
 * transport counters, the transport header (paper 5.4.6: type, receiver index, counter), their padding and their place
 * behind the last datagram; equal lengths to one endpoint, with one traffic class, are noted as a group. The AEAD itself
 * is one native call for the whole batch.
 *
 * Without a usable keypair the run is staged and a handshake asked for.
 */

import { WEIGHTED_GROUP_DATAGRAMS } from '../history/path-choice.ts';
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { SEAL } from '../native/layout.ts';
import { DROP } from '../packet/drop-reason.ts';
import {
  MESSAGE_TRANSPORT,
  REJECT_AFTER_MESSAGES,
  REKEY_AFTER_MESSAGES,
  TAG_LENGTH,
  TRANSPORT_HEADER_LENGTH,
} from '../protocol/constants.ts';
import { paddedLength } from '../protocol/padding.ts';
import type { LaneKeypair, LanePeer } from '../tables/peers.ts';
import { type OutboundBatch, RUN } from './batch.ts';
import { appendDatagram, closeGroup } from './group.ts';
import { beginRun } from './keep.ts';
import type { StagedPackets } from './stage.ts';

/** Segments [first, batch.segments) are for `peer`: turns them into datagrams, stages or drops them. */
export function sealRun(
  lane: LaneContext,
  batch: OutboundBatch,
  staged: StagedPackets,
  peer: LanePeer,
  first: number,
): void {
  const keypair = usableKeypair(lane, peer);
  if (keypair === null) {
    staged.add(peer, batch, first);
    batch.segments = first;
    lane.wantHandshake(peer);
  } else if (!hasEndpoint(peer)) dropRun(lane, batch, first, DROP.OUT_NO_ENDPOINT);
  else sealWith(lane, batch, keypair, first);
}

/** An empty transport message; false if there is no keypair or endpoint to send it with. */
export function sealKeepalive(lane: LaneContext, batch: OutboundBatch, peer: LanePeer): boolean {
  const keypair = usableKeypair(lane, peer);
  if (keypair === null || !hasEndpoint(peer)) return false;
  const { words, seals, segmentHeaders } = lane.arena;
  const first = batch.segments;
  const seal = (seals >> 2) + first * SEAL.WORDS;
  words.fill(0, seal, seal + SEAL.WORDS);
  words[seal + SEAL.HEAD_OFFSET] = segmentHeaders;
  words[seal + SEAL.PAYLOAD_OFFSET] = segmentHeaders;
  words[seal + SEAL.CHECKSUM_START] = -1;
  batch.segments += 1;
  batch.kind = RUN.KEEPALIVE;
  const isSealed = sealWith(lane, batch, keypair, first);
  batch.kind = RUN.DATA;
  if (!isSealed) return false;
  batch.runData[batch.runs - 1] = 0;
  lane.ledger.counts[COUNTER.KEEPALIVE_TX] += 1;
  return true;
}

/** The keypair to send to a peer with, or null; asks for its renewal when that is due. */
export function usableKeypair(lane: LaneContext, peer: LanePeer): LaneKeypair | null {
  const keypair = peer.current;
  if (keypair === null) return null;
  const ageMs = lane.nowMs() - keypair.bornMs;
  if (ageMs >= lane.timing.REJECT_AFTER_TIME_MS) return null;
  if (keypair.initiator && ageMs >= lane.timing.REKEY_AFTER_TIME_MS) lane.wantHandshake(peer);
  return keypair;
}

/** Whether there is an address to send to. */
export function hasEndpoint({ endpoint, history }: LanePeer): boolean {
  return endpoint[0] !== 0 || (history?.hasPath ?? false);
}

function dropRun(lane: LaneContext, batch: OutboundBatch, first: number, reason: number): void {
  lane.ledger.drops[reason] += batch.segments - first;
  batch.segments = first;
}

/** Segments [first, batch.segments) become datagrams of this keypair. False when it has no counters left: the run is dropped. */
export function sealWith(lane: LaneContext, batch: OutboundBatch, keypair: LaneKeypair, first: number): boolean {
  const count = batch.segments - first;
  const counter = keypair.memory.reserve(count);
  if (counter + count > REKEY_AFTER_MESSAGES) lane.wantHandshake(keypair.peer);
  if (counter + count > REJECT_AFTER_MESSAGES) {
    dropRun(lane, batch, first, DROP.OUT_COUNTER_LIMIT);
    return false;
  }
  const bytes = placeDatagrams(lane, batch, keypair, first, counter);
  batch.outBytes += bytes;
  batch.runPeers[batch.runs] = keypair.peer;
  batch.runDatagrams[batch.runs] = count;
  batch.runBytes[batch.runs] = bytes;
  batch.runData[batch.runs] = 1;
  batch.runs += 1;
  return true;
}

/** Most datagrams in one group to a peer, by what the kernel, the path and the configuration allow. */
export function groupDatagramsMax(lane: LaneContext, peer: LanePeer): number {
  const most = wholeGroupMax(lane, peer);
  return peer.history?.choice.isWeighted ? Math.min(most, WEIGHTED_GROUP_DATAGRAMS) : most;
}

/** The same for what takes one path as a whole, whatever the mode: a probe of groups is to find out about such groups. */
function wholeGroupMax(lane: LaneContext, peer: LanePeer): number {
  if (Math.max(peer.gsoOffUntilMs, lane.gsoOffUntilMs) > lane.nowMs()) return 1;
  return Math.min(lane.limits.gsoDatagramsMax, peer.groupDatagramsMax);
}

/** Writes transport headers and the rest of the SEAL descriptors; returns the bytes of all datagrams. */
function placeDatagrams(
  lane: LaneContext,
  batch: OutboundBatch,
  keypair: LaneKeypair,
  first: number,
  firstCounter: number,
): number {
  const { words, view, seals } = lane.arena;
  const { peer, remoteIndex, sendKeySlot } = keypair;
  const { mtu } = lane.limits;
  const datagramsMax = batch.kind === RUN.NAMED ? wholeGroupMax(lane, peer) : groupDatagramsMax(lane, peer);
  if (peer.history !== null || batch.hasHistory) beginRun(lane, batch, peer, first);
  if (batch.groupPeer !== peer || batch.groupTrafficClass !== batch.trafficClass) closeGroup(lane, batch);
  const start = batch.outEnd;
  let seal = (seals >> 2) + first * SEAL.WORDS;
  batch.groupTrafficClass = batch.trafficClass;
  for (let segment = first; segment < batch.segments; segment += 1) {
    const counter = firstCounter + (segment - first);
    const low = counter | 0;
    const high = (counter / 4_294_967_296) | 0;
    const padded = paddedLength(words[seal + SEAL.HEAD_LENGTH] + words[seal + SEAL.PAYLOAD_LENGTH], mtu);
    const datagram = batch.outEnd;
    view.setInt32(datagram, MESSAGE_TRANSPORT, true);
    view.setInt32(datagram + 4, remoteIndex, true);
    view.setInt32(datagram + 8, low, true);
    view.setInt32(datagram + 12, high, true);
    words[seal + SEAL.KEY_SLOT] = sendKeySlot;
    words[seal + SEAL.NONCE_LOW] = low;
    words[seal + SEAL.NONCE_HIGH] = high;
    words[seal + SEAL.PADDED_LENGTH] = padded;
    words[seal + SEAL.OUT_OFFSET] = datagram + TRANSPORT_HEADER_LENGTH;
    appendDatagram(lane, batch, peer, TRANSPORT_HEADER_LENGTH + padded + TAG_LENGTH, datagramsMax);
    seal += SEAL.WORDS;
  }
  batch.ring?.commit(batch.outEnd);
  return batch.outEnd - start;
}
