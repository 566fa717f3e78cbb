/** What of a peer's paths is new to its lanes, and to whoever reads the log. */
import type { Logger } from '../control/log.ts';
import { isSameEndpoint } from '../packet/endpoint.ts';
import type { PathSlot, ResolvedPath } from './path-slot.ts';
import { type LanePaths, NO_PATH } from './path-types.ts';

/** Path of first sendings, NO_PATH for none. */
export function firstOf({ paths }: LanePaths): number {
  return paths.find(({ use }) => use === 'first')?.path ?? NO_PATH;
}

/** Whether lanes have to do something else than before. */
export function isOtherChoice(told: LanePaths, { mode, paths, knows }: LanePaths): boolean {
  if (told.mode !== mode || told.paths.length !== paths.length) return true;
  if (told.knows.gaps !== knows.gaps || told.knows.paths !== knows.paths || told.knows.parity !== knows.parity)
    return true;
  return paths.some((path, at) => {
    const before = told.paths[at];
    const isSame = before?.path === path.path && before.use === path.use && before.isBound === path.isBound;
    return !isSame || !isSameEndpoint(before.endpoint, path.endpoint);
  });
}

/** Whether lanes would do the same, by other figures. */
export function hasOtherFigures(told: LanePaths | null, { mode, paths, rttMs, loss }: LanePaths): boolean {
  if (told === null || differs(told.rttMs, rttMs) || Math.abs(told.loss - loss) >= 0.0002) return true;
  return paths.some(({ rateBytesPerMs, delayMs, queueAtMs }, at) => {
    const before = told.paths[at];
    // What was seen of a queue is news also where it is what it was.
    if (before === undefined || (mode === 'weighted' && before.queueAtMs !== queueAtMs)) return true;
    return differs(before.rateBytesPerMs, rateBytesPerMs) || differs(before.delayMs, delayMs);
  });
}

function differs(before: number, after: number): boolean {
  return Math.abs(after - before) > 0.02 * Math.max(before, after);
}

/** Says once that a path's interface or address is gone, or was never there, and once that it is back. */
export function logPresence(
  log: Logger,
  peer: string,
  slotOf: (path: number) => PathSlot | undefined,
  resolved: readonly ResolvedPath[],
): void {
  for (const [path, { name, isPresent }] of resolved.entries()) {
    const before = slotOf(path);
    const wasPresent = before?.name === name ? before.isPresent : true;
    if (wasPresent && !isPresent)
      log.warn('a path cannot be used: its interface is down or not there, or has no address that fits', {
        peer,
        path: name,
      });
    if (!wasPresent && isPresent) log.info('the interface and address of a path are there', { peer, path: name });
  }
}
