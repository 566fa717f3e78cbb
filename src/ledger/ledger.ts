/**
 * A lane's private books, and their commit to the shared page.
 *
 * The hot path adds to plain typed arrays that nobody else sees; native code books time into `books`. About once a
 * millisecond, and whenever a snapshot is asked for, the lane commits: everything is copied to the page in one go,
 * without allocating, so that the cost (some hundred nanoseconds) is paid per turn and never per packet.
 */
import { BOOKS, USAGE } from '../native/layout.ts';
import { DROP_REASONS } from '../packet/drop-reason.ts';
import { ACTIVITIES, COUNTER, COUNTERS } from './catalog.ts';
import { cellsOf, PAGE, sequenceOf } from './page.ts';

const ACTIVITY_COUNT = ACTIVITIES.length;
const COUNTER_COUNT = COUNTERS.length;
const DROP_COUNT = DROP_REASONS.length;

export class Ledger {
  /** BOOKS.CELLS cells. Native code writes them once the lane is open; only the lane's thread reads them. */
  readonly books: Float64Array = new Float64Array(BOOKS.CELLS);
  /** One cell per counter: `counts[COUNTER.TUN_RX] += n`. The system calls (…_IO) come from the books at each commit. */
  readonly counts: Float64Array = new Float64Array(COUNTER_COUNT);
  /** One cell per drop reason: `drops[DROP.IN_REPLAY] += 1`. */
  readonly drops: Float64Array = new Float64Array(DROP_COUNT);
  /** USAGE.CELLS cells, for the native verb `threadUsage` to fill before `begin` and before a commit that shall be exact. */
  readonly usage: Float64Array = new Float64Array(USAGE.CELLS);
  readonly #usageAtBegin: Float64Array = new Float64Array(USAGE.CELLS);
  readonly #sequence: Int32Array;
  readonly #cells: Float64Array;

  /** @param page from `openPage`; this ledger becomes its only writer. */
  constructor(page: SharedArrayBuffer) {
    this.#sequence = sequenceOf(page);
    this.#cells = cellsOf(page);
  }

  /**
   * Takes the present `usage` as the baseline, so that CPU time counts from the moment from which the books count wall
   * time. Call it once, right after the lane's handle is opened and `threadUsage` has filled `usage`.
   */
  begin(): void {
    this.#usageAtBegin.set(this.usage);
  }

  /**
   * Publishes the books. For an exact snapshot, call `book` (time up to now) and `threadUsage` first.
   *
   * The sequence word is changed by read-modify-write before and after, which orders the plain stores between them on
   * every processor; a reader that sees it odd, or different afterwards, reads again.
   */
  commit(): void {
    const { books, counts, drops, usage } = this;
    const cells = this.#cells;
    const usageAtBegin = this.#usageAtBegin;
    takeSystemCalls(counts, books);
    Atomics.add(this.#sequence, 0, 1);
    cells[PAGE.OPENED_NS] = books[BOOKS.OPENED_NS];
    cells[PAGE.NOW_NS] = books[BOOKS.NOW_NS];
    cells[PAGE.ACTIVITY] = books[BOOKS.ACTIVITY];
    cells[PAGE.COMMITS] += 1;
    cells[PAGE.SLEEP_NS] = books[BOOKS.SLEEP_NS];
    for (let id = 0; id < ACTIVITY_COUNT; id++) cells[PAGE.ACTIVITY_NS + id] = books[BOOKS.ACTIVITY_NS + id];
    for (let id = 0; id < ACTIVITY_COUNT; id++) cells[PAGE.CORE_WAIT_NS + id] = books[BOOKS.CORE_WAIT_NS + id];
    for (let id = 0; id < COUNTER_COUNT; id++) cells[PAGE.COUNTS + id] = counts[id];
    for (let id = 0; id < DROP_COUNT; id++) cells[PAGE.DROPS + id] = drops[id];
    for (let cell = 0; cell < USAGE.CELLS; cell++) cells[PAGE.USAGE + cell] = usage[cell] - usageAtBegin[cell];
    if (usage[USAGE.RUN_QUEUE_WAIT_NS] < 0) cells[PAGE.USAGE + USAGE.RUN_QUEUE_WAIT_NS] = -1;
    Atomics.add(this.#sequence, 0, 1);
  }
}

/** System calls are counted where they are made, in native code; the catalog's counters show those cells. */
function takeSystemCalls(counts: Float64Array, books: Float64Array): void {
  counts[COUNTER.TUN_READ_IO] = books[BOOKS.READ_TUN_IO];
  counts[COUNTER.TUN_WRITE_IO] = books[BOOKS.WRITE_TUN_IO];
  counts[COUNTER.UDP_SEND_IO] = books[BOOKS.SEND_UDP_IO];
  counts[COUNTER.UDP_RECV_IO] = books[BOOKS.RECV_UDP_IO];
  counts[COUNTER.WAIT_IO] = books[BOOKS.WAIT_IO];
}
