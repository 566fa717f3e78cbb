/** Asks V8 to collect the garbage of a thread's whole heap, which it otherwise does when it likes. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** To be called before the threads start that shall be able to collect: V8 gives its `gc` to contexts made from then on. */
export function enableCollection(): void {
  setFlagsFromString('--expose-gc');
}

/** Collects on this thread, for some milliseconds; does nothing where it was not enabled. */
export function collectGarbage(): void {
  const gc = globalThis.gc ?? (runInNewContext('globalThis.gc') as typeof globalThis.gc);
  gc?.();
}
