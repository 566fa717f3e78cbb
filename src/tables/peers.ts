/**
 * A lane's view of peers and keypairs. The control lane decides everything here and tells each lane by message; the
 * lane adds what only it sees: when data flowed (shared with the control lane's timers), bytes, roaming, and the first
 * message on a `next` keypair.
 */

import type { PeerHistory } from '../history/peer-history.ts';
import { ENDPOINT } from '../native/layout.ts';
import type { PeerTimes } from '../protocol/timers.ts';
import type { KeypairMemory } from './keypair-memory.ts';

/** Cells of a peer's shared memory (Float64). Times are CLOCK_MONOTONIC milliseconds, 0 for none. */
export const PEER_CELL = {
  UNANSWERED_SINCE_MS: 0,
  OWED_SINCE_MS: 1,
  LAST_DATA_RECEIVED_MS: 2,
  LAST_SENT_MS: 3,
  LAST_RECEIVED_MS: 4,
  /** An Int32, used atomically: 1 while the control lane watches this peer's timers; a lane that finds 0 sets 1 and tells it. */
  WATCHED: 5,
  /** First of each lane's pair of cells: bytes sent, bytes received (datagrams of this peer, headers included). */
  LANE_BYTES: 6,
} as const;

/** Shared memory of one peer for `lanes` lanes, bytes. */
export function peerMemoryBytes(lanes: number): number {
  return (PEER_CELL.LANE_BYTES + 2 * lanes) * 8;
}

/** The cells of a peer for `lanes` lanes, from a byte offset (multiple of 8) on. */
export function peerCells(memory: SharedArrayBuffer, offset: number, lanes: number): Float64Array {
  return new Float64Array(memory, offset, peerMemoryBytes(lanes) / 8);
}

/** The watched mark in a peer's shared memory, which starts at a byte offset. */
export function watchedWord(memory: SharedArrayBuffer, offset = 0): Int32Array {
  return new Int32Array(memory, offset + PEER_CELL.WATCHED * 8, 1);
}

/** More datagrams than any kernel takes in one group: no limit of the peer's. */
export const GROUP_DATAGRAMS_MAX = 1_024;

export class LaneKeypair {
  readonly peer: LanePeer;
  readonly id: number;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly initiator: boolean;
  readonly bornMs: number;
  readonly memory: KeypairMemory;
  readonly sendKeySlot: number;
  readonly receiveKeySlot: number;
  /** The responder's keypair before the first transport message on it. */
  unconfirmed: boolean;

  constructor(
    peer: LanePeer,
    id: number,
    localIndex: number,
    remoteIndex: number,
    initiator: boolean,
    bornMs: number,
    memory: KeypairMemory,
    unconfirmed: boolean,
  ) {
    this.peer = peer;
    this.id = id;
    this.localIndex = localIndex;
    this.remoteIndex = remoteIndex;
    this.initiator = initiator;
    this.bornMs = bornMs;
    this.memory = memory;
    this.sendKeySlot = 2 * id;
    this.receiveKeySlot = 2 * id + 1;
    this.unconfirmed = unconfirmed;
  }
}

export class LanePeer {
  readonly id: number;
  readonly cells: Float64Array;
  readonly #watched: Int32Array;
  readonly sentBytesCell: number;
  readonly receivedBytesCell: number;
  /** ENDPOINT record; family 0 while unknown. */
  readonly endpoint: Int32Array = new Int32Array(ENDPOINT.WORDS);
  /** Of the last `endpoint` command. */
  endpointSerial = 0;
  /** The keypair to send with. */
  current: LaneKeypair | null = null;
  /** The responder's newest keypair while no message came on it. */
  next: LaneKeypair | null = null;
  /** When the control lane was last asked for a handshake, ms; 0 for never. */
  wantedAtMs = 0;
  /** Most datagrams in one group to this peer, and whether the last may be shorter: as its path carries them. */
  groupDatagramsMax: number = GROUP_DATAGRAMS_MAX;
  groupShortTail = true;
  /** Until then (ms) this peer gets no datagram groups: one was refused for its size. */
  gsoOffUntilMs = 0;
  /** Control messages of this peer in the second that began then, ms; 0 for none yet. */
  controlSinceMs = 0;
  controlCount = 0;
  /** Null for a peer that has none: most. */
  history: PeerHistory | null = null;
  /** Staged packets: first and last slot of the chain (-1 for none) and their count. */
  stagedFirst = -1;
  stagedLast = -1;
  stagedCount = 0;

  /** The peer's shared memory starts at a byte offset of `memory`. */
  constructor(id: number, memory: SharedArrayBuffer, lane: number, offset = 0) {
    this.id = id;
    this.cells = peerCells(memory, offset, lane + 1);
    this.#watched = watchedWord(memory, offset);
    this.sentBytesCell = PEER_CELL.LANE_BYTES + 2 * lane;
    this.receivedBytesCell = this.sentBytesCell + 1;
  }

  /**
   * Marks the peer as watched; true if it was not. The exchange also orders the times that were just written before it,
   * so that the control lane, which clears the mark and then looks at the times, cannot miss both.
   */
  markWatched(): boolean {
    return Atomics.exchange(this.#watched, 0, 1) === 0;
  }
}

/** The times that lanes keep for a peer, as the protocol takes them. */
export function timesOf(cells: Float64Array): PeerTimes {
  return {
    unansweredSinceMs: cells[PEER_CELL.UNANSWERED_SINCE_MS],
    owedSinceMs: cells[PEER_CELL.OWED_SINCE_MS],
    lastDataReceivedMs: cells[PEER_CELL.LAST_DATA_RECEIVED_MS],
    lastSentMs: cells[PEER_CELL.LAST_SENT_MS],
    lastReceivedMs: cells[PEER_CELL.LAST_RECEIVED_MS],
  };
}

/** Bytes that went to and came from a peer. */
export interface Transfer {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** The sums of all lanes' cells of a peer; zeros where there is none. */
export function transferOf(cells: Float64Array | undefined): Transfer {
  let sentBytes = 0;
  let receivedBytes = 0;
  if (cells === undefined) return { sentBytes, receivedBytes };
  for (let cell = PEER_CELL.LANE_BYTES; cell < cells.length; cell += 2) {
    sentBytes += cells[cell];
    receivedBytes += cells[cell + 1];
  }
  return { sentBytes, receivedBytes };
}
