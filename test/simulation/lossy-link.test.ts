/** Repeats over links that lose, reorder and double datagrams, one by one and in bursts. A seed is printed with what fails. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HISTORY_CELL } from '../../src/history/history-cells.ts';
import type { HistoryWish } from '../support/fake-history.ts';
import { type Link, LossyTunnel, ONE_WAY_MS, run } from './lossy-tunnel.ts';

const WISH: HistoryWish = { retransmitMs: 150, retransmitBudget: 1 };
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const isAscending = (numbers: readonly number[]): boolean =>
  numbers.every((number, at) => at === 0 || number > numbers[at - 1]);

describe('a link that loses a tenth in each direction', () => {
  const link: Link = { loss: 0.1, jitterMs: 3, double: 0.05 };

  it('carries numbered packets through repeats: next to none is lost, and none comes twice', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const tunnel = new LossyTunnel(WISH, link, seed);
        run(tunnel, 1_500, 1, 700);
        const numbers = tunnel.delivered.map(({ number }) => number);
        expect(new Set(numbers).size).toBe(numbers.length);
        expect(numbers.length).toBeGreaterThanOrEqual(1_497);
        const { cells } = tunnel.ends[1].history;
        expect(cells[HISTORY_CELL.FILLED_REPEAT]).toBeGreaterThan(50);
        expect(cells[HISTORY_CELL.MISSED]).toBe(
          cells[HISTORY_CELL.FILLED_LATE] + cells[HISTORY_CELL.FILLED_REPEAT] + cells[HISTORY_CELL.LOST],
        );
      }),
      { numRuns: 8 },
    );
  });

  it('delivers in order, and nothing later than a repeat may be', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const tunnel = new LossyTunnel({ ...WISH, inOrder: 'all' }, link, seed);
        run(tunnel, 1_000, 1);
        const numbers = tunnel.delivered.map(({ number }) => number);
        expect(isAscending(numbers)).toBe(true);
        expect(numbers.length).toBeGreaterThanOrEqual(997);
        const waits = tunnel.delivered.map(({ number, atMs }) => atMs - tunnel.sentMs[number]);
        expect(Math.max(...waits)).toBeLessThan(ONE_WAY_MS + link.jitterMs + 150 + 10);
        expect(tunnel.ends[1].history.rx.order?.held).toBe(0);
      }),
      { numRuns: 8 },
    );
  });
});

describe('a link that loses one in a hundred', () => {
  it('adds one RTT and little more to what was lost', () => {
    const tunnel = new LossyTunnel(WISH, { loss: 0.01, jitterMs: 0, double: 0 }, 7);
    run(tunnel, 3_000, 2);
    expect(tunnel.delivered.length).toBe(3_000);
    const added = tunnel.delivered.map(({ number, atMs }) => atMs - tunnel.sentMs[number] - ONE_WAY_MS);
    added.sort((left, right) => left - right);
    expect(added[Math.floor(added.length * 0.995)]).toBeLessThan(1.5 * 2 * ONE_WAY_MS);
    expect(added.at(-1)).toBeLessThan(2.5 * 2 * ONE_WAY_MS);
    const { cells } = tunnel.ends[0].history;
    expect(cells[HISTORY_CELL.REPEATS_TX]).toBeLessThan(3_000 * 0.02);
  });
});

describe('a link that only reorders', () => {
  it('has next to nothing repeated once the wait is learnt, and loses nothing', () => {
    const tunnel = new LossyTunnel(WISH, { loss: 0, jitterMs: 6, double: 0 }, 11);
    run(tunnel, 3_000, 1);
    expect(tunnel.delivered.length).toBe(3_000);
    expect(tunnel.ends[1].history.cells[HISTORY_CELL.LOST]).toBe(0);
    expect(tunnel.ends[0].history.cells[HISTORY_CELL.REPEATS_TX]).toBeLessThan(30);
  });
});

describe('a link that loses a twentieth in bursts of eight, datagram by datagram', () => {
  it('loses next to none to a stream, although a burst on the way back takes many reports', () => {
    const burst = { share: 0.05, length: 8 };
    const lost = Array.from({ length: 12 }, (_, seed) => {
      const tunnel = new LossyTunnel({ retransmitMs: 150 }, { loss: 0, jitterMs: 0, double: 0, burst }, 1_000 + seed);
      run(tunnel, 6_300, 1);
      const delivered = new Set(tunnel.delivered.map(({ number }) => number));
      expect(delivered.size).toBe(tunnel.delivered.length);
      expect(tunnel.ends[1].history.cells[HISTORY_CELL.MISSED]).toBeGreaterThan(100);
      // Some forty bursts, and for most of them one report.
      expect(tunnel.ends[1].history.cells[HISTORY_CELL.GAPS_TX]).toBeLessThan(100);
      expect(tunnel.ends[0].history.cells[HISTORY_CELL.REPEATS_TX]).toBeLessThan(6_300 * 0.08);
      // What is lost at the very end is left out: there is one such place in a stream.
      return Array.from({ length: 6_000 }, (_each, number) => number).filter((number) => !delivered.has(number)).length;
    });
    expect(Math.max(...lost)).toBeLessThanOrEqual(6);
    expect(lost.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(12 * 6_000 * 0.0002);
  });
});
