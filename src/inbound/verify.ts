/**
 * Inbound, verify: what an authentic, new message proves, and whether its inner packet may come in.
 *
 * It proves that the peer is alive at the address it came from: the peer's times are set, its endpoint follows (roaming),
 * and the first message on the responder's new keypair confirms that keypair. The inner packet must be IP, no longer
 * than the plaintext, and its source must be among the peer's allowed IPs by longest match (cryptokey routing). What a
 * congested router wrote into the outer header goes on in the inner one (RFC 6040).
 */
import type { PeerHistory } from '../history/peer-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { UDP_RECEIVE, UNSEAL } from '../native/layout.ts';
import { DROP } from '../packet/drop-reason.ts';
import { ECN, ECN_DROP, ecnOf, innerEcn, isSignal, setEcn } from '../packet/ecn.ts';
import { IPV4, IPV6, ipPacketLength } from '../packet/ip-header.ts';
import { rekeyOnReceiveAgeMs, TAG_LENGTH, TRANSPORT_HEADER_LENGTH } from '../protocol/constants.ts';
import { lookupIpv4, lookupIpv6 } from '../tables/allowed-ips.ts';
import { type LaneKeypair, type LanePeer, PEER_CELL } from '../tables/peers.ts';
import { FRESH, type InboundBatch } from './batch.ts';
import { Coalescer } from './coalesce.ts';
import { takeControl } from './control.ts';
import { roam, roamByPaths } from './roam.ts';

export class Verifier {
  readonly #lane: LaneContext;
  readonly #coalescer: Coalescer;
  readonly #rekeyAgeMs: number;
  /** Byte offset of the ENDPOINT record of the run at hand. */
  #source = 0;
  /** Control messages in it. */
  #controls = 0;
  #knownIpv4 = 0;
  #knownIpv4Peer: LanePeer | null = null;
  #knownIpv4Routes: Int32Array | null = null;
  /** Four big-endian words. */
  readonly #knownIpv6: Int32Array = new Int32Array(4);
  #knownIpv6Peer: LanePeer | null = null;
  #knownIpv6Routes: Int32Array | null = null;

  constructor(lane: LaneContext) {
    this.#lane = lane;
    this.#coalescer = new Coalescer(lane);
    this.#rekeyAgeMs = rekeyOnReceiveAgeMs(lane.timing);
  }

  /** Delivers the fresh messages of a batch to the TUN. */
  deliver(batch: InboundBatch): void {
    for (let run = 0; run < batch.runs; run += 1) this.#deliverRun(batch, run);
    if (batch.hasOrdered) for (const history of this.#lane.histories) this.#addOrdered(history);
    this.#coalescer.flush();
    if (batch.hasOrdered) for (const history of this.#lane.histories) history.rx.order?.recycle();
  }

  /** Delivers what has its turn of the packets of a peer with in-order delivery. */
  deliverOrdered(history: PeerHistory): void {
    const { order } = history.rx;
    if (order === null || order.outCount === 0) return;
    this.#addOrdered(history);
    this.#coalescer.flush();
    order.recycle();
  }

  #addOrdered({ peer, rx: { order } }: PeerHistory): void {
    if (order === null) return;
    for (let at = 0; at < order.outCount; at += 1) {
      const outer = order.outClasses[at];
      const offset = order.outOffsets[at];
      const length = order.outLengths[at];
      const sum = order.outSums[at];
      if (isSignal(outer)) this.#deliverMarked(peer, offset, length, sum, outer & ECN.CE);
      else this.#deliverPacket(peer, offset, length, sum);
    }
  }

  #deliverRun(batch: InboundBatch, run: number): void {
    const { words, unseals } = this.#lane.arena;
    const keypair = batch.runKeypairs[run];
    if (keypair === null) return;
    const { peer } = keypair;
    const { fresh } = batch;
    this.#source = batch.runSources[run];
    this.#controls = 0;
    const end = batch.runEnds[run];
    const outerClass = words[(batch.runSources[run] >> 2) + UDP_RECEIVE.TRAFFIC_CLASS - UDP_RECEIVE.ENDPOINT];
    const isMarked = isSignal(outerClass);
    let bytes = 0;
    let data = 0;
    let freshCount = 0;
    for (let message = run === 0 ? 0 : batch.runEnds[run - 1]; message < end; message += 1) {
      if (fresh[message] === 0) continue;
      const unseal = (unseals >> 2) + message * UNSEAL.WORDS;
      const length = words[unseal + UNSEAL.RESULT];
      freshCount += 1;
      bytes += length + TRANSPORT_HEADER_LENGTH + TAG_LENGTH;
      if (length > 0) data += 1;
      if (length > 0 && fresh[message] === FRESH) {
        const sum = words[unseal + UNSEAL.SUM];
        if (isMarked) this.#deliverMarked(peer, words[unseal + UNSEAL.OFFSET], length, sum, outerClass & ECN.CE);
        else this.#deliverPacket(peer, words[unseal + UNSEAL.OFFSET], length, sum);
      }
    }
    if (freshCount > 0) this.#authenticated(batch, run, keypair, bytes, freshCount, data);
    this.#lane.ledger.counts[COUNTER.KEEPALIVE_RX] += freshCount - data;
  }

  #deliverPacket(peer: LanePeer, offset: number, plaintextLength: number, sum: number): void {
    if (this.#coalescer.continues(peer.id, offset, plaintextLength, sum)) return;
    const { view } = this.#lane.arena;
    const { drops } = this.#lane.ledger;
    const length = ipPacketLength(view, offset, plaintextLength);
    if (length < 0) {
      if (takeControl(this.#lane, peer, this.#source, offset, plaintextLength)) this.#controls += 1;
    } else if (!this.#mayComeFrom(peer, view, offset)) drops[DROP.IN_BAD_SOURCE] += 1;
    else this.#coalescer.add(peer.id, offset, length, sum);
  }

  /** A packet whose datagram has ECT(1) or CE in its outer header, which may have to cross to the inner one (rare). */
  #deliverMarked(peer: LanePeer, offset: number, plaintextLength: number, sum: number, outer: number): void {
    const { view } = this.#lane.arena;
    const { counts, drops } = this.#lane.ledger;
    const isIp = ipPacketLength(view, offset, plaintextLength) >= 0;
    const before = isIp ? ecnOf(view.getUint16(offset)) : ECN.NOT_ECT;
    const after = isIp ? innerEcn(outer, before) : before;
    if (after === before) this.#deliverPacket(peer, offset, plaintextLength, sum);
    else if (after !== ECN_DROP) {
      counts[COUNTER.CONGESTION_TAKEN] += 1;
      this.#deliverPacket(peer, offset, plaintextLength, setEcn(view, offset, after, sum));
    } else drops[this.#mayComeFrom(peer, view, offset) ? DROP.IN_CONGESTION : DROP.IN_BAD_SOURCE] += 1;
  }

  /** Whether the packet's source is among the peer's allowed IPs. The last one of each family that was is remembered. */
  #mayComeFrom(peer: LanePeer, view: DataView, ip: number): boolean {
    return view.getUint8(ip) >>> 4 === 4
      ? this.#mayComeFromIpv4(peer, view.getInt32(ip + IPV4.SOURCE))
      : this.#mayComeFromIpv6(
          peer,
          view.getInt32(ip + IPV6.SOURCE),
          view.getInt32(ip + IPV6.SOURCE + 4),
          view.getInt32(ip + IPV6.SOURCE + 8),
          view.getInt32(ip + IPV6.SOURCE + 12),
        );
  }

  #mayComeFromIpv4(peer: LanePeer, source: number): boolean {
    const routes = this.#lane.ipv4Routes;
    if (source === this.#knownIpv4 && peer === this.#knownIpv4Peer && routes === this.#knownIpv4Routes) return true;
    if (lookupIpv4(routes, source) !== peer.id) return false;
    this.#knownIpv4 = source;
    this.#knownIpv4Peer = peer;
    this.#knownIpv4Routes = routes;
    return true;
  }

  #mayComeFromIpv6(peer: LanePeer, w0: number, w1: number, w2: number, w3: number): boolean {
    const routes = this.#lane.ipv6Routes;
    const known = this.#knownIpv6;
    const isKnown = w3 === known[3] && w2 === known[2] && w1 === known[1] && w0 === known[0];
    if (isKnown && peer === this.#knownIpv6Peer && routes === this.#knownIpv6Routes) return true;
    if (lookupIpv6(routes, w0, w1, w2, w3) !== peer.id) return false;
    known[0] = w0;
    known[1] = w1;
    known[2] = w2;
    known[3] = w3;
    this.#knownIpv6Peer = peer;
    this.#knownIpv6Routes = routes;
    return true;
  }

  #authenticated(
    batch: InboundBatch,
    run: number,
    keypair: LaneKeypair,
    bytes: number,
    messages: number,
    data: number,
  ): void {
    const { peer } = keypair;
    const cells = peer.cells;
    const nowMs = this.#lane.nowMs();
    cells[peer.receivedBytesCell] += bytes;
    cells[PEER_CELL.LAST_RECEIVED_MS] = nowMs;
    cells[PEER_CELL.UNANSWERED_SINCE_MS] = 0;
    if (data > 0) {
      cells[PEER_CELL.LAST_DATA_RECEIVED_MS] = nowMs;
      if (cells[PEER_CELL.OWED_SINCE_MS] === 0) cells[PEER_CELL.OWED_SINCE_MS] = nowMs;
    }
    if (keypair.unconfirmed) this.#confirm(keypair);
    if (peer.history === null) roam(this.#lane, peer, batch.runSources[run]);
    else roamByPaths(this.#lane, batch, run, peer.history, messages, data - this.#controls, this.#controls);
    const isOld = keypair.initiator && nowMs - keypair.bornMs >= this.#rekeyAgeMs;
    if (isOld && keypair === peer.current) this.#lane.wantHandshake(peer);
    this.#lane.watch(peer);
  }

  /** The first message on the responder's keypair: the control lane will promote it, and staged packets go first then. */
  #confirm(keypair: LaneKeypair): void {
    keypair.unconfirmed = false;
    this.#lane.notify({ type: 'confirmed', peer: keypair.peer.id, keypair: keypair.id });
  }
}
