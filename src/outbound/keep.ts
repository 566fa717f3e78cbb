/**
 * Outbound, what histories add to a run and to a batch, only for peers that have them: a run is placed in the peer's ring, if
 * it has one, instead of the arena's room for datagrams, and is marked with what is to become of it; after the seal each
 * datagram in a ring is noted by its counter, and what is sent for the first time earns the budgets of what is sent again.
 */
import { HISTORY_CELL } from '../history/history-cells.ts';
import type { PeerHistory } from '../history/peer-history.ts';
import type { SentRing } from '../history/sent-ring.ts';
import type { LaneContext } from '../lane-context.ts';
import { BOOKS, SEAL, UDP_SEND } from '../native/layout.ts';
import { dscpOf } from '../packet/ecn.ts';
import { TRANSPORT_COUNTER_OFFSET, TRANSPORT_RECEIVER_OFFSET } from '../protocol/constants.ts';
import type { LanePeer } from '../tables/peers.ts';
import { type OutboundBatch, RUN, SEALED_OVERHEAD_MAX, SEND_MARK } from './batch.ts';
import { closeGroup } from './group.ts';

/** Readies the batch for a run, the segments from `first` on: for a peer with histories, or one without behind such a one. */
export function beginRun(lane: LaneContext, batch: OutboundBatch, peer: LanePeer, first: number): void {
  const { history } = peer;
  const marks = history === null ? 0 : marksOf(lane, batch, history, first);
  const ring = history !== null && (marks & SEND_MARK.KEPT) !== 0 ? history.ring : null;
  if (batch.marks !== marks || batch.ring !== ring) closeGroup(lane, batch);
  batch.marks = marks;
  batch.hasHistory ||= history !== null;
  if ((marks & SEND_MARK.DATA) !== 0 && history?.sealedWatch) batch.hasWatch = true;
  if (ring !== null) useRing(lane, batch, ring, first);
  else if (batch.ring !== null) {
    batch.ring = null;
    batch.outEnd = batch.roomEnd;
  }
}

function marksOf(lane: LaneContext, batch: OutboundBatch, { ring, copies }: PeerHistory, first: number): number {
  if (batch.kind === RUN.NAMED) return 0;
  const kept = ring === null ? 0 : SEND_MARK.KEPT;
  const data = batch.kind === RUN.DATA ? SEND_MARK.DATA : 0;
  if (!copies.isOn) return kept | data;
  const isCopied = batch.kind === RUN.KEEPALIVE ? copies.takesKeepalives : copies.takesDscp(dscpAt(lane, first));
  return kept | data | (isCopied ? SEND_MARK.COPIED : 0);
}

/** DSCP of the packet of which a segment is, or -1 for what is no IP packet. */
function dscpAt({ arena }: LaneContext, segment: number): number {
  const seal = (arena.seals >> 2) + segment * SEAL.WORDS;
  if (arena.words[seal + SEAL.HEAD_LENGTH] < 2) return -1;
  return dscpOf(arena.view.getUint16(arena.words[seal + SEAL.HEAD_OFFSET]));
}

function useRing(lane: LaneContext, batch: OutboundBatch, ring: SentRing, first: number): void {
  const start = ring.reserve(longestRun(lane, batch, first), lane.arena.udpOutLength - batch.outBytes, batch.number);
  // A group is one piece: at the ring's end another begins.
  if (batch.ring === ring && start !== batch.outEnd) closeGroup(lane, batch);
  if (batch.ring === null) batch.roomEnd = batch.outEnd;
  batch.ring = ring;
  batch.outEnd = start;
}

/** Most bytes that the segments from `first` on may be as datagrams. */
function longestRun({ arena }: LaneContext, batch: OutboundBatch, first: number): number {
  if (batch.datagramBytesMax > 0) return (batch.segments - first) * batch.datagramBytesMax;
  const { words, seals } = arena;
  let bytes = (batch.segments - first) * SEALED_OVERHEAD_MAX;
  let seal = (seals >> 2) + first * SEAL.WORDS;
  for (let segment = first; segment < batch.segments; segment += 1) {
    bytes += words[seal + SEAL.HEAD_LENGTH] + words[seal + SEAL.PAYLOAD_LENGTH];
    seal += SEAL.WORDS;
  }
  return bytes;
}

/** Notes what a batch that was just sealed holds for peers with histories. */
export function keepGroups(lane: LaneContext, batch: OutboundBatch): void {
  const { words, sends } = lane.arena;
  for (let group = 0; group < batch.groups; group += 1) {
    const send = (sends >> 2) + group * UDP_SEND.WORDS;
    const history = lane.peers[words[send + UDP_SEND.PEER]]?.history ?? null;
    if (history !== null) keepGroup(lane, history, send);
  }
}

function keepGroup(lane: LaneContext, history: PeerHistory, send: number): void {
  const { words } = lane.arena;
  const bytes = words[send + UDP_SEND.LENGTH];
  const marks = words[send + UDP_SEND.MARKS];
  history.copies.earn(bytes);
  history.repeats.earn(bytes);
  if ((marks & SEND_MARK.DATA) !== 0 && history.sendsTails)
    history.tails.dataSent(lane.nowMs(), history.paths.rttMs, history.settings.retransmitMs);
  if (history.ring !== null && (marks & SEND_MARK.KEPT) !== 0) {
    noteDatagrams(lane, history.ring, send);
    if ((marks & SEND_MARK.COPIED) !== 0) delayCopies(lane, history, history.ring, send);
    if (history.sealedWatch !== null && (marks & SEND_MARK.DATA) !== 0) showDatagrams(lane, history, send);
  }
  lane.due.expect(history.sendDueMs);
}

/** Queues the group if it is to be copied once more later. */
function delayCopies({ arena, ledger }: LaneContext, history: PeerHistory, ring: SentRing, send: number): void {
  const { words } = arena;
  const { delayed, copies } = history;
  if (delayed === null || copies.later === 0) return;
  const isPaid = copies.spend(words[send + UDP_SEND.LENGTH] * copies.later);
  const place = isPaid ? delayed.put(ledger.books[BOOKS.NOW_NS] / 1e6 + copies.delayMs) : -1;
  if (place === -1) {
    history.cells[HISTORY_CELL.COPIES_HELD] += words[send + UDP_SEND.DATAGRAMS] * copies.later;
    return;
  }
  delayed.positions[place] = ring.positionOf(words[send + UDP_SEND.OFFSET]);
  delayed.lengths[place] = words[send + UDP_SEND.LENGTH];
  delayed.segmentLengths[place] = words[send + UDP_SEND.SEGMENT_LENGTH];
  delayed.datagrams[place] = words[send + UDP_SEND.DATAGRAMS];
  delayed.trafficClasses[place] = words[send + UDP_SEND.TRAFFIC_CLASS];
  delayed.left[place] = copies.later;
}

/** Shows each datagram of a group to who makes parity of them. */
function showDatagrams(lane: LaneContext, history: PeerHistory, send: number): void {
  const { words, view } = lane.arena;
  const nowMs = lane.nowMs();
  const length = words[send + UDP_SEND.LENGTH];
  const stride = words[send + UDP_SEND.SEGMENT_LENGTH] || length;
  const end = words[send + UDP_SEND.OFFSET] + length;
  for (let offset = words[send + UDP_SEND.OFFSET]; offset < end; offset += stride)
    history.sealedWatch?.onSealed(history, counterAt(view, offset), offset, Math.min(stride, end - offset), nowMs);
}

function noteDatagrams(lane: LaneContext, ring: SentRing, send: number): void {
  const { words, view } = lane.arena;
  const nowMs = lane.nowMs();
  const start = words[send + UDP_SEND.OFFSET];
  const length = words[send + UDP_SEND.LENGTH];
  const stride = words[send + UDP_SEND.SEGMENT_LENGTH] || length;
  const path = words[send + UDP_SEND.PATH];
  const index = ring.indexToAdd(view.getInt32(start + TRANSPORT_RECEIVER_OFFSET, true));
  const position = ring.positionOf(start);
  const first = counterAt(view, start);
  const datagrams = words[send + UDP_SEND.DATAGRAMS];
  // Where another lane took counters in between, each datagram is a group.
  if (counterAt(view, start + (datagrams - 1) * stride) === first + datagrams - 1)
    index.add(first, position, length, stride, nowMs, path);
  else
    for (let at = 0; at < length; at += stride) {
      const own = Math.min(stride, length - at);
      index.add(counterAt(view, start + at), position + at, own, own, nowMs, path);
    }
}

/** Transport counter of the datagram at `offset`. */
function counterAt(view: DataView, offset: number): number {
  const low = view.getUint32(offset + TRANSPORT_COUNTER_OFFSET, true);
  return view.getUint32(offset + TRANSPORT_COUNTER_OFFSET + 4, true) * 4_294_967_296 + low;
}
