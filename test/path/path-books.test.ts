/** What lanes have booked, as the control lane reads it: loss of a peer that does not report. */
import { expect, it } from 'vitest';
import { HISTORY_CELL, historyCellsBytes, laneBlock } from '../../src/history/history-cells.ts';
import { noteLoss, type PathBooks, seenLoss } from '../../src/path/path-books.ts';

function open(lanes: number): PathBooks {
  const memory = new SharedArrayBuffer(historyCellsBytes(lanes));
  return { blocks: Array.from({ length: lanes }, (_, lane) => laneBlock(memory, lane)), seen: [] };
}

/** Adds to a lane's books. */
function book(books: PathBooks, lane: number, counts: Partial<Record<keyof typeof HISTORY_CELL, number>>): void {
  const cells = books.blocks[lane] ?? new Float64Array(0);
  for (const [name, count] of Object.entries(counts)) cells[HISTORY_CELL[name as keyof typeof HISTORY_CELL]] += count;
}

it('one lane knows at once what is missing, and what only came late', () => {
  const books = open(1);
  noteLoss(books, 0);
  book(books, 0, { EXPECTED: 1_000, MISSED: 30, FILLED_LATE: 10, FILLED_REPEAT: 15, LOST: 5 });
  noteLoss(books, 1_000);
  expect(seenLoss(books)).toBeCloseTo(0.02);
});

it('lanes that share a peer, of which none sees gaps, know what their window has left behind', () => {
  const books = open(2);
  noteLoss(books, 0);
  book(books, 0, { EXPECTED: 600, LOST: 20 });
  book(books, 1, { EXPECTED: 400, LOST: 10 });
  noteLoss(books, 1_000);
  expect(seenLoss(books)).toBeCloseTo(0.03);
});

it('loss is forgotten after some seconds', () => {
  const books = open(1);
  noteLoss(books, 0);
  book(books, 0, { EXPECTED: 1_000, MISSED: 100 });
  noteLoss(books, 1_000);
  expect(seenLoss(books)).toBeCloseTo(0.1);
  book(books, 0, { EXPECTED: 1_000 });
  noteLoss(books, 6_500);
  noteLoss(books, 7_000);
  expect(seenLoss(books)).toBe(0);
});
