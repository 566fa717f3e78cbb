/**
 * Outbound, groups: datagrams that lie one behind the other and go to one endpoint with one traffic class, equal in length but for
 * a shorter last one, are one UDP_SEND descriptor. Where the peer has paths the group takes one here, when it is complete.
 */
import type { PeerHistory } from '../history/peer-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { ENDPOINT, UDP_SEND } from '../native/layout.ts';
import { GROUP_BYTES_MAX } from '../offloads/group-shapes.ts';
import { NO_PATH } from '../path/path-types.ts';
import type { LanePeer } from '../tables/peers.ts';
import { type OutboundBatch, RUN, SEND_MARK } from './batch.ts';

/** Puts the datagram of `length` bytes at `outEnd` into the open group of `peer`, or closes that and opens another. */
export function appendDatagram(
  lane: LaneContext,
  batch: OutboundBatch,
  peer: LanePeer,
  length: number,
  datagramsMax: number,
): void {
  if (batch.groupDatagrams > 0) {
    const groupLength = batch.outEnd - batch.groupStart;
    const fits = batch.groupDatagrams < datagramsMax && groupLength + length <= GROUP_BYTES_MAX;
    const differs = length > batch.groupSegmentLength || (length < batch.groupSegmentLength && !peer.groupShortTail);
    if (!fits || differs) closeGroup(lane, batch);
  }
  if (batch.groupDatagrams === 0) {
    batch.groupPeer = peer;
    batch.groupStart = batch.outEnd;
    batch.groupSegmentLength = length;
  }
  batch.groupDatagrams += 1;
  batch.outEnd += length;
  // Only the last datagram of a group may be shorter.
  if (length < batch.groupSegmentLength) closeGroup(lane, batch);
}

/** Makes the open group, if any, a UDP_SEND descriptor. */
export function closeGroup(lane: LaneContext, batch: OutboundBatch): void {
  const peer = batch.groupPeer;
  if (peer === null || batch.groupDatagrams === 0) return;
  const { words, sends, sendEndpoints } = lane.arena;
  const endpoint = sendEndpoints + batch.groups * ENDPOINT.WORDS * 4;
  const send = (sends >> 2) + batch.groups * UDP_SEND.WORDS;
  words[send + UDP_SEND.OFFSET] = batch.groupStart;
  words[send + UDP_SEND.LENGTH] = batch.outEnd - batch.groupStart;
  words[send + UDP_SEND.SEGMENT_LENGTH] = batch.groupDatagrams > 1 ? batch.groupSegmentLength : 0;
  words[send + UDP_SEND.TRAFFIC_CLASS] = batch.groupTrafficClass;
  words[send + UDP_SEND.ENDPOINT_OFFSET] = endpoint;
  words[send + UDP_SEND.DATAGRAMS] = batch.groupDatagrams;
  words[send + UDP_SEND.PEER] = peer.id;
  words[send + UDP_SEND.PATH] = NO_PATH;
  words[send + UDP_SEND.MARKS] = 0;
  if (peer.history !== null) takePath(lane, batch, peer.history, send);
  writeEndpointOf(words, endpoint >> 2, peer, words[send + UDP_SEND.PATH]);
  batch.groups += 1;
  batch.groupPeer = null;
  batch.groupDatagrams = 0;
}

/** Writes the ENDPOINT record, which starts at a word, of a peer's path, or of the peer itself for NO_PATH. */
export function writeEndpointOf(words: Int32Array, record: number, peer: LanePeer, path: number): void {
  const { history } = peer;
  const isPath = history !== null && path !== NO_PATH;
  const from = isPath ? history.endpoints : peer.endpoint;
  const at = isPath ? path * ENDPOINT.WORDS : 0;
  for (let word = 0; word < ENDPOINT.WORDS; word += 1) words[record + word] = from[at + word];
}

function takePath(lane: LaneContext, batch: OutboundBatch, history: PeerHistory, send: number): void {
  const { words } = lane.arena;
  const bytes = words[send + UDP_SEND.LENGTH];
  const path = batch.kind === RUN.NAMED ? batch.namedPath : history.choice.take(bytes, lane.nowMs());
  let { marks } = batch;
  const { copies } = history;
  if (batch.kind !== RUN.NAMED && copies.isOn && copies.takesLength(batch.groupSegmentLength))
    marks |= SEND_MARK.COPIED;
  words[send + UDP_SEND.PATH] = path;
  words[send + UDP_SEND.MARKS] = marks | ((path + 1) << SEND_MARK.PATH_SHIFT);
}
