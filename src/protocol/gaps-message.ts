/**
 * Reports of gaps (kind 8) and tails (kind 9), as lanes write them into memory of theirs and read them where they were
 * unsealed: nothing is allocated. A report names transport counters of one keypair that are missing at its sender:
 *
 *     0 - 3    receiver index of the keypair: the report's sender's own, as it stands in the datagrams that it misses
 *     4 - 11   base: a counter
 *     12 -     1 to 128 ranges of 4 bytes: first counter - base (16 bits), counters in the range - 1 (16 bits)
 *
 * Ranges ascend, do not overlap, and end within GAPS_SPAN of the base: no report asks for more than a replay
 * window holds, and looking at one takes no longer than that. A tail has one byte, which is zero: its own transport
 * counter is what it says. What will never be repeated (kind 11) is told in the form of a report, with the index that it had.
 */
import {
  CONTROL_HEADER_LENGTH,
  CONTROL_KIND,
  controlBodyLength,
  readUint53,
  writeControlHeader,
  writeUint53,
} from './control-header.ts';

export const GAPS_RANGES_MAX = 128;
/** Counters from the base on that a report may speak of: a replay window of them. */
export const GAPS_SPAN = 8_192;
/** Bytes of a tail, header included. */
export const TAIL_LENGTH: number = CONTROL_HEADER_LENGTH + 1;

const INDEX = CONTROL_HEADER_LENGTH;
const BASE = CONTROL_HEADER_LENGTH + 4;
const RANGES = CONTROL_HEADER_LENGTH + 12;
const RANGE_LENGTH = 4;
const BODY_LENGTH_MIN = 12 + RANGE_LENGTH;
const BASE_MAX = Number.MAX_SAFE_INTEGER - GAPS_SPAN;

/**
 * Checks the report at `offset`, whose kind is known.
 *
 * @param plaintextLength bytes that were unsealed at `offset`
 * @returns its number of ranges, 1 to GAPS_RANGES_MAX; 0 if anything of it is wrong, and it must not be read then
 */
export function gapsRanges(view: DataView, offset: number, plaintextLength: number): number {
  const body = controlBodyLength(view, offset, plaintextLength);
  if (body < BODY_LENGTH_MIN || body % RANGE_LENGTH !== 0) return 0;
  const ranges = (body - BODY_LENGTH_MIN) / RANGE_LENGTH + 1;
  const base = readUint53(view, offset + BASE);
  return ranges <= GAPS_RANGES_MAX && base >= 0 && base <= BASE_MAX && areOrdered(view, offset, ranges) ? ranges : 0;
}

/** Receiver index of a checked report, int32. */
export function gapsIndex(view: DataView, offset: number): number {
  return view.getInt32(offset + INDEX);
}

/** First missing counter of a range, by its number from 0 on, of a checked report. */
export function gapFirst(view: DataView, offset: number, range: number): number {
  return readUint53(view, offset + BASE) + rangeStart(view, offset, range);
}

/** Missing counters in a range of a checked report, at least 1. */
export function gapCount(view: DataView, offset: number, range: number): number {
  return view.getUint16(offset + RANGES + range * RANGE_LENGTH + 2) + 1;
}

/** Bytes of a report with so many ranges, header included. */
export function gapsLength(ranges: number): number {
  return RANGES + ranges * RANGE_LENGTH;
}

/**
 * Writes all but the ranges of a report. `index`: int32; `base`: 0 to 2^53 - 1 - GAPS_SPAN; `ranges`: 1 to GAPS_RANGES_MAX;
 * `kind`: GAPS, or GONE.
 */
export function writeGaps(
  view: DataView,
  offset: number,
  index: number,
  base: number,
  ranges: number,
  kind: number = CONTROL_KIND.GAPS,
): void {
  writeControlHeader(view, offset, kind, gapsLength(ranges) - CONTROL_HEADER_LENGTH);
  view.setInt32(offset + INDEX, index);
  writeUint53(view, offset + BASE, base);
}

/**
 * Writes a range of a report, which must be behind the one before it.
 *
 * @param start first missing counter - base, 0 to GAPS_SPAN - 1
 * @param count counters, at least 1; `start` + `count` at most GAPS_SPAN
 */
export function writeGap(view: DataView, offset: number, range: number, start: number, count: number): void {
  const at = offset + RANGES + range * RANGE_LENGTH;
  view.setUint16(at, start);
  view.setUint16(at + 2, count - 1);
}

/** Writes a tail of TAIL_LENGTH bytes. */
export function writeTail(view: DataView, offset: number): void {
  writeControlHeader(view, offset, CONTROL_KIND.TAIL, TAIL_LENGTH - CONTROL_HEADER_LENGTH);
  view.setUint8(offset + CONTROL_HEADER_LENGTH, 0);
}

function areOrdered(view: DataView, offset: number, ranges: number): boolean {
  let freeFrom = 0;
  for (let range = 0; range < ranges; range += 1) {
    const start = rangeStart(view, offset, range);
    if (start < freeFrom) return false;
    freeFrom = start + gapCount(view, offset, range);
  }
  return freeFrom <= GAPS_SPAN;
}

function rangeStart(view: DataView, offset: number, range: number): number {
  return view.getUint16(offset + RANGES + range * RANGE_LENGTH);
}
