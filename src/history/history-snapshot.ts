/**
 * What a peer's books said: the sum of all lanes, now and at moments of the last minute, so that figures of the last second,
 * 10 seconds and 60 seconds can be told. Memory is bounded: a snapshot a second for eleven seconds, and one each ten
 * seconds for seventy.
 */
import type { HistoryFigures, PathCounts } from '../ledger/history-figures.ts';
import { PATHS_MAX } from '../path/path-types.ts';
import { HISTORY_CELL, laneBlock, PATH_CELL, pathCells } from './history-cells.ts';

/** Lengths of the intervals that are told, s. */
export const INTERVALS_SECONDS = [1, 10, 60] as const;

type CellName<Cells> = Exclude<keyof Cells, 'CELLS'> & string;
const HISTORY_NAMES = namesOf(HISTORY_CELL);
const PATH_NAMES = namesOf(PATH_CELL);
const CELLS = HISTORY_CELL.CELLS + PATHS_MAX * PATH_CELL.CELLS;

/** Cells of which the most that any lane says counts. */
const MAXIMA: ReadonlySet<number> = new Set([
  HISTORY_CELL.REORDER_MAX,
  ...Array.from({ length: PATHS_MAX }, (_, path) => pathCells(path) + PATH_CELL.LAST_RX_MS),
  ...Array.from({ length: PATHS_MAX }, (_, path) => pathCells(path) + PATH_CELL.REORDER_MAX),
]);
/** Cells that are no totals: of an interval they say what holds at its end. */
const LEVELS: ReadonlySet<number> = new Set([...MAXIMA, HISTORY_CELL.RING_BYTES]);

/** A peer's figures, over all lanes. */
export interface HistoryBooks {
  readonly total: HistoryFigures;
  /** By INTERVALS_SECONDS. */
  readonly intervals: readonly HistoryFigures[];
  /** By slot, PATHS_MAX of each. */
  readonly pathTotals: readonly PathCounts[];
  readonly pathIntervals: readonly (readonly PathCounts[])[];
}

const EARLY_MS = 500;

interface Moment {
  readonly atMs: number;
  readonly cells: Float64Array;
}

/** Moments at least so far apart, the oldest first, no more than `most`. */
class Moments {
  readonly #stepMs: number;
  readonly #most: number;
  readonly #kept: Moment[];

  constructor(stepMs: number, most: number, first: Moment) {
    this.#stepMs = stepMs;
    this.#most = most;
    this.#kept = [first];
  }

  add(moment: Moment): void {
    const last = this.#kept.at(-1);
    // Timers are never exact: what comes a little early is no reason to wait for another one.
    if (last !== undefined && moment.atMs - last.atMs < this.#stepMs - EARLY_MS) return;
    this.#kept.push(moment);
    if (this.#kept.length > this.#most) this.#kept.shift();
  }

  /** The newest that is as old, or the oldest. */
  before(atMs: number): Moment | undefined {
    return this.#kept.findLast((moment) => moment.atMs <= atMs) ?? this.#kept[0];
  }
}

/** Reads a peer's books, and remembers what they said. */
export class HistoryIntervals {
  readonly #blocks: readonly Float64Array[];
  readonly #first: Moment;
  readonly #seconds: Moments;
  readonly #tens: Moments;
  /** What the cells of a slot said when its present path began; 0 for all others. */
  readonly #begun: Float64Array = new Float64Array(CELLS);

  /** `memory`: of `historyCellsBytes(lanes)`. */
  constructor(memory: SharedArrayBuffer, lanes: number, nowMs: number) {
    this.#blocks = Array.from({ length: lanes }, (_, lane) => laneBlock(memory, lane));
    this.#first = { atMs: nowMs, cells: new Float64Array(CELLS) };
    this.#seconds = new Moments(1_000, 12, this.#first);
    this.#tens = new Moments(10_000, 8, this.#first);
  }

  /** Once a second. */
  look(nowMs: number): void {
    const moment = this.#read(nowMs);
    this.#seconds.add(moment);
    this.#tens.add(moment);
  }

  /** The path in a slot is another one from now on: its figures begin anew, those of all paths together go on. */
  beginPath(path: number, nowMs: number): void {
    const { cells } = this.#read(nowMs);
    const at = pathCells(path);
    this.#begun.set(cells.subarray(at, at + PATH_CELL.CELLS), at);
  }

  books(nowMs: number): HistoryBooks {
    const now = this.#read(nowMs);
    const since = INTERVALS_SECONDS.map((seconds) => {
      const moments = seconds > 10 ? this.#tens : this.#seconds;
      return moments.before(nowMs - seconds * 1_000) ?? this.#first;
    });
    return {
      total: figuresOf(differenceOf(now, this.#first)),
      intervals: since.map((before) => figuresOf(differenceOf(now, before))),
      pathTotals: this.#pathsSince(now, this.#first),
      pathIntervals: since.map((before) => this.#pathsSince(now, before)),
    };
  }

  #pathsSince(now: Moment, before: Moment): PathCounts[] {
    const cells = now.cells.map((value, cell) => {
      const begun = this.#begun[cell];
      if (LEVELS.has(cell)) return value > begun ? value : 0;
      return value - Math.max(before.cells[cell], begun);
    });
    return pathsOf({ atMs: now.atMs, cells });
  }

  #read(atMs: number): Moment {
    const cells = new Float64Array(CELLS);
    for (const block of this.#blocks)
      for (let cell = 0; cell < CELLS; cell += 1)
        cells[cell] = MAXIMA.has(cell) ? Math.max(cells[cell], block[cell]) : cells[cell] + block[cell];
    return { atMs, cells };
  }
}

/** `atMs` of it is a length. */
function differenceOf(now: Moment, before: Moment): Moment {
  const cells = now.cells.map((value, cell) => (LEVELS.has(cell) ? value : value - before.cells[cell]));
  return { atMs: now.atMs - before.atMs, cells };
}

function figuresOf({ atMs, cells }: Moment): HistoryFigures {
  const expected = cells[HISTORY_CELL.EXPECTED];
  const repaired = cells[HISTORY_CELL.FILLED_REPEAT] + cells[HISTORY_CELL.FILLED_PARITY];
  const lost = cells[HISTORY_CELL.LOST];
  const share = (part: number): number | null => (expected > 0 ? Math.min(1, part / expected) : null);
  const paths = pathsOf({ atMs, cells });
  return {
    seconds: atMs / 1_000,
    counts: Object.fromEntries(HISTORY_NAMES.map((name) => [name, cells[HISTORY_CELL[name]]])),
    sums: Object.fromEntries(SUMMED.map((name) => [name, paths.reduce((sum, counts) => sum + counts[name], 0)])),
    lossBefore: share(lost + repaired),
    lossAfter: share(lost),
  };
}

const SUMMED = PATH_NAMES.filter((name) => name !== 'LAST_RX_MS' && name !== 'REORDER_MAX');

function pathsOf({ cells }: Moment): PathCounts[] {
  return Array.from({ length: PATHS_MAX }, (_, path) => {
    return Object.fromEntries(PATH_NAMES.map((name) => [name, cells[pathCells(path) + PATH_CELL[name]]]));
  });
}

function namesOf<Cells extends Readonly<Record<string, number>>>(cells: Cells): CellName<Cells>[] {
  return Object.keys(cells).filter((name): name is CellName<Cells> => name !== 'CELLS');
}
