/**
 * One outbound batch: the segments, datagrams and groups that pass the stages together. Stages fill its columns in the
 * arena and move its cursors; nothing is allocated after construction.
 */
import type { SentRing } from '../history/sent-ring.ts';
import type { Arena } from '../packet/arena.ts';
import { LIMIT } from '../packet/arena.ts';
import { NO_PATH } from '../path/path-types.ts';
import type { LanePeer } from '../tables/peers.ts';

/** What sealing may add to a segment beyond header and payload: transport header, tag, padding, bytes. */
export const SEALED_OVERHEAD_MAX = 48;

/**
 * What a run of datagrams is, for a peer that has histories: data, an empty message, a message that the lane's own histories
 * send, or control messages over a path (or none) that is named. The last are never sent again: they may be probes.
 */
export const RUN = { DATA: 0, KEEPALIVE: 1, MESSAGE: 2, NAMED: 3 } as const;

/** Bits of a group's MARKS: what histories have to know of it. */
export const SEND_MARK = {
  /** Is to be copied. */
  COPIED: 1,
  /** Holds data, which the peer is to know the end of. */
  DATA: 2,
  /** Lies in the peer's ring. */
  KEPT: 4,
  /** From this bit on: the path of the first sending, plus one. */
  PATH_SHIFT: 8,
} as const;

export class OutboundBatch {
  /** Number of this filling: how often it was cleared. */
  number = 0;
  /** SEAL descriptors filled. */
  segments = 0;
  /** Where the next segment's header goes. */
  headerEnd: number;
  /** Where the next datagram goes: into the arena's room for them, or into the ring of the peer at hand. */
  outEnd: number;
  /** Bytes of all datagrams that were placed. */
  outBytes = 0;
  /** The ring into which datagrams are placed, null for the arena's room, which goes on at `roomEnd`. */
  ring: SentRing | null = null;
  roomEnd: number;
  /** Whether any datagram is for a peer with histories. */
  hasHistory = false;
  /** Whether who makes parity was shown any of it. */
  hasWatch = false;
  /** SEND_MARK bits of the run at hand and of the open group; 0 for a peer without histories. */
  marks = 0;
  /** Most bytes that each datagram of the run at hand may have; 0: not known. */
  datagramBytesMax = 0;
  /** What the runs that follow are. */
  kind: number = RUN.DATA;
  /** Path that runs of kind NAMED take. */
  namedPath: number = NO_PATH;
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
    this.roomEnd = this.#outStart;
  }

  clear(): void {
    for (let run = 0; run < this.runs; run += 1) this.runPeers[run] = null;
    this.number += 1;
    this.segments = 0;
    this.groups = 0;
    this.runs = 0;
    this.headerEnd = this.#headerStart;
    this.outEnd = this.#outStart;
    this.outBytes = 0;
    this.ring = null;
    this.roomEnd = this.#outStart;
    this.hasHistory = false;
    this.hasWatch = false;
    this.marks = 0;
    this.datagramBytesMax = 0;
    this.kind = RUN.DATA;
    this.trafficClass = -1;
    this.groupPeer = null;
    this.groupDatagrams = 0;
  }
}
