/**
 * Snapshots: consistent copies of the books at one moment, as plain values that survive JSON.
 *
 * `readPage` turns a lane's page into a `LaneSnapshot` with the catalog's names; `sumSnapshots` adds lanes up;
 * `difference` says what happened between two snapshots of a device. Nothing here stops or slows a lane.
 */
import { GigatunError } from '../errors.ts';
import { USAGE } from '../native/layout.ts';
import { DROP_REASONS, type DropName } from '../packet/drop-reason.ts';
import { ACTIVITIES, type ActivityName, COUNTERS, type CounterName } from './catalog.ts';
import type { PeerHistoryStatus } from './history-figures.ts';
import { cellsOf, PAGE, sequenceOf } from './page.ts';

/** What the kernel says of a lane's thread, from the opening of its books to the last reading of the usage. */
export interface UsageSnapshot {
  /** Wall time that these figures cover, nanoseconds. Equals the books' wall time up to the moment between two calls. */
  readonly spanNs: number;
  /** User and system time: exact in their sum, sampled by the kernel's tick in their split. */
  readonly userNs: number;
  readonly systemNs: number;
  /** CPU time by the thread's CPU clock. */
  readonly cpuNs: number;
  /** Time spent runnable but not running; null where the kernel does not tell. */
  readonly runQueueWaitNs: number | null;
  readonly voluntarySwitchesCount: number;
  readonly involuntarySwitchesCount: number;
  readonly minorFaultsCount: number;
  readonly majorFaultsCount: number;
}

/** The books of one lane, or the sum of several. */
export interface LaneSnapshot {
  readonly name: string;
  /** Wall time from the opening of the books to the last switch of activity; 0 where no time is booked. */
  readonly wallNs: number;
  /** What the lane was doing; null in a sum, a difference, or before the first commit. */
  readonly activity: ActivityName | null;
  readonly commitsCount: number;
  /** Part of KERN_WAIT in which the thread slept; in the rest it looked for work, or was woken and waited for a core. */
  readonly sleepNs: number;
  readonly activitiesNs: Readonly<Record<ActivityName, number>>;
  /**
   * Part of each activity in which the thread was runnable but had no core, noted after each sleep and each stretch
   * longer than 0.2 ms. What shorter stretches waited is noted with the next long one, or not at all if a sleep comes first.
   */
  readonly coreWaitNs: Readonly<Record<ActivityName, number>>;
  readonly counts: Readonly<Record<CounterName, number>>;
  readonly drops: Readonly<Record<DropName, number>>;
  readonly usage: UsageSnapshot;
}

/** An offload that is left out: on which lane, why (one clause), and seconds until it is tried again. */
export interface HeldOffloadSnapshot {
  readonly offload: string;
  readonly lane: number;
  readonly reason: string;
  readonly retrySeconds: number;
}

/** The books of a device: all its lanes, the control lane among them. */
export interface DeviceSnapshot {
  /** Interface name. */
  readonly interface: string;
  /** AEAD back end in use. */
  readonly aead: string;
  /** Number of peers that have a keypair, by its cipher. */
  readonly peersByCipher: Readonly<Record<string, number>>;
  /** Offloads of this machine that are left out for a while because they broke something. */
  readonly heldOffloads: readonly HeldOffloadSnapshot[];
  /** Peers that get smaller datagram groups than the kernel takes, because their path does not carry them. */
  readonly heldGroupPeersCount: number;
  /** Histories of the peers that have any; in a difference, the later ones, which tell the last seconds themselves. */
  readonly histories: readonly PeerHistoryStatus[];
  /** Milliseconds since the epoch. */
  readonly takenAtMs: number;
  /** Monotonic wall time since the device was opened, nanoseconds; in a difference, the time between the two. */
  readonly wallNs: number;
  /** Resident memory of the process, bytes. */
  readonly rssBytes: number;
  /** Its cap, bytes, or null; and how often memory came near it, or reached it, from below. */
  readonly memoryCapBytes: number | null;
  readonly memoryCrossingsCount: number;
  /** CPU time of the whole process since it started (lanes, control lane, garbage collector, compiler), nanoseconds. */
  readonly processCpuNs: number;
  readonly lanes: readonly LaneSnapshot[];
  /** `sumSnapshots(lanes)`. */
  readonly total: LaneSnapshot;
}

/** A commit takes under a microsecond, but the lane may lose its core in the middle of one: wait up to 1 ms each time. */
const READS_MAX = 250;
const TORN_WAIT_MS = 1;

/**
 * Reads a lane's page; waits (blocking, rarely and at most 250 ms) while a commit is under way.
 *
 * @param page from `openPage`
 * @param name for the snapshot, such as `lane 0`
 * @throws GigatunError INTERNAL when no whole commit could be read: its lane stopped in the middle of one
 */
export function readPage(page: SharedArrayBuffer, name: string): LaneSnapshot {
  const sequence = sequenceOf(page);
  const cells = cellsOf(page);
  const copy = new Float64Array(PAGE.CELLS);
  for (let reads = 0; reads < READS_MAX; reads++) {
    const before = Atomics.load(sequence, 0);
    for (let cell = 0; cell < PAGE.CELLS; cell++) copy[cell] = cells[cell];
    // A read-modify-write, not a load: it also keeps the plain loads above from moving below it.
    const after = Atomics.add(sequence, 0, 0);
    if (before === after && (before & 1) === 0) return laneOf(copy, name);
    Atomics.wait(sequence, 0, after, (after & 1) === 0 ? 0 : TORN_WAIT_MS);
  }
  throw new GigatunError(
    'INTERNAL',
    `expected a whole commit in the books of ${name} within ${READS_MAX} reads, found each one unfinished or changed ` +
      'meanwhile: its lane probably stopped in the middle of a commit; please report this',
  );
}

/**
 * Adds lanes up: times, counts and usage. Wall time is then lane time (two lanes for one second are two seconds).
 *
 * @param lanes may be empty: everything is 0
 */
export function sumSnapshots(lanes: readonly LaneSnapshot[]): LaneSnapshot {
  const zero = laneOf(new Float64Array(PAGE.CELLS), 'total');
  return lanes.reduce((sum, lane) => combine(sum, lane, add), { ...zero, activity: null });
}

/**
 * What happened between two snapshots of one device. Lanes are matched by name; one that is new counts from 0.
 *
 * @param later the device's snapshot; name, AEAD, time stamp and memory are taken from it
 * @param earlier an older snapshot of the same device
 */
export function difference(later: DeviceSnapshot, earlier: DeviceSnapshot): DeviceSnapshot {
  const lanes = later.lanes.map((lane) => {
    const before = earlier.lanes.find(({ name }) => name === lane.name) ?? sumSnapshots([]);
    return combine(lane, before, subtract);
  });
  return {
    ...later,
    wallNs: later.wallNs - earlier.wallNs,
    processCpuNs: later.processCpuNs - earlier.processCpuNs,
    lanes,
    total: sumSnapshots(lanes),
  };
}

type Operation = (left: number, right: number) => number;
const add: Operation = (left, right) => left + right;
const subtract: Operation = (left, right) => left - right;

function laneOf(cells: Float64Array, name: string): LaneSnapshot {
  const usage = (cell: number): number => cells[PAGE.USAGE + cell];
  const runQueueWaitNs = usage(USAGE.RUN_QUEUE_WAIT_NS);
  return {
    name,
    wallNs: Math.max(0, cells[PAGE.NOW_NS] - cells[PAGE.OPENED_NS]),
    activity: cells[PAGE.COMMITS] === 0 ? null : (ACTIVITIES[cells[PAGE.ACTIVITY]]?.name ?? null),
    commitsCount: cells[PAGE.COMMITS],
    sleepNs: cells[PAGE.SLEEP_NS],
    activitiesNs: named(ACTIVITIES, cells, PAGE.ACTIVITY_NS),
    coreWaitNs: named(ACTIVITIES, cells, PAGE.CORE_WAIT_NS),
    counts: named(COUNTERS, cells, PAGE.COUNTS),
    drops: named(DROP_REASONS, cells, PAGE.DROPS),
    usage: {
      spanNs: usage(USAGE.MONOTONIC_NS),
      userNs: usage(USAGE.USER_NS),
      systemNs: usage(USAGE.SYSTEM_NS),
      cpuNs: usage(USAGE.CPU_NS),
      runQueueWaitNs: runQueueWaitNs < 0 ? null : runQueueWaitNs,
      voluntarySwitchesCount: usage(USAGE.VOLUNTARY_SWITCHES),
      involuntarySwitchesCount: usage(USAGE.INVOLUNTARY_SWITCHES),
      minorFaultsCount: usage(USAGE.MINOR_FAULTS),
      majorFaultsCount: usage(USAGE.MAJOR_FAULTS),
    },
  };
}

/** The cells of a catalog's entries from `first` on, by name. */
function named<Name extends string>(
  entries: readonly { readonly id: number; readonly name: Name }[],
  cells: Float64Array,
  first: number,
): Record<Name, number> {
  return Object.fromEntries(entries.map(({ id, name }) => [name, cells[first + id]])) as Record<Name, number>;
}

function combine(left: LaneSnapshot, right: LaneSnapshot, operation: Operation): LaneSnapshot {
  return {
    name: left.name,
    wallNs: operation(left.wallNs, right.wallNs),
    activity: null,
    commitsCount: operation(left.commitsCount, right.commitsCount),
    sleepNs: operation(left.sleepNs, right.sleepNs),
    activitiesNs: combineNumbers(left.activitiesNs, right.activitiesNs, operation),
    coreWaitNs: combineNumbers(left.coreWaitNs, right.coreWaitNs, operation),
    counts: combineNumbers(left.counts, right.counts, operation),
    drops: combineNumbers(left.drops, right.drops, operation),
    usage: combineUsage(left.usage, right.usage, operation),
  };
}

function combineNumbers<Key extends string>(
  left: Readonly<Record<Key, number>>,
  right: Readonly<Record<Key, number>>,
  operation: Operation,
): Record<Key, number> {
  const keys = Object.keys(left) as Key[];
  return Object.fromEntries(keys.map((key) => [key, operation(left[key], right[key])])) as Record<Key, number>;
}

/** Unknown run-queue wait on one side makes it unknown in the result. */
function combineUsage(left: UsageSnapshot, right: UsageSnapshot, operation: Operation): UsageSnapshot {
  const { runQueueWaitNs: leftWaitNs, ...leftRest } = left;
  const { runQueueWaitNs: rightWaitNs, ...rightRest } = right;
  const runQueueWaitNs = leftWaitNs === null || rightWaitNs === null ? null : operation(leftWaitNs, rightWaitNs);
  return { ...left, ...combineNumbers(leftRest, rightRest, operation), runQueueWaitNs };
}
