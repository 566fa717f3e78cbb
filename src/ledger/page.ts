/**
 * One page of shared memory per lane: what the lane commits and anyone may read, without a lock.
 *
 * A 32-bit sequence word comes first, odd while a commit is under way; then cells of 64-bit floats whose places follow
 * from the catalogs. The lane's thread is the only writer (`ledger.ts`); readers copy and check the word
 * (`snapshot.ts`). All numbers are totals since the books were opened and stay exact up to 2^53.
 */
import { BOOKS, USAGE } from '../native/layout.ts';
import { DROP_REASONS } from '../packet/drop-reason.ts';
import { ACTIVITIES, COUNTERS } from './catalog.ts';

const ACTIVITY_NS = 5;
const CORE_WAIT_NS = ACTIVITY_NS + ACTIVITIES.length;
const COUNTS = CORE_WAIT_NS + ACTIVITIES.length;
const DROPS = COUNTS + COUNTERS.length;
const USAGE_SINCE_BEGIN = DROPS + DROP_REASONS.length;

/** Places of the page's cells, in cells. */
export const PAGE: {
  /** CLOCK_MONOTONIC nanoseconds when the books were opened, and of the last switch of activity. */
  readonly OPENED_NS: number;
  readonly NOW_NS: number;
  /** Number of the activity at the commit. */
  readonly ACTIVITY: number;
  /** Commits so far, this one included; 0 means that nothing was ever committed. */
  readonly COMMITS: number;
  /** Nanoseconds of KERN_WAIT in which the thread slept. */
  readonly SLEEP_NS: number;
  /** Nanoseconds, one cell per activity of the catalog. */
  readonly ACTIVITY_NS: number;
  /** Nanoseconds without a core, one cell per activity. */
  readonly CORE_WAIT_NS: number;
  /** One cell per counter of the catalog. */
  readonly COUNTS: number;
  /** One cell per drop reason. */
  readonly DROPS: number;
  /** USAGE cells as differences since the baseline; RUN_QUEUE_WAIT_NS is -1 where the kernel does not tell. */
  readonly USAGE: number;
  readonly CELLS: number;
} = {
  OPENED_NS: 0,
  NOW_NS: 1,
  ACTIVITY: 2,
  COMMITS: 3,
  SLEEP_NS: 4,
  ACTIVITY_NS,
  CORE_WAIT_NS,
  COUNTS,
  DROPS,
  USAGE: USAGE_SINCE_BEGIN,
  CELLS: USAGE_SINCE_BEGIN + USAGE.CELLS,
};

/** Bytes before the first cell: the sequence word, and padding to the alignment of the cells. */
const CELLS_OFFSET = 8;

/** Allocates a zeroed page, to be given to one lane and kept by whoever reads it. */
export function openPage(): SharedArrayBuffer {
  if (BOOKS.CORE_WAIT_NS + ACTIVITIES.length > BOOKS.CELLS)
    throw new RangeError('the books have too few activity cells');
  return new SharedArrayBuffer(CELLS_OFFSET + PAGE.CELLS * Float64Array.BYTES_PER_ELEMENT);
}

/** The sequence word of a page: only to be used with Atomics. */
export function sequenceOf(page: SharedArrayBuffer): Int32Array {
  return new Int32Array(page, 0, 1);
}

/** The cells of a page, PAGE.CELLS long. */
export function cellsOf(page: SharedArrayBuffer): Float64Array {
  return new Float64Array(page, CELLS_OFFSET, PAGE.CELLS);
}
