/**
 * Gives back what the start has left behind. A tunnel that is up allocates next to nothing, so no garbage collection would
 * ever come and free the configuration's text and all that was made of it: with 10,000 peers, more than the peers take.
 *
 * The engine's own `gc` serves, which is a plain call. The inspector's HeapProfiler.collectGarbage does not: its session can
 * wait for itself for ever, and with it this thread.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The engine only gives back what new objects had taken when few were made for some seconds. */
const AGAIN_MS = 8_000;

/** Collects garbage now, and once more when the start is some seconds past; some tens of milliseconds each. */
export function releaseMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect !== 'function') return;
  collect();
  setTimeout(() => collect(), AGAIN_MS).unref();
}
