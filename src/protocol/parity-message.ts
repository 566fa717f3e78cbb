/**
 * Parity messages (kind 10), as lanes write them into memory of theirs and read them where they were unsealed: nothing is
 * allocated. A block is some transport messages of one keypair, of a stretch of 64 counters; each parity of it is a message:
 *
 *     0 - 3    receiver index of the keypair, as it stands in the datagrams of the block
 *     4 - 11   counter of the block's first datagram
 *     12 - 19  which counters from that one on are in the block: the lowest bit, which is set, is the first; 1 to 32 are set
 *     20       number of this parity, from 0 on
 *     21       parities of the block, 1 to 8
 *     22 - 23  bytes of parity that follow: the longest of what it covers, which of each datagram is its length
 *              (16 bits), its sealed inner packet and its tag
 *     24 -     the parity
 *
 * What lies between the datagrams of a block are control messages, above all parities of the block before.
 */
import {
  CONTROL_HEADER_LENGTH,
  CONTROL_KIND,
  controlBodyLength,
  readUint53,
  writeControlHeader,
  writeUint53,
} from './control-header.ts';

/** Datagrams in a block, and parities for it. */
export const BLOCK_DATAGRAMS_MAX = 32;
export const BLOCK_PARITIES_MAX = 8;
/** Counters from a block's first to behind its last, at most. */
export const BLOCK_SPAN = 64;
/** What a parity covers of the shortest datagram: its length and its tag. */
export const PARITY_LENGTH_MIN = 18;
/** Bytes of a parity message before the parity, header included. */
export const PARITY_HEADER_LENGTH: number = CONTROL_HEADER_LENGTH + 24;

const INDEX = CONTROL_HEADER_LENGTH;
const FIRST = CONTROL_HEADER_LENGTH + 4;
const MASK_HIGH = CONTROL_HEADER_LENGTH + 12;
const MASK_LOW = CONTROL_HEADER_LENGTH + 16;
const NUMBER = CONTROL_HEADER_LENGTH + 20;
const PARITIES = CONTROL_HEADER_LENGTH + 21;
const COVERED = CONTROL_HEADER_LENGTH + 22;
const FIRST_MAX = Number.MAX_SAFE_INTEGER - BLOCK_SPAN;

/**
 * Checks the parity message at `offset`, whose kind is known.
 *
 * @param plaintextLength bytes that were unsealed at `offset`
 * @returns bytes of parity, PARITY_LENGTH_MIN or more, which start at `offset` + PARITY_HEADER_LENGTH; 0 if anything of the
 *   message is wrong, and it must not be read then
 */
export function parityLength(view: DataView, offset: number, plaintextLength: number): number {
  const body = controlBodyLength(view, offset, plaintextLength);
  if (body < PARITY_HEADER_LENGTH - CONTROL_HEADER_LENGTH) return 0;
  const first = readUint53(view, offset + FIRST);
  const length = view.getUint16(offset + COVERED);
  const fits = length >= PARITY_LENGTH_MIN && length <= body - (PARITY_HEADER_LENGTH - CONTROL_HEADER_LENGTH);
  return fits && first >= 0 && first <= FIRST_MAX && isBlock(view, offset) ? length : 0;
}

/** Receiver index of a checked message, int32. */
export function parityIndex(view: DataView, offset: number): number {
  return view.getInt32(offset + INDEX);
}

/** Counter of the block's first datagram, of a checked message. */
export function parityFirst(view: DataView, offset: number): number {
  return readUint53(view, offset + FIRST);
}

/** Which of the first 32 counters are in the block of a checked message, int32. */
export function parityMaskLow(view: DataView, offset: number): number {
  return view.getInt32(offset + MASK_LOW);
}

/** Which of the 32 counters behind them. */
export function parityMaskHigh(view: DataView, offset: number): number {
  return view.getInt32(offset + MASK_HIGH);
}

/** Counters in a mask of 32: how many of its bits are set. */
export function maskCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

/** Number of this parity, 0 to `parityParities` - 1. */
export function parityNumber(view: DataView, offset: number): number {
  return view.getUint8(offset + NUMBER);
}

/** Parities of the block of a checked message, 1 to BLOCK_PARITIES_MAX. */
export function parityParities(view: DataView, offset: number): number {
  return view.getUint8(offset + PARITIES);
}

/**
 * Writes all but the parity itself, which belongs at `offset` + PARITY_HEADER_LENGTH.
 *
 * @param index int32
 * @param first counter, 0 to 2^53 - 1 - BLOCK_SPAN
 * @param maskLow int32, odd; 1 to BLOCK_DATAGRAMS_MAX bits of it and `maskHigh` are set
 * @param number 0 to `parities` - 1
 * @param parities 1 to BLOCK_PARITIES_MAX
 * @param length bytes of parity, PARITY_LENGTH_MIN to 65,511
 */
export function writeParity(
  view: DataView,
  offset: number,
  index: number,
  first: number,
  maskLow: number,
  maskHigh: number,
  number: number,
  parities: number,
  length: number,
): void {
  writeControlHeader(view, offset, CONTROL_KIND.PARITY, PARITY_HEADER_LENGTH - CONTROL_HEADER_LENGTH + length);
  view.setInt32(offset + INDEX, index);
  writeUint53(view, offset + FIRST, first);
  view.setInt32(offset + MASK_LOW, maskLow);
  view.setInt32(offset + MASK_HIGH, maskHigh);
  view.setUint8(offset + NUMBER, number);
  view.setUint8(offset + PARITIES, parities);
  view.setUint16(offset + COVERED, length);
}

function isBlock(view: DataView, offset: number): boolean {
  const maskLow = parityMaskLow(view, offset);
  const datagrams = maskCount(maskLow) + maskCount(parityMaskHigh(view, offset));
  const parities = parityParities(view, offset);
  const isSized = datagrams <= BLOCK_DATAGRAMS_MAX && parities <= BLOCK_PARITIES_MAX;
  return isSized && (maskLow & 1) === 1 && parityNumber(view, offset) < parities;
}
