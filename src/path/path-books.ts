/** What lanes have booked of a peer's paths, and of what the peer sent. */
import { HISTORY_CELL, PATH_CELL, pathCells } from '../history/history-cells.ts';
import type { PathTraffic } from './path-health.ts';

const SEEN_LOSS_MS = 5_000;

/** What of the books of one peer is read here. */
export interface PathBooks {
  /** Each lane's block. */
  readonly blocks: readonly Float64Array[];
  /** What was expected of the peer, and did not come, at some moments of the last while. */
  seen: readonly { readonly atMs: number; readonly expected: number; readonly lost: number }[];
}

/** What went over a path so far. */
export function trafficOf({ blocks }: PathBooks, path: number): PathTraffic {
  const at = pathCells(Math.max(0, path));
  const sum = (cell: number): number => blocks.reduce((total, cells) => total + (cells[at + cell] ?? 0), 0);
  return {
    sentDatagrams: sum(PATH_CELL.UDP_TX),
    sentBytes: sum(PATH_CELL.UDP_TX_BYTES),
    failedDatagrams: sum(PATH_CELL.UDP_TX_FAILED),
    receivedDatagrams: sum(PATH_CELL.UDP_RX),
    receivedBytes: sum(PATH_CELL.UDP_RX_BYTES),
    lastReceivedMs: blocks.reduce((last, cells) => Math.max(last, cells[at + PATH_CELL.LAST_RX_MS] ?? 0), 0),
  };
}

/** Takes note of what of the peer's datagrams did not come by now. */
export function noteLoss(books: PathBooks, nowMs: number): void {
  let expected = 0;
  let lost = 0;
  for (const cells of books.blocks) {
    expected += cells[HISTORY_CELL.EXPECTED];
    // Lanes that share a peer see no gaps; what the replay window has left behind they know, a window of datagrams later.
    lost += books.blocks.length > 1 ? cells[HISTORY_CELL.LOST] : missedOf(cells);
  }
  const recent = books.seen.filter(({ atMs }) => nowMs - atMs < SEEN_LOSS_MS);
  books.seen = [...recent, { atMs: nowMs, expected, lost }];
}

/** What did not come by itself, whether it was repaired or not. */
function missedOf(cells: Float64Array): number {
  return cells[HISTORY_CELL.MISSED] - cells[HISTORY_CELL.FILLED_LATE];
}

/** Share of the peer's datagrams that did not come lately: all that is known of loss towards a peer that does not report. */
export function seenLoss({ seen }: PathBooks): number {
  const [first, last] = [seen[0], seen.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const expected = last.expected - first.expected;
  return expected > 0 ? Math.min(1, Math.max(0, (last.lost - first.lost) / expected)) : 0;
}
