/** Which paths are used, and how: from what each is like, by the mode. Pure; `path-manager.ts` keeps what it found. */

import type { PathState } from './path-health.ts';
import { type LanePath, NO_PATH, type PathMode } from './path-types.ts';

/** A path as the choice sees it; in the order of preference. */
export interface Candidate {
  readonly path: number;
  readonly state: PathState;
  /** Whether it can be sent over: its interface and address are there, its endpoint is known, and proven where it must be. */
  readonly isUsable: boolean;
  readonly isBackup: boolean;
  /** Smoothed, ms; null while unknown. */
  readonly rttMs: number | null;
  /** Whether it has lived for long enough to take over from one that works. */
  readonly isSettled: boolean;
}

/** The one in use stays unless another is quicker by this share and by so many ms. */
const QUICKER_SHARE = 0.9;
const QUICKER_MS = 2;

/**
 * What each path is used for.
 *
 * @param first the path of first sendings so far, NO_PATH for none
 * @param copies sendings that are wanted over and above the first, each over a path of its own while there are any; `redundant`
 *   takes all paths, and `weighted` none of its own for them
 * @returns by path; those that are not in it are idle
 */
export function choosePaths(
  mode: PathMode,
  candidates: readonly Candidate[],
  first: number,
  copies = 0,
): ReadonlyMap<number, LanePath['use']> {
  const able = serving(candidates, mode !== 'weighted');
  if (able.length === 0) return new Map();
  const best = mode === 'lowest-latency' ? quickest(able, first) : foremost(able, first);
  if (mode === 'weighted') return new Map(able.map(({ path }) => [path, 'first']));
  // Those that live come before those of which nothing is known.
  const others = able.filter(({ path }) => path !== best).slice(0, mode === 'redundant' ? able.length : copies);
  return new Map([[best, 'first'], ...others.map(({ path }): [number, 'copy'] => [path, 'copy'])]);
}

/** Those that live, backups only if no other does; else those of which nothing is known; else all that there are. */
function serving(candidates: readonly Candidate[], takesUnknown: boolean): readonly Candidate[] {
  const usable = candidates.filter(({ isUsable }) => isUsable);
  const alive = preferMain(usable.filter(({ state }) => state === 'alive'));
  const unknown = preferMain(usable.filter(({ state }) => state === 'unknown'));
  if (alive.length === 0) return unknown.length > 0 ? unknown : usable;
  // Copies over a path of which nothing is known cost little.
  return takesUnknown ? [...alive, ...unknown.filter(({ isBackup }) => !isBackup)] : alive;
}

function preferMain(candidates: readonly Candidate[]): readonly Candidate[] {
  const main = candidates.filter(({ isBackup }) => !isBackup);
  return main.length > 0 ? main : candidates;
}

/** The foremost that lives; the one in use only gives way to one that has settled. */
function foremost(able: readonly Candidate[], first: number): number {
  const present = able.find(({ path }) => path === first);
  const better = able.find(({ path, state, isSettled }) => path === first || (state === 'alive' && isSettled));
  return (present?.state === 'alive' ? better : able[0])?.path ?? NO_PATH;
}

function quickest(able: readonly Candidate[], first: number): number {
  const timed = able.filter(({ rttMs, state }) => rttMs !== null && state === 'alive');
  const best = timed.reduce<Candidate | null>(
    (least, one) => (least === null || (one.rttMs ?? 0) < (least.rttMs ?? 0) ? one : least),
    null,
  );
  const present = timed.find(({ path }) => path === first);
  if (best === null) return foremost(able, first);
  if (present === undefined) return best.path;
  const [rttMs, bestMs] = [present.rttMs ?? 0, best.rttMs ?? 0];
  return bestMs < rttMs * QUICKER_SHARE && bestMs < rttMs - QUICKER_MS ? best.path : first;
}
