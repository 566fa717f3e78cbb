/**
 * The books of one peer's histories: a piece of shared memory per peer that has any, written by lanes, each in a block of its
 * own, read by the control lane. All cells are Float64; those not in ms are totals.
 */
import { PATHS_MAX } from '../path/path-types.ts';

/** Cells of one path in a lane's block. */
export const PATH_CELL = {
  /** Datagrams sent over the path, copies and repeats included; and those of them that were sent for the first time. */
  UDP_TX: 0,
  UDP_TX_UNIQ: 1,
  UDP_TX_BYTES: 2,
  /** Authentic datagrams that came over the path; and those of them that were new. */
  UDP_RX: 3,
  UDP_RX_UNIQ: 4,
  UDP_RX_BYTES: 5,
  /** When the last authentic datagram came, CLOCK_MONOTONIC ms; 0 for never. */
  LAST_RX_MS: 6,
  /** Counters newer ones of the path overtook, and the most by which one was overtaken. */
  LATE: 7,
  REORDER_MAX: 8,
  /** Datagrams that the kernel did not take for the path. */
  UDP_TX_FAILED: 9,
  CELLS: 10,
} as const;

/** Cells of a lane's block that are the peer's, before those of its paths. */
export const HISTORY_CELL = {
  COPIES_TX: 0,
  /** Copies that the budget did not allow, or of what was kept no longer. */
  COPIES_HELD: 1,
  REPEATS_TX: 2,
  /** Counters that the peer asked for; those not repeated for want of budget; those no longer kept, or too old. */
  REPEATS_ASKED: 3,
  REPEATS_HELD: 4,
  REPEATS_GONE: 5,
  PARITY_TX: 6,
  PARITY_RX: 7,
  /** Counters that the newest received one has passed: what the peer has sent, as far as is known. */
  EXPECTED: 8,
  /** Of these, how many were missing when a newer one came. */
  MISSED: 9,
  /** What became of the missed: came by itself later, came after it was asked for, was made from parity, was given up. */
  FILLED_LATE: 10,
  FILLED_REPEAT: 11,
  FILLED_PARITY: 12,
  LOST: 13,
  /** Came again: authentic, and not new. */
  DUPLICATES: 14,
  /** Reports of gaps sent. */
  GAPS_TX: 15,
  /** Packets that waited for those before them; those whose wait ended without. */
  HELD: 16,
  HELD_EXPIRED: 17,
  /** Came after its gap was given up, and was dropped. */
  TOO_LATE: 18,
  /** Sum of ms from noticing a gap to its repair. */
  REPAIR_MS: 19,
  /** The most by which a counter that came by itself was overtaken. */
  REORDER_MAX: 22,
  /** Remade from parity, but not authentic, or not missing any more. */
  REMADE_REFUSED: 23,
  /** Parity messages that were malformed, of a keypair that the peer has not, or at odds with others of their block. */
  PARITY_REFUSED: 24,
  /** Copies and repeats that the kernel did not take. */
  AGAIN_FAILED: 20,
  /** Bytes of the ring that keeps what was sent; 0: none. No total. */
  RING_BYTES: 21,
  CELLS: 32,
} as const;

const BLOCK_CELLS = HISTORY_CELL.CELLS + PATHS_MAX * PATH_CELL.CELLS;

/** Bytes for a peer's histories in `lanes` lanes. */
export function historyCellsBytes(lanes: number): number {
  return lanes * BLOCK_CELLS * 8;
}

/** A lane's block. */
export function laneBlock(memory: SharedArrayBuffer, lane: number): Float64Array {
  return new Float64Array(memory, lane * BLOCK_CELLS * 8, BLOCK_CELLS);
}

/** First cell of a path, 0 to PATHS_MAX - 1, in a block. */
export function pathCells(path: number): number {
  return HISTORY_CELL.CELLS + path * PATH_CELL.CELLS;
}
