/**
 * Outbound, read: one turn of the outbound direction, from the TUN's queue to the sockets. Packets and super-packets
 * are read in one native call; each is routed, split into the batch, and sealed with its peer's keypair; a full batch
 * goes out in between, the rest at the end. A group may span several reads.
 *
 *     readTun -> inspect -> route -> split -> seal (place) -> [flush: AEAD -> TX history -> send]
 */

import type { MessageSender, MessageTaker } from '../history/message-sender.ts';
import type { PeerHistory } from '../history/peer-history.ts';
import { recordSent } from '../history/tx-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { BOOKS, TUN_READ, VIRTIO_HEADER_LENGTH } from '../native/layout.ts';
import { type Arena, LIMIT } from '../packet/arena.ts';
import { DROP } from '../packet/drop-reason.ts';
import { outerTrafficClass } from '../packet/ecn.ts';
import { NO_PATH } from '../path/path-types.ts';
import { TAIL_LENGTH, writeTail } from '../protocol/gaps-message.ts';
import type { LanePeer } from '../tables/peers.ts';
import { AgainColumn } from './again.ts';
import { OutboundBatch, SEALED_OVERHEAD_MAX } from './batch.ts';
import { sealControl } from './control.ts';
import { sendCopies } from './copy.ts';
import { sendDelayed } from './delayed.ts';
import { closeGroup } from './group.ts';
import { keepGroups } from './keep.ts';
import { isOwnDatagram } from './loop.ts';
import { sealMessages } from './message.ts';
import { QueueControl } from './queue-control.ts';
import { Repeater } from './repeat.ts';
import { routePacket } from './route.ts';
import { sealKeepalive, sealRun, usableKeypair } from './seal.ts';
import { SENDING, sendGroups } from './send.ts';
import { INSPECT, inspect, isTcp, markCongestion, SuperPacket, splitSegments } from './split.ts';
import { StagedPackets } from './stage.ts';

export class OutboundPath implements MessageSender, MessageTaker {
  readonly #lane: LaneContext;
  readonly #batch: OutboundBatch;
  readonly #packet: SuperPacket = new SuperPacket();
  readonly #staged: StagedPackets;
  readonly #queue: QueueControl = new QueueControl();
  readonly #copies: AgainColumn;
  readonly #repeater: Repeater;

  /** `stagedPacketBytes`: longest inner packet that may wait for a keypair. */
  constructor(lane: LaneContext, stagedPacketBytes: number) {
    this.#lane = lane;
    this.#batch = new OutboundBatch(lane.arena);
    this.#staged = new StagedPackets(lane, stagedPacketBytes);
    this.#copies = new AgainColumn(lane, SENDING.COPY);
    this.#repeater = new Repeater(lane);
    lane.sender = this;
    lane.taker = this;
  }

  /** Moves one batch from the TUN; returns how many reads brought something. Throws when the TUN is gone. */
  turn(): number {
    const { native, handle, arena, ledger } = this.#lane;
    const { TUN_READS, TUN_READ_BYTES } = LIMIT;
    const next = ACTIVITY.USER_TUN_TO_UDP;
    const reads = native.readTun(
      handle,
      arena.tunReads,
      TUN_READS,
      arena.tunIn,
      arena.tunInLength,
      TUN_READ_BYTES,
      next,
    );
    const nowNs = ledger.books[BOOKS.NOW_NS];
    const bytes = bytesOf(arena, reads);
    this.#queue.found(bytes, reads < TUN_READS && bytes <= TUN_READ_BYTES);
    for (let read = 0; read < reads; read += 1) {
      const at = (arena.tunReads >> 2) + read * TUN_READ.WORDS;
      this.#forward(arena.words[at + TUN_READ.OFFSET], arena.words[at + TUN_READ.LENGTH], nowNs);
    }
    this.#flush();
    return reads;
  }

  /** Sends what waited for this peer's keypair; says whether anything did. */
  release(peer: LanePeer): boolean {
    let released = false;
    while (peer.stagedFirst !== -1 && usableKeypair(this.#lane, peer) !== null) {
      this.#staged.take(peer, this.#batch);
      sealRun(this.#lane, this.#batch, this.#staged, peer, 0);
      this.#flush();
      released = true;
    }
    if (peer.stagedFirst !== -1) this.#lane.wantHandshake(peer);
    return released;
  }

  keepalive(peer: LanePeer): void {
    if (sealKeepalive(this.#lane, this.#batch, peer)) this.#flush();
  }

  /**
   * Sends control messages, each list as one datagram group; without a keypair or an endpoint they are left out.
   *
   * @param path of the peer; NO_PATH: as data goes
   */
  sendControl(peer: LanePeer, groups: readonly (readonly Uint8Array[])[], path: number = NO_PATH): void {
    for (const group of groups) if (sealControl(this.#lane, this.#batch, peer, group, path)) this.#flush();
  }

  sendMessage(peer: LanePeer, offset: number, length: number, path: number, count = 1, stride = 0): boolean {
    const isSealed = sealMessages(this.#lane, this.#batch, peer, offset, length, path, count, stride);
    if (isSealed) this.#flush();
    return isSealed;
  }

  takeGaps(history: PeerHistory, view: DataView, offset: number, length: number): void {
    this.#repeater.take(history, view, offset, length);
  }

  /** The control lane has told of the peer's paths anew. */
  pathsChanged(history: PeerHistory): void {
    this.#repeater.resend(history);
  }

  /** Sends what is due for a peer: copies that waited, tails, parity. */
  sendDue(history: PeerHistory, nowMs: number): void {
    sendDelayed(this.#lane, this.#copies, history, nowMs);
    if (history.tails.take(nowMs)) this.#sendTail(history.peer);
    const { sealedWatch } = history;
    if (sealedWatch !== null && sealedWatch.dueMs <= nowMs) sealedWatch.onDue(history, nowMs);
  }

  #sendTail(peer: LanePeer): void {
    const { view, controlOut } = this.#lane.arena;
    writeTail(view, controlOut);
    this.sendMessage(peer, controlOut, TAIL_LENGTH, NO_PATH);
  }

  dropStaged(peer: LanePeer): void {
    this.#staged.drop(peer, DROP.OUT_STAGED_EXPIRED);
  }

  #forward(offset: number, length: number, nowNs: number): void {
    const { arena, ledger } = this.#lane;
    const packet = this.#packet;
    // Nothing was read: the kernel dropped a packet that it could not describe.
    const verdict = length === 0 ? INSPECT.BAD_OFFLOAD : inspect(packet, arena.view, offset, length);
    if (verdict !== INSPECT.OK) {
      ledger.counts[COUNTER.TUN_RX] += 1;
      ledger.drops[verdict === INSPECT.NOT_IP ? DROP.OUT_NOT_IP : DROP.OUT_BAD_OFFLOAD] += 1;
      return;
    }
    ledger.counts[COUNTER.TUN_RX] += packet.segments;
    ledger.counts[COUNTER.TUN_RX_BYTES] += length - VIRTIO_HEADER_LENGTH + (packet.segments - 1) * packet.headerLength;
    const peer = routePacket(this.#lane, packet.ip);
    if (peer === null) ledger.drops[DROP.OUT_NO_ROUTE] += packet.segments;
    else if (isOwnDatagram(arena.view, packet.ip, peer)) ledger.drops[DROP.OUT_LOOP] += packet.segments;
    else this.#splitAndSeal(peer, this.#isToldToSlowDown(peer, nowNs) ? 1 : 0);
  }

  /**
   * Tells the sender of a TCP super-packet that the queue before the lane, or before the peer's paths, is long, when it is time
   * to: by a mark, or else true: by the loss of its first segment.
   */
  #isToldToSlowDown(peer: LanePeer, nowNs: number): boolean {
    const packet = this.#packet;
    if (!isTcp(packet) || !(this.#queue.signals(nowNs) || isBacklogLong(peer, nowNs / 1e6))) return false;
    const { ledger, arena } = this.#lane;
    if (markCongestion(packet, arena.view)) {
      ledger.counts[COUNTER.CONGESTION_MARKS] += packet.segments;
      return false;
    }
    ledger.drops[DROP.OUT_QUEUE_LONG] += 1;
    return true;
  }

  /** A super-packet of very small segments may need more than one batch. */
  #splitAndSeal(peer: LanePeer, first: number): void {
    const batch = this.#batch;
    const packet = this.#packet;
    for (let from = first; from < packet.segments; ) {
      const count = Math.min(packet.segments - from, this.#room());
      if (count > 0) {
        const start = batch.segments;
        splitSegments(packet, batch, this.#lane.arena, from, count);
        batch.trafficClass = outerTrafficClass(packet.ecn);
        batch.datagramBytesMax = longestDatagram(packet);
        sealRun(this.#lane, batch, this.#staged, peer, start);
        batch.datagramBytesMax = 0;
        from += count;
      } else this.#flush();
    }
  }

  /** How many segments of the present packet the batch can still take; an empty batch takes at least one. */
  #room(): number {
    const { arena } = this.#lane;
    const batch = this.#batch;
    const packet = this.#packet;
    const longest = longestDatagram(packet);
    // Rings have room for as much as the arena has.
    const outRoom = arena.udpOutLength - batch.outBytes;
    const headerRoom = arena.segmentHeaders + arena.segmentHeadersLength - batch.headerEnd;
    const headerStride = (packet.headerLength + 15) & ~15;
    const byHeaders = packet.payloadLength === 0 ? LIMIT.SEALS : Math.floor(headerRoom / headerStride);
    return Math.min(LIMIT.SEALS - batch.segments, Math.floor(outRoom / longest), byHeaders);
  }

  #flush(): void {
    const { native, handle, arena } = this.#lane;
    const batch = this.#batch;
    if (batch.segments > 0) {
      closeGroup(this.#lane, batch);
      native.seal(handle, arena.seals, batch.segments, ACTIVITY.USER_TX_HISTORY);
      recordSent(this.#lane, batch);
      if (batch.hasHistory) keepGroups(this.#lane, batch);
      sendGroups(this.#lane, batch);
      if (batch.hasHistory) sendCopies(this.#lane, batch);
    }
    const { hasWatch } = batch;
    batch.clear();
    if (hasWatch) this.#tellWatches();
  }

  /** Whoever makes parity may send it now that the batch is empty. */
  #tellWatches(): void {
    for (const history of this.#lane.histories) history.sealedWatch?.onSent(history);
  }
}

function isBacklogLong({ history }: LanePeer, nowMs: number): boolean {
  return history?.backlog.signals(history.choice.backlogMs(nowMs), nowMs) === true;
}

/** Most bytes that a segment of the packet has as a datagram. */
function longestDatagram({ headerLength, segmentPayload, payloadLength }: SuperPacket): number {
  return headerLength + Math.min(segmentPayload, payloadLength) + SEALED_OVERHEAD_MAX;
}

/** Bytes that the reads of a batch brought. */
function bytesOf(arena: Arena, reads: number): number {
  let bytes = 0;
  for (let read = 0; read < reads; read += 1)
    bytes += arena.words[(arena.tunReads >> 2) + read * TUN_READ.WORDS + TUN_READ.LENGTH];
  return bytes;
}
