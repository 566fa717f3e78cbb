/** Figures of a peer's histories: what all lanes say together, in all and of the last seconds, and how they are told. */
import { describe, expect, it } from 'vitest';
import { formatShow } from '../../src/cli/format-show.ts';
import { HISTORY_CELL, historyCellsBytes, laneBlock, PATH_CELL, pathCells } from '../../src/history/history-cells.ts';
import { HistoryControl } from '../../src/history/history-control.ts';
import { HistoryIntervals } from '../../src/history/history-snapshot.ts';
import { historyStatus, pathModeOf } from '../../src/history/history-status.ts';
import { type HistorySettings, NO_HISTORY } from '../../src/history/settings.ts';
import { historyLines, TOLD_COUNTS } from '../../src/ledger/history-report.ts';
import { NO_FIGURE } from '../../src/ledger/table.ts';
import type { PathFigures } from '../../src/path/path-types.ts';

const START_MS = 5_000;
const PATHS = [
  { name: 'dsl', localAddress: null, localInterface: 'eth0', endpoint: null, weight: 1, isBackup: false },
  { name: 'lte', localAddress: '192.0.2.9', localInterface: null, endpoint: null, weight: 1, isBackup: true },
];
const SETTINGS: HistorySettings = { ...NO_HISTORY, retransmitMs: 150, paths: PATHS };

function books(lanes: number): { memory: SharedArrayBuffer; blocks: Float64Array[] } {
  const memory = new SharedArrayBuffer(historyCellsBytes(lanes));
  return { memory, blocks: Array.from({ length: lanes }, (_, lane) => laneBlock(memory, lane)) };
}

function add(block: Float64Array | undefined, counts: Partial<Record<keyof typeof HISTORY_CELL, number>>): void {
  for (const [name, count] of Object.entries(counts)) {
    const cell = HISTORY_CELL[name as keyof typeof HISTORY_CELL];
    if (block !== undefined) block[cell] += count;
  }
}

describe('the books of a peer', () => {
  it('are the sum of its lanes; of times and depths the most', () => {
    const { memory, blocks } = books(3);
    blocks.forEach((block, lane) => {
      add(block, { COPIES_TX: lane + 1, EXPECTED: 100, LOST: lane });
      block[pathCells(1) + PATH_CELL.UDP_RX] = 10 * lane;
      block[pathCells(1) + PATH_CELL.LAST_RX_MS] = 1_000 - lane;
      block[pathCells(1) + PATH_CELL.REORDER_MAX] = lane;
    });
    const { total, pathTotals } = new HistoryIntervals(memory, 3, START_MS).books(START_MS + 500);
    expect(total.counts).toMatchObject({ COPIES_TX: 6, EXPECTED: 300, LOST: 3, REPEATS_TX: 0 });
    expect(total.sums.UDP_RX).toBe(30);
    expect(pathTotals[1]).toMatchObject({ UDP_RX: 30, LAST_RX_MS: 1_000, REORDER_MAX: 2 });
    expect(pathTotals).toHaveLength(8);
    expect(total.seconds).toBe(0.5);
  });

  it('of a path begin anew when its slot has another path; those of all paths go on', () => {
    const { memory, blocks } = books(2);
    const intervals = new HistoryIntervals(memory, 2, START_MS);
    const bookPath = (path: number, datagrams: number, atMs: number): void => {
      for (const block of blocks) {
        block[pathCells(path) + PATH_CELL.UDP_RX] += datagrams;
        block[pathCells(path) + PATH_CELL.LAST_RX_MS] = atMs;
      }
    };
    bookPath(0, 10, START_MS + 100);
    bookPath(1, 100, START_MS + 100);
    intervals.beginPath(1, START_MS + 200);
    const before = intervals.books(START_MS + 300);
    expect(before.pathTotals[1]).toMatchObject({ UDP_RX: 0, LAST_RX_MS: 0 });
    expect(before.pathTotals[0]).toMatchObject({ UDP_RX: 20, LAST_RX_MS: START_MS + 100 });
    bookPath(1, 7, START_MS + 400);
    const { total, pathTotals, pathIntervals } = intervals.books(START_MS + 500);
    expect(pathTotals[1]).toMatchObject({ UDP_RX: 14, LAST_RX_MS: START_MS + 400 });
    expect(pathIntervals.map((counts) => counts[1]?.UDP_RX)).toEqual([14, 14, 14]);
    expect(total.sums.UDP_RX).toBe(234);
  });

  it('tell what was lost before and after: repeats and parity are the difference', () => {
    const { memory, blocks } = books(1);
    const intervals = new HistoryIntervals(memory, 1, 0);
    expect(intervals.books(1).total).toMatchObject({ lossBefore: null, lossAfter: null });
    add(blocks[0], { EXPECTED: 1_000, MISSED: 30, FILLED_LATE: 10, FILLED_REPEAT: 12, FILLED_PARITY: 6, LOST: 2 });
    expect(intervals.books(1).total).toMatchObject({ lossBefore: 0.02, lossAfter: 0.002 });
  });

  it('tell the last second, 10 and 60 seconds, each from what was there then', () => {
    const { memory, blocks } = books(1);
    const intervals = new HistoryIntervals(memory, 1, START_MS);
    add(blocks[0], { RING_BYTES: 9 });
    for (let second = 1; second <= 300; second += 1) {
      add(blocks[0], { EXPECTED: 10 });
      intervals.look(START_MS + second * 1_000);
    }
    const { intervals: told, total } = intervals.books(START_MS + 300_000);
    expect(told.map(({ seconds }) => seconds)).toEqual([1, 10, 60]);
    expect(told.map(({ counts }) => counts.EXPECTED)).toEqual([10, 100, 600]);
    expect(told.map(({ counts }) => counts.RING_BYTES)).toEqual([9, 9, 9]);
    expect(total.counts.EXPECTED).toBe(3_000);
  });

  it('tell how long an interval really is when looks come late', () => {
    const { memory, blocks } = books(1);
    const intervals = new HistoryIntervals(memory, 1, START_MS);
    for (const atMs of [1_100, 2_300, 3_000, 9_500]) intervals.look(START_MS + atMs);
    add(blocks[0], { EXPECTED: 7 });
    const told = intervals.books(START_MS + 10_000).intervals;
    expect(told.map(({ seconds }) => seconds)).toEqual([7, 10, 10]);
    expect(told.map(({ counts }) => counts.EXPECTED)).toEqual([7, 7, 7]);
  });
});

describe('the control lane', () => {
  it('goes on with the figures of a peer as long as there are settings and the books are the same', () => {
    const histories = new HistoryControl(2);
    const [first, second] = [books(2), books(2)];
    const expectedAt = (nowMs: number): unknown[] => {
      const total = histories.books(7, nowMs)?.total;
      return [total?.seconds, total?.counts.EXPECTED];
    };
    histories.set(7, SETTINGS, first.memory, 0);
    add(first.blocks[1], { EXPECTED: 5 });
    histories.set(7, { ...SETTINGS, retransmitMs: 80 }, first.memory, 1_000);
    expect(expectedAt(2_000)).toEqual([2, 5]);
    expect(histories.settingsOf(7)?.retransmitMs).toBe(80);
    histories.set(7, SETTINGS, second.memory, 3_000);
    expect(expectedAt(4_000)).toEqual([1, 0]);
  });

  it('knows nothing of a peer that is gone, or that has no settings any more', () => {
    const histories = new HistoryControl(1);
    histories.set(7, SETTINGS, books(1).memory, 0);
    histories.set(8, SETTINGS, books(1).memory, 0);
    expect([...histories.entries()]).toEqual([
      [7, SETTINGS],
      [8, SETTINGS],
    ]);
    histories.forget(7);
    histories.set(8, null, null, 0);
    histories.set(9, SETTINGS, null, 0);
    expect([...histories.entries()]).toEqual([]);
    expect([histories.settingsOf(7), histories.books(8, 1)]).toEqual([null, null]);
  });
});

describe('the status of histories', () => {
  const { memory, blocks } = books(1);
  const intervals = new HistoryIntervals(memory, 1, START_MS);
  add(blocks[0], {
    EXPECTED: 200_000,
    MISSED: 2_100,
    FILLED_LATE: 100,
    FILLED_REPEAT: 1_999,
    LOST: 1,
    REPEATS_TX: 1_234,
  });
  const block = blocks[0] ?? new Float64Array(0);
  block[pathCells(0) + PATH_CELL.UDP_TX] = 3_000;
  block[pathCells(0) + PATH_CELL.UDP_TX_UNIQ] = 2_000;
  block[pathCells(0) + PATH_CELL.UDP_TX_BYTES] = 4_200_000;
  block[pathCells(0) + PATH_CELL.LAST_RX_MS] = 8_000;
  const remote = { family: 4 as const, address: Uint8Array.of(198, 51, 100, 1), port: 51_820, scope: 0 };
  const figures: PathFigures[] = [
    {
      ...{ path: 0, name: 'dsl', state: 'alive', use: 'first', rttMs: 20.04, loss: 0.0101, rateBytesPerMs: 12_500 },
      ...{ lastHeardMs: 7_000, endpoint: { ...remote, localAddress: null, localInterface: 3 } },
    },
    {
      ...{ path: 1, name: 'lte', state: 'dead', use: 'idle', rttMs: null, loss: null, rateBytesPerMs: null },
      ...{ lastHeardMs: 0, endpoint: null },
    },
  ];
  const status = historyStatus(SETTINGS, figures, intervals.books(9_500), 9_500);

  it('joins what is known of a path with what went over it', () => {
    expect(status.mode).toBe('failover');
    expect(status.paths[0]).toMatchObject({
      ...{ name: 'dsl', state: 'alive', local: 'eth0', endpoint: '198.51.100.1:51820' },
      ...{ heardAgoMs: 1_500, rateBytesPerSecond: 12_500_000, total: { UDP_TX: 3_000, UDP_TX_UNIQ: 2_000 } },
    });
    expect(status.paths[1]).toMatchObject({ local: '192.0.2.9', endpoint: null, heardAgoMs: null });
    expect(JSON.parse(JSON.stringify(status))).toEqual(status);
  });

  it('names a mode even where configuration names none', () => {
    expect(pathModeOf(NO_HISTORY)).toBe('follow');
    expect(pathModeOf(SETTINGS)).toBe('failover');
    expect(pathModeOf({ ...SETTINGS, pathMode: 'weighted' })).toBe('weighted');
  });

  it('reads as agreed', () => {
    expect(historyLines(status)).toEqual([
      '              UDP_TX  UDP_TX_UNIQ  UDP_RX  UDP_RX_UNIQ  datagrams lost before    after',
      ...Array.from(
        { length: 3 },
        () => '  last 4.5 s   3,000        2,000       0            0                1.000 %  0.001 %',
      ),
      '  in all       3,000        2,000       0            0                1.000 %  0.001 %',
      '  sent: 1,234 repeats',
      '  received: 200,000 expected',
      '  missing: 2,100 for a while, 100 came late, 1,999 repeated, 1 lost',
      'paths: failover',
      expect.stringMatching(/^ {2}name {2}state {2}use +local +endpoint +RTT +loss +rate +heard +UDP_TX +UDP_TX_UNIQ/),
      expect.stringMatching(
        /^ {2}dsl +alive +first +eth0 +198\.51\.100\.1:51820 +20\.0 ms +1\.01 % +100\.0 Mbit\/s +1\.5 s ago +3,000 +2,000 +4\.20 MB/,
      ),
      expect.stringMatching(new RegExp(`^ {2}lte +dead +idle +192.0.2.9 +${NO_FIGURE} +${NO_FIGURE} .*never`)),
    ]);
  });

  it('tells every count that the books have, but for times and levels', () => {
    const untold = ['CELLS', 'REPAIR_MS', 'RING_BYTES'];
    const cells = Object.keys(HISTORY_CELL).filter((name) => !untold.includes(name));
    expect([...TOLD_COUNTS].sort()).toEqual(cells.sort());
  });

  it('stands in `gigatun show` below its peer', () => {
    const peer = {
      ...{ publicKey: 'x', endpoint: null, allowedIps: [], latestHandshakeMs: 0, rxBytes: 0, txBytes: 0, cipher: null },
      ...{ persistentKeepaliveSeconds: 0, hasPresharedKey: false, isGigatun: true, groupDatagramsMax: 1 },
      ...{ groupShortTail: true, groupRetrySeconds: null, lastFailure: null, history: status },
    };
    const device = {
      ...{ interface: 'wg0', publicKey: null, listenPort: 1, fwmark: 0, mtu: 1_420, up: true, aead: '', lanes: 1 },
      ...{ offloads: [], heldOffloads: [], pid: 1, rssBytes: 1, memoryCapBytes: null, memoryCrossingsCount: 0 },
    };
    const text = formatShow({ ...device, peers: [peer] }, 0);
    expect(text).toContain('peer: x\n');
    expect(text).toContain(
      `${historyLines(status)
        .map((line) => `  ${line}`)
        .join('\n')}\n`,
    );
  });
});
