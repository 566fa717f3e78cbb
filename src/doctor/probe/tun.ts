/**
 * Probe of the TUN: makes an interface of a name that the kernel chooses (gtprobe0, gtprobe1, …), never up and never with
 * an address, and closes it. It goes with its descriptor, so also if this process is killed meanwhile.
 */
import { closeSync, existsSync } from 'node:fs';
import { GigatunError } from '../../errors.ts';
import { TUN_OFFLOAD } from '../../native/layout.ts';
import type { TunFacts, TunFeatures } from '../tun.ts';
import type { Addon } from './native.ts';

const NAME = 'gtprobe%d';
const { CSUM, TSO4, TSO6, USO4, USO6 } = TUN_OFFLOAD;
const ALL = CSUM | TSO4 | TSO6 | USO4 | USO6;

/** From all that a tunnel wants to the least that it can do with. */
const ATTEMPTS = [
  { multiQueue: true, offloads: ALL },
  { multiQueue: false, offloads: ALL },
  { multiQueue: false, offloads: 0 },
] as const;

/** @param addon null where it is missing: then only the device file is looked at. */
export function probeTun(addon: Pick<Addon, 'openTun'> | null): TunFacts {
  const device = existsSync('/dev/net/tun');
  if (addon === null || !device) return { device, problem: null, features: null };
  let first: TunFacts['problem'] = null;
  for (const attempt of ATTEMPTS) {
    try {
      return { device, problem: null, features: tryFeatures(addon, attempt) };
    } catch (error) {
      if (!(error instanceof GigatunError)) throw error;
      first ??= { code: error.code, message: error.message };
    }
  }
  return { device, problem: first, features: null };
}

function tryFeatures(
  { openTun }: Pick<Addon, 'openTun'>,
  { multiQueue, offloads }: (typeof ATTEMPTS)[number],
): TunFeatures {
  const queue = openTun({ name: NAME, multiQueue, offloads });
  try {
    if (multiQueue) closeSync(openTun({ name: queue.name, multiQueue, offloads }).fd);
    return { multiQueue, offloads: queue.offloads };
  } finally {
    closeSync(queue.fd);
  }
}
