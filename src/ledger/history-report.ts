/**
 * Histories as text: what was lost before and after, what was sent more than once, and a line for each path. `gigatun show`
 * and `gigatun stats` print the same.
 */
import { ratio } from './balance.ts';
import type { HistoryFigures, HistoryStatus, PathStatus, PeerHistoryStatus } from './history-figures.ts';
import {
  type Alignment,
  alignColumns,
  formatBytes,
  formatCount,
  formatNumber,
  formatPercent,
  NO_FIGURE,
} from './table.ts';

/** Lines of one peer's histories. */
export function historyLines(status: HistoryStatus): string[] {
  const times = [...status.intervals, status.total];
  return [
    ...alignColumns(
      [TIME_HEADING, ...times.map((figures) => timeRow(figures, figures === status.total))],
      TIME_COLUMNS,
    ),
    ...sentAgainLines(status.total),
    ...(status.paths.length === 0 ? [] : [`paths: ${status.mode}`, ...pathLines(status.paths)]),
  ];
}

/** Lines of all peers that have histories, each under its key. */
export function historiesSection(histories: readonly PeerHistoryStatus[]): string[] {
  return histories.flatMap((status) => ['', `histories of peer ${status.publicKey}`, ...historyLines(status)]);
}

const TIME_HEADING = ['', 'UDP_TX', 'UDP_TX_UNIQ', 'UDP_RX', 'UDP_RX_UNIQ', 'datagrams lost before', 'after'];
const TIME_COLUMNS: readonly Alignment[] = ['l', 'r', 'r', 'r', 'r', 'r', 'r'];

function timeRow({ seconds, sums, lossBefore, lossAfter }: HistoryFigures, isTotal: boolean): string[] {
  return [
    isTotal ? 'in all' : `last ${formatNumber(seconds, 1)} s`,
    ...['UDP_TX', 'UDP_TX_UNIQ', 'UDP_RX', 'UDP_RX_UNIQ'].map((name) => formatCount(sums[name] ?? 0)),
    formatPercent(lossBefore, 3),
    formatPercent(lossAfter, 3),
  ];
}

/** Only what has happened. */
function sentAgainLines({ counts }: HistoryFigures): string[] {
  const parts = (title: string, named: readonly (readonly [string, string])[]): string[] => {
    const happened = named.filter(([name]) => (counts[name] ?? 0) > 0);
    if (happened.length === 0) return [];
    return [`  ${title}: ${happened.map(([name, text]) => `${formatCount(counts[name] ?? 0)} ${text}`).join(', ')}`];
  };
  return [...parts('sent', SENT), ...parts('received', RECEIVED), ...parts('missing', MISSING)];
}

const SENT = [
  ['COPIES_TX', 'copies'],
  ['COPIES_HELD', 'copies left out'],
  ['REPEATS_TX', 'repeats'],
  ['REPEATS_ASKED', 'asked for'],
  ['REPEATS_HELD', 'repeats held by the budget'],
  ['REPEATS_GONE', 'no longer there'],
  ['PARITY_TX', 'parity messages'],
  ['GAPS_TX', 'reports of gaps'],
  ['AGAIN_FAILED', 'copies and repeats refused by the kernel'],
] as const;
const RECEIVED = [
  ['EXPECTED', 'expected'],
  ['DUPLICATES', 'duplicates'],
  ['PARITY_RX', 'parity messages'],
  ['REMADE_REFUSED', 'remade in vain'],
  ['PARITY_REFUSED', 'parity messages refused'],
  ['HELD', 'held for order'],
  ['HELD_EXPIRED', 'held in vain'],
  ['TOO_LATE', 'too late'],
] as const;
const MISSING = [
  ['MISSED', 'for a while'],
  ['FILLED_LATE', 'came late'],
  ['REORDER_MAX', 'datagrams too late at most'],
  ['FILLED_REPEAT', 'repeated'],
  ['FILLED_PARITY', 'remade from parity'],
  ['LOST', 'lost'],
] as const;

/** Names of the counts that are told here. */
export const TOLD_COUNTS: readonly string[] = [...SENT, ...RECEIVED, ...MISSING].map(([name]) => name);

const PATH_HEADING = [
  ...['name', 'state', 'use', 'local', 'endpoint', 'RTT', 'loss', 'rate', 'heard'],
  ...['UDP_TX', 'UDP_TX_UNIQ', 'sent', 'UDP_RX', 'UDP_RX_UNIQ', 'received'],
];
const PATH_COLUMNS: readonly Alignment[] = PATH_HEADING.map((_, column) => (column < 5 ? 'l' : 'r'));

function pathLines(paths: readonly PathStatus[]): string[] {
  return alignColumns([PATH_HEADING, ...paths.map(pathRow)], PATH_COLUMNS);
}

function pathRow(path: PathStatus): string[] {
  const { name, state, use, local, endpoint, rttMs, loss, rateBytesPerSecond: rate, heardAgoMs, total } = path;
  return [
    ...[name, state, use, local ?? NO_FIGURE, endpoint ?? NO_FIGURE],
    rttMs === null ? NO_FIGURE : `${formatNumber(rttMs, 1)} ms`,
    formatPercent(loss, 2),
    rate === null ? NO_FIGURE : `${formatNumber(ratio(rate * 8, 1e6), 1)} Mbit/s`,
    heardAgoMs === null ? 'never' : `${formatNumber(heardAgoMs / 1_000, 1)} s ago`,
    ...[formatCount(total.UDP_TX ?? 0), formatCount(total.UDP_TX_UNIQ ?? 0), formatBytes(total.UDP_TX_BYTES ?? 0)],
    ...[formatCount(total.UDP_RX ?? 0), formatCount(total.UDP_RX_UNIQ ?? 0), formatBytes(total.UDP_RX_BYTES ?? 0)],
  ];
}
