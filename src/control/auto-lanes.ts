/**
 * How many lanes `auto` means here. A lane moves packets in user space; the kernel's network code, which runs for every
 * packet too, and the programs whose traffic it is need cores as well: so lanes get half. One flow never spreads over
 * lanes, so that more than a few help only where many flows share the tunnel.
 */
import { availableParallelism } from 'node:os';
import { usableCores } from '../doctor/cpu.ts';
import { readCgroup } from '../doctor/probe/cgroup.ts';
import { thisHost } from '../doctor/probe/host.ts';

/** Most lanes that `auto` gives. */
export const AUTO_LANES_MAX = 8;
const SHARE_OF_CORES = 0.5;

/** Lanes for so many cores (a cgroup's quota may be a fraction): half, at least 1, at most 8. */
export function lanesForCores(cores: number): number {
  return Math.min(AUTO_LANES_MAX, Math.max(1, Math.floor(cores * SHARE_OF_CORES)));
}

/** Lanes for this process: by its affinity and the quota of its cgroup. */
export function autoLanes(): number {
  const { quotaCores } = readCgroup(thisHost, 'self');
  return lanesForCores(usableCores({ coresAllowed: availableParallelism(), quotaCores }));
}
