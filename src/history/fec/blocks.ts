/**
 * Blocks of which datagrams are missing, and those that were remade lately: a table of fixed size, the oldest makes room. Columns by
 * place in the table; nothing is allocated.
 */
import { BLOCK_PARITIES_MAX } from '../../protocol/parity-message.ts';
import type { LaneKeypair } from '../../tables/peers.ts';

export const BLOCKS_MAX = 64;
const NONE = -1;

export class ParityBlocks {
  readonly keypairs: (LaneKeypair | null)[] = new Array<LaneKeypair | null>(BLOCKS_MAX).fill(null);
  readonly firsts: Float64Array = new Float64Array(BLOCKS_MAX);
  readonly masksLow: Int32Array = new Int32Array(BLOCKS_MAX);
  readonly masksHigh: Int32Array = new Int32Array(BLOCKS_MAX);
  /** Bytes of each parity. */
  readonly covered: Int32Array = new Int32Array(BLOCKS_MAX);
  /** A bit for each parity that is there, and its position. */
  readonly parities: Uint8Array = new Uint8Array(BLOCKS_MAX);
  readonly positions: Float64Array = new Float64Array(BLOCKS_MAX * BLOCK_PARITIES_MAX);
  /** Path of the last one. */
  readonly paths: Int32Array = new Int32Array(BLOCKS_MAX);
  readonly isDone: Uint8Array = new Uint8Array(BLOCKS_MAX);
  /** Blocks that are not done. */
  waiting = 0;
  #next = 0;

  /** Place of a keypair's block that begins with this counter, or -1. */
  find(keypair: LaneKeypair, first: number): number {
    for (let block = 0; block < BLOCKS_MAX; block += 1)
      if (this.firsts[block] === first && this.keypairs[block] === keypair) return block;
    return NONE;
  }

  /** Place of a new one. */
  add(keypair: LaneKeypair, first: number, maskLow: number, maskHigh: number, covered: number): number {
    const block = this.#next;
    this.#next = (block + 1) % BLOCKS_MAX;
    this.finish(block);
    this.keypairs[block] = keypair;
    this.firsts[block] = first;
    this.masksLow[block] = maskLow;
    this.masksHigh[block] = maskHigh;
    this.covered[block] = covered;
    this.parities[block] = 0;
    this.isDone[block] = 0;
    this.waiting += 1;
    return block;
  }

  /** A parity lies at this position; -1: nowhere. */
  putParity(block: number, number: number, position: number): void {
    this.positions[block * BLOCK_PARITIES_MAX + number] = position;
    if (position !== NONE) this.parities[block] |= 1 << number;
  }

  /** Nothing more is to be done for it. */
  finish(block: number): void {
    if (this.keypairs[block] !== null && this.isDone[block] === 0) this.waiting -= 1;
    this.isDone[block] = 1;
  }

  /** Whether the counter `place` behind its first is in the block. */
  has(block: number, place: number): boolean {
    return place < 32
      ? ((this.masksLow[block] >>> place) & 1) === 1
      : ((this.masksHigh[block] >>> (place - 32)) & 1) === 1;
  }
}
