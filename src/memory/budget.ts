/**
 * What a tunnel's memory is made of, and whether it fits under a cap. The figures are resident memory of the whole process
 * (what the kernel calls VmRSS), measured at full load and rounded up; most of the program's own part are pages of Node's
 * executable, which the kernel shares among processes and may drop. Buffers of sockets are the kernel's and not counted.
 */
import { GigatunError } from '../errors.ts';

/** Node itself, its libraries, the AEAD library, and the control lane. */
const PROGRAM_BYTES = 70e6;
/** A lane: its thread with a heap of its own, its arena, its code. */
const LANE_BYTES = 12e6;
/** A peer with a prefix: its part of the control lane, and of each lane; measured with 10,000. */
const PEER_BYTES = 9e3;
const PEER_LANE_BYTES = 1e3;
/** So much of the cap may be in use before something is shed. */
export const NEAR_SHARE = 0.9;

/** Of a heap's limit, what a thread needs in any case: V8 ends a thread that reaches its limit. */
const HEAP_BYTES_MIN = 24 * 2 ** 20;
/**
 * Where a lane's new objects live: three times V8's smallest half. Little is allocated there, and none of it per packet;
 * a larger one would only be filled more slowly before it is collected.
 */
const YOUNG_GENERATION_MIB = 3;

export interface MemoryUse {
  readonly lanes: number;
  readonly peers: number;
  /** Bytes of a lane's histories when they are full; absent: none. */
  readonly historyBytes?: number;
}

/** Most resident memory that a tunnel needs in steady use, bytes. */
export function memoryNeedBytes({ lanes, peers, historyBytes = 0 }: MemoryUse): number {
  return PROGRAM_BYTES + lanes * (LANE_BYTES + historyBytes) + peers * (PEER_BYTES + lanes * PEER_LANE_BYTES);
}

/** The smallest cap under which a tunnel runs without shedding, bytes: whole megabytes. */
export function leastCapBytes(use: MemoryUse): number {
  return Math.ceil(memoryNeedBytes(use) / NEAR_SHARE / 1e6) * 1e6;
}

/**
 * Refuses a tunnel that does not fit.
 *
 * @param capBytes null for no cap.
 * @throws GigatunError CONFIG that says what was asked, what is needed, and what to change.
 */
export function checkMemory(capBytes: number | null, use: MemoryUse): void {
  const least = leastCapBytes(use);
  if (capBytes === null || capBytes >= least) return;
  const { lanes, peers, historyBytes = 0 } = use;
  const histories = historyBytes === 0 ? '' : ' with their histories';
  const lanesThatFit = lanesWithin(capBytes, use);
  const change = lanesThatFit === 0 ? 'allow more' : `allow more, or run ${countOf(lanesThatFit, 'lane')}`;
  throw new GigatunError(
    'CONFIG',
    `expected a memory cap of at least ${least / 1e6} MB for ${countOf(lanes, 'lane')} and ${countOf(peers, 'peer')}${histories}, ` +
      `got ${capBytes / 1e6} MB; ${change}`,
  );
}

/**
 * Limit of one thread's heap under a cap, MiB: what a heap needs, and all that the cap leaves beyond the need. All heaps
 * together stay below the cap by what the watch sheds, each alone by this limit.
 */
export function heapLimitMib(capBytes: number, use: MemoryUse): number {
  const ofPeers = use.peers * PEER_BYTES;
  const spare = Math.max(0, capBytes - memoryNeedBytes(use));
  return Math.floor((HEAP_BYTES_MIN + ofPeers + spare) / 2 ** 20);
}

/** Limits for a lane's worker; without a cap only that of new objects. */
export function laneHeapLimits(
  capBytes: number | null,
  use: MemoryUse,
): { readonly maxYoungGenerationSizeMb: number; readonly maxOldGenerationSizeMb?: number } {
  const young = { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB };
  return capBytes === null ? young : { ...young, maxOldGenerationSizeMb: heapLimitMib(capBytes, use) };
}

/** Options of node for a process under a cap. They hold for the main thread's heap, which has no other limit, and for all others. */
export function heapOptions(capBytes: number, use: MemoryUse): string[] {
  return [`--max-old-space-size=${heapLimitMib(capBytes, use)}`, `--max-semi-space-size=${YOUNG_GENERATION_MIB / 3}`];
}

function lanesWithin(capBytes: number, { lanes, ...use }: MemoryUse): number {
  for (let fewer = lanes - 1; fewer > 0; fewer -= 1)
    if (leastCapBytes({ ...use, lanes: fewer }) <= capBytes) return fewer;
  return 0;
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
