/** A peer's histories as status tells them: what is known of its paths, and what its books say. */
import { formatAddress } from '../control/ip-text.ts';
import { formatEndpoint } from '../endpoint-text.ts';
import type { HistoryStatus, PathCounts, PathStatus } from '../ledger/history-figures.ts';
import type { PathFigures, PathMode } from '../path/path-types.ts';
import type { HistoryBooks } from './history-snapshot.ts';
import type { HistorySettings } from './settings.ts';

/** The mode that settings come to. */
export function pathModeOf({ pathMode, paths }: HistorySettings): PathMode {
  return pathMode ?? (paths.length === 0 ? 'follow' : 'failover');
}

/**
 * Puts a peer's status together.
 *
 * @param figures of its paths, as the control lane knows them; of those that settings name
 * @param nowMs CLOCK_MONOTONIC ms
 */
export function historyStatus(
  settings: HistorySettings,
  figures: readonly PathFigures[],
  books: HistoryBooks,
  nowMs: number,
): HistoryStatus {
  const { total, intervals } = books;
  const paths = figures.map((path) => pathStatus(settings, path, books, nowMs));
  return { mode: pathModeOf(settings), paths, total, intervals };
}

function pathStatus(
  settings: HistorySettings,
  { path, name, state, use, endpoint, rttMs, loss, rateBytesPerMs, lastHeardMs }: PathFigures,
  { pathTotals, pathIntervals }: HistoryBooks,
  nowMs: number,
): PathStatus {
  const configured = settings.paths.find((one) => one.name === name);
  const sentFrom = endpoint?.localAddress ? formatAddress(endpoint.localAddress) : null;
  const total = pathTotals[path] ?? {};
  const heardMs = Math.max(lastHeardMs, total.LAST_RX_MS ?? 0);
  return {
    ...{ name, state, use, rttMs, loss },
    local: configured?.localAddress ?? configured?.localInterface ?? sentFrom,
    endpoint: endpoint === null ? null : formatEndpoint(endpoint),
    rateBytesPerSecond: rateBytesPerMs === null ? null : rateBytesPerMs * 1_000,
    heardAgoMs: heardMs === 0 ? null : Math.max(0, nowMs - heardMs),
    total: withoutTime(total),
    intervals: pathIntervals.map((counts) => withoutTime(counts[path] ?? {})),
  };
}

/** `heardAgoMs` tells it in a way that others can use. */
function withoutTime({ LAST_RX_MS: _, ...counts }: PathCounts): PathCounts {
  return counts;
}
