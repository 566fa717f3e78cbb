/**
 * Loaded before the program itself (`node --import`): when the file that GIGATUN_TEST_SLEEP names appears, CLOCK_BOOTTIME
 * as the main thread reads it is an hour ahead, as after a suspend of an hour.
 */
import { existsSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { USAGE } from '../../src/native/layout.ts';

type Load = (module: { exports: Record<string, unknown> }, ...rest: unknown[]) => void;

const HOUR_NS = 3_600e9;
const flag = process.env.GIGATUN_TEST_SLEEP ?? '';
const load = process.dlopen.bind(process) as unknown as Load;

const loadAsleep: Load = (module, ...rest) => {
  load(module, ...rest);
  const { threadUsage } = module.exports;
  if (typeof threadUsage !== 'function') return;
  const later = (cells: Float64Array): void => {
    threadUsage(cells);
    if (existsSync(flag)) cells[USAGE.BOOT_NS] = (cells[USAGE.BOOT_NS] ?? 0) + HOUR_NS;
  };
  module.exports = { ...module.exports, threadUsage: later };
};

if (isMainThread) process.dlopen = loadAsleep as unknown as typeof process.dlopen;
