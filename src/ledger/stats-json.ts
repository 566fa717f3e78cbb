/** The figures of the table for programs: the same names, each number with its unit at the end of its key. */
import { DROP_REASONS } from '../packet/drop-reason.ts';
import { balanceOf, busyNsIn, busyNsOf, dearestActivity, ratio } from './balance.ts';
import { ACTIVITIES, type Activity, type CounterName, DIRECTIONS, type Direction, TRAFFIC } from './catalog.ts';
import type { DeviceSnapshot, LaneSnapshot } from './snapshot.ts';

/**
 * A device's statistics as a value for JSON. Ratios are 0 to 1; a figure without a divisor is null; counts of the
 * catalog stand under their own names (`countersCount`, `dropsCount`), those in bytes end in `_BYTES`.
 */
export function statsJson(snapshot: DeviceSnapshot): object {
  const { lanes, total, ...device } = snapshot;
  return { ...device, total: laneJson(total, lanes), lanes: lanes.map((lane) => laneJson(lane, [lane])) };
}

function laneJson(lane: LaneSnapshot, madeOf: readonly LaneSnapshot[]): object {
  return {
    name: lane.name,
    wallNs: lane.wallNs,
    activity: lane.activity,
    commitsCount: lane.commitsCount,
    activities: Object.fromEntries(ACTIVITIES.map((activity) => [activity.name, activityJson(lane, activity)])),
    directions: Object.fromEntries(DIRECTIONS.map((entry) => [entry.direction, directionJson(lane, entry)])),
    dearestActivity: dearestActivity(lane),
    countersCount: lane.counts,
    packetsPerCall: Object.fromEntries(
      TRAFFIC.map(({ packets, io }) => [packets, ratio(lane.counts[packets], lane.counts[io])]),
    ),
    dropsCount: lane.drops,
    dropsTotalCount: DROP_REASONS.reduce((sum, { name }) => sum + lane.drops[name], 0),
    usage: lane.usage,
    balance: balanceOf(madeOf),
  };
}

function activityJson(lane: LaneSnapshot, { name, per }: Activity): object {
  const timeNs = lane.activitiesNs[name];
  const shareOfBusyRatio = ratio(busyNsIn(lane, name), busyNsOf(lane));
  return { ...timeJson(lane, timeNs, per), shareOfBusyRatio, coreWaitNs: lane.coreWaitNs[name] };
}

function directionJson(lane: LaneSnapshot, { direction, packets }: Direction): object {
  const members = ACTIVITIES.filter((activity) => activity.direction === direction);
  const timeNs = members.reduce((sum, { name }) => sum + lane.activitiesNs[name], 0);
  return timeJson(lane, timeNs, packets);
}

function timeJson(lane: LaneSnapshot, timeNs: number, per: CounterName | null): object {
  const timePerCountNs = per === null ? null : ratio(timeNs, lane.counts[per]);
  return { timeNs, per, timePerCountNs, shareOfWallRatio: ratio(timeNs, lane.wallNs) };
}
