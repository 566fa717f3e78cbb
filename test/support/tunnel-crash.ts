/**
 * Loaded before the program itself (`node --import`): when the file that GIGATUN_TEST_CRASH names appears, the next wait
 * of a lane throws, as a broken lane would. The main thread is left alone.
 */
import { existsSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

type Verb = (...values: unknown[]) => unknown;

const flag = process.env.GIGATUN_TEST_CRASH ?? '';
const load = process.dlopen.bind(process);

if (!isMainThread)
  process.dlopen = (module: object, ...rest: unknown[]): void => {
    (load as Verb)(module, ...rest);
    const holder = module as { exports: Record<string, Verb> };
    const { wait } = holder.exports;
    if (wait === undefined) return;
    const breaking: Verb = (...values) => {
      if (existsSync(flag)) throw new Error('broken on purpose');
      return wait(...values);
    };
    holder.exports = { ...holder.exports, wait: breaking };
  };
