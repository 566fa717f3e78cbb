/**
 * Whether the books balance: the lane's own booking of wall time, held against what the kernel says of its thread.
 *
 * Three comparisons, each with its difference left standing: activities against wall time; busy time (all activities
 * but the sleep in KERN_WAIT) against CPU time and run-queue wait; the share of KERN_* in the work on a core (busy time
 * but the waits for one) against the share of system time in CPU time. `docs/ledger.md` says what each difference
 * consists of.
 */
import { ACTIVITIES, type ActivityName } from './catalog.ts';
import type { LaneSnapshot } from './snapshot.ts';

/** All times in nanoseconds, over every lane given; ratios are null where their divisor is 0. */
export interface Balance {
  /** Lanes that book time. The control lane does not, and is left out. */
  readonly lanesCount: number;
  readonly wallNs: number;
  readonly activitiesNs: number;
  /** Activities less wall time. */
  readonly activitiesDifferenceNs: number;
  /** The same, of wall time. */
  readonly activitiesDifferenceRatio: number | null;
  /** Sleep within KERN_WAIT; where the run-queue wait is unknown, with the waits for a core after it. */
  readonly sleepNs: number;
  /** Activities less that sleep: what is left of KERN_WAIT looked for work, or was woken and waited for a core. */
  readonly busyNs: number;
  readonly cpuNs: number;
  /** null where the kernel does not tell; then taken as 0 below. */
  readonly runQueueWaitNs: number | null;
  /**
   * CPU time and run-queue wait less busy time: what the poll call costs on its way to sleep and back (which the books
   * take for sleep), less the busy time in which the thread neither ran nor waited for a core.
   */
  readonly busyDifferenceNs: number;
  /** The same, of CPU time and run-queue wait. */
  readonly busyDifferenceRatio: number | null;
  /** The same, per wait (WAIT_IO). */
  readonly busyDifferencePerWaitNs: number | null;
  /** Share of KERN_* in the work on a core, which is busy time less the waits for a core that were noted. */
  readonly kernelRatio: number | null;
  /** Share of system time in user and system time. */
  readonly systemRatio: number | null;
  /** `kernelRatio` less `systemRatio`, in percentage points. */
  readonly kernelDifferencePoints: number | null;
  /** Wall time less the time that the kernel's figures cover: large only when these are older than the books. */
  readonly usageLagNs: number;
}

/**
 * Draws the balance of the lanes that book time.
 *
 * @param lanes one lane, or all of a device
 */
export function balanceOf(lanes: readonly LaneSnapshot[]): Balance {
  const booked = lanes.filter(booksTime);
  const total = (figure: (lane: LaneSnapshot) => number): number => booked.reduce((sum, lane) => sum + figure(lane), 0);
  const wallNs = total((lane) => lane.wallNs);
  const activitiesNs = total((lane) => sumOf(lane, ACTIVITIES));
  const busyNs = total(busyNsOf);
  const workNs = total((lane) => workNsOf(lane, ACTIVITIES));
  const kernelNs = total((lane) => workNsOf(lane, KERNEL));
  const { cpuNs, runQueueWaitNs, systemRatio } = threadTimes(booked);
  const accountedNs = cpuNs + (runQueueWaitNs ?? 0);
  const kernelRatio = ratio(kernelNs, workNs);
  return {
    lanesCount: booked.length,
    wallNs,
    activitiesNs,
    activitiesDifferenceNs: activitiesNs - wallNs,
    activitiesDifferenceRatio: ratio(activitiesNs - wallNs, wallNs),
    sleepNs: total((lane) => lane.sleepNs),
    busyNs,
    cpuNs,
    runQueueWaitNs,
    busyDifferenceNs: accountedNs - busyNs,
    busyDifferenceRatio: ratio(accountedNs - busyNs, accountedNs),
    busyDifferencePerWaitNs: ratio(
      accountedNs - busyNs,
      total(({ counts }) => counts.WAIT_IO),
    ),
    kernelRatio,
    systemRatio,
    kernelDifferencePoints: kernelRatio === null || systemRatio === null ? null : (kernelRatio - systemRatio) * 100,
    usageLagNs: wallNs - total(({ usage }) => usage.spanNs),
  };
}

/** False for the control lane, and for a lane whose booking of time is switched off to measure what it costs. */
export function booksTime(lane: LaneSnapshot): boolean {
  return sumOf(lane, ACTIVITIES) > 0;
}

/** Busy time of a lane, or a sum of lanes: all activities less the sleep in KERN_WAIT; nanoseconds. */
export function busyNsOf(lane: LaneSnapshot): number {
  return sumOf(lane, ACTIVITIES) - lane.sleepNs;
}

/** Busy time on one activity: all its time, but for KERN_WAIT, which holds the sleep; nanoseconds. */
export function busyNsIn(lane: LaneSnapshot, name: ActivityName): number {
  return lane.activitiesNs[name] - (name === 'KERN_WAIT' ? lane.sleepNs : 0);
}

/** The activity that took most time on a core, KERN_WAIT left out; null when none took any. */
export function dearestActivity(lane: LaneSnapshot): ActivityName | null {
  const onCoreNs = (name: ActivityName): number => lane.activitiesNs[name] - lane.coreWaitNs[name];
  const [dearest] = NOT_WAITING.map(({ name }) => name).sort((a, b) => onCoreNs(b) - onCoreNs(a));
  return dearest === undefined || onCoreNs(dearest) <= 0 ? null : dearest;
}

/** left / right, or null when right is 0. */
export function ratio(left: number, right: number): number | null {
  return right === 0 ? null : left / right;
}

const NOT_WAITING = ACTIVITIES.filter(({ name }) => name !== 'KERN_WAIT');
const KERNEL = ACTIVITIES.filter(({ side }) => side === 'kernel');

function sumOf(lane: LaneSnapshot, activities: typeof ACTIVITIES): number {
  return activities.reduce((sum, { name }) => sum + lane.activitiesNs[name], 0);
}

/** Busy time on activities less that in which the thread had no core. */
function workNsOf(lane: LaneSnapshot, activities: typeof ACTIVITIES): number {
  return activities.reduce((sum, { name }) => sum + busyNsIn(lane, name) - lane.coreWaitNs[name], 0);
}

function threadTimes(lanes: readonly LaneSnapshot[]): Pick<Balance, 'cpuNs' | 'runQueueWaitNs' | 'systemRatio'> {
  let cpuNs = 0;
  let userNs = 0;
  let systemNs = 0;
  let runQueueWaitNs: number | null = 0;
  for (const { usage } of lanes) {
    cpuNs += usage.cpuNs;
    userNs += usage.userNs;
    systemNs += usage.systemNs;
    runQueueWaitNs =
      runQueueWaitNs === null || usage.runQueueWaitNs === null ? null : runQueueWaitNs + usage.runQueueWaitNs;
  }
  return { cpuNs, runQueueWaitNs, systemRatio: ratio(systemNs, userNs + systemNs) };
}
