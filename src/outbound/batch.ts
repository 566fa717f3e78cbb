/**
 * One outbound batch: the segments, datagrams and groups that pass the stages together. Stages fill its columns in the
 * arena and move its cursors; nothing is allocated after construction.
 */
import type { Arena } from '../packet/arena.ts';
import { LIMIT } from '../packet/arena.ts';
import type { LanePeer } from '../tables/peers.ts';

/** What sealing may add to a segment beyond header and payload: transport header, tag, padding, bytes. */
export const SEALED_OVERHEAD_MAX = 48;

export class OutboundBatch {
  /** SEAL descriptors filled. */
  segments = 0;
  /** Where the next segment's header goes. */
  headerEnd: number;
  /** Where the next datagram goes. */
  outEnd: number;
  /** UDP_SEND descriptors filled (closed groups). */
  groups = 0;
  /** Runs sealed: peer and inner bytes, for the TX history. */
  runs = 0;
  readonly runPeers: (LanePeer | null)[] = new Array<LanePeer | null>(LIMIT.SEALS).fill(null);
  readonly runDatagrams: Int32Array = new Int32Array(LIMIT.SEALS);
  readonly runBytes: Int32Array = new Int32Array(LIMIT.SEALS);
  /** Runs that carry no data (keepalives) hold 0 here, others 1. */
  readonly runData: Int32Array = new Int32Array(LIMIT.SEALS);
  /** Outer traffic class of the datagrams that are placed next, -1 for the socket's own. One for each run. */
  trafficClass = -1;
  /** The open group: consecutive datagrams to `groupPeer`, not yet a descriptor. */
  groupPeer: LanePeer | null = null;
  groupTrafficClass = -1;
  groupStart = 0;
  groupSegmentLength = 0;
  groupDatagrams = 0;

  readonly #headerStart: number;
  readonly #outStart: number;

  constructor(arena: Arena) {
    this.#headerStart = arena.segmentHeaders;
    this.#outStart = arena.udpOut;
    this.headerEnd = this.#headerStart;
    this.outEnd = this.#outStart;
  }

  clear(): void {
    for (let run = 0; run < this.runs; run += 1) this.runPeers[run] = null;
    this.segments = 0;
    this.groups = 0;
    this.runs = 0;
    this.headerEnd = this.#headerStart;
    this.outEnd = this.#outStart;
    this.trafficClass = -1;
    this.groupPeer = null;
    this.groupDatagrams = 0;
  }
}
