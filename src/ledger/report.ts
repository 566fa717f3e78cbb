/**
 * The table: what each activity cost per packet, what moved, what was dropped, and whether the books balance.
 *
 * A `DeviceSnapshot` comes in, text goes out; `stats-json.ts` gives the same figures to programs. Every name and unit is
 * taken from the catalogs, so that a new counter or drop reason appears here by itself.
 */
import { DROP_REASONS } from '../packet/drop-reason.ts';
import { type Balance, balanceOf, booksTime, busyNsOf, dearestActivity, ratio } from './balance.ts';
import { ACTIVITIES, ACTIVITY, COUNTERS, type CounterName, DIRECTIONS, TRAFFIC } from './catalog.ts';
import { historiesSection } from './history-report.ts';
import type { DeviceSnapshot, LaneSnapshot } from './snapshot.ts';
import {
  type Alignment,
  alignColumns,
  alignGroups,
  formatBytes,
  formatCount,
  formatDuration,
  formatMicroseconds,
  formatNumber,
  formatPercent,
  formatSeconds,
  NO_FIGURE,
} from './table.ts';

export { statsJson } from './stats-json.ts';

export interface StatsOptions {
  /** Print each lane's table before the total. */
  readonly perLane?: boolean;
  /** A difference of two snapshots: adds packets/s and Gbit/s over its wall time. */
  readonly rates?: DeviceSnapshot;
}

/**
 * The statistics of a device as text, lines ended by newlines.
 *
 * @param snapshot the device's books since it was opened, or a difference of two
 */
export function formatStats(snapshot: DeviceSnapshot, options: StatsOptions = {}): string {
  const lines = [heading(snapshot), ...heldLines(snapshot)];
  if (options.rates !== undefined) lines.push('', ...ratesSection(options.rates));
  if (options.perLane === true) {
    for (const lane of snapshot.lanes) lines.push('', `== ${lane.name} ==`, '', ...sections(lane, [lane]));
    lines.push('', '== total ==');
  }
  lines.push('', ...sections(snapshot.total, snapshot.lanes), ...historiesSection(snapshot.histories));
  return `${lines.join('\n')}\n`;
}

function heading(snapshot: DeviceSnapshot): string {
  const lanesCount = snapshot.lanes.filter(({ wallNs }) => wallNs > 0).length;
  const figures = [
    `${formatSeconds(snapshot.wallNs)} of wall time`,
    `${lanesCount} ${lanesCount === 1 ? 'lane' : 'lanes'}`,
    `AEAD ${snapshot.aead}${ciphersText(snapshot.peersByCipher)}`,
    `process: ${formatSeconds(snapshot.processCpuNs)} of CPU time`,
    memoryText(snapshot),
  ];
  return `${snapshot.interface}: ${figures.join(', ')}`;
}

function ciphersText(peersByCipher: DeviceSnapshot['peersByCipher']): string {
  const parts = Object.entries(peersByCipher).map(([cipher, count]) => {
    return `${cipher} ${formatCount(count)} ${count === 1 ? 'peer' : 'peers'}`;
  });
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

function heldLines({ heldOffloads, heldGroupPeersCount }: DeviceSnapshot): string[] {
  const offloads = heldOffloads.map(
    ({ offload, lane, reason, retrySeconds }) =>
      `held back: ${offload} on lane ${lane}, again in ${retrySeconds} s: ${reason}`,
  );
  if (heldGroupPeersCount === 0) return offloads;
  const peers = `${formatCount(heldGroupPeersCount)} ${heldGroupPeersCount === 1 ? 'peer' : 'peers'}`;
  return [...offloads, `held back: datagram groups to ${peers}, whose path does not carry them`];
}

function memoryText({ rssBytes, memoryCapBytes, memoryCrossingsCount }: DeviceSnapshot): string {
  const resident = `${formatBytes(rssBytes)} resident`;
  if (memoryCapBytes === null) return resident;
  const crossed = memoryCrossingsCount === 0 ? '' : `, came near it ${formatCount(memoryCrossingsCount)} times`;
  return `${resident} of ${formatBytes(memoryCapBytes)} allowed${crossed}`;
}

function ratesSection(rates: DeviceSnapshot): string[] {
  const { counts } = rates.total;
  const perSecond = (count: number): number => ratio(count * 1e9, rates.wallNs) ?? 0;
  const rows = TRAFFIC.map(({ packets, bytes, io }) => [
    packets,
    `${formatCount(perSecond(counts[packets]))} ${unitOf(packets)}/s`,
    `${formatNumber(perSecond(counts[bytes] * 8) / 1e9, 3)} Gbit/s`,
    `${formatNumber(ratio(counts[packets], counts[io]), 1)} per ${io}`,
  ]);
  return [`rates over ${formatSeconds(rates.wallNs)}`, ...alignColumns(rows, ['l', 'r', 'r', 'r'])];
}

/** The table of one lane or of a sum of lanes; `lanes` are those that it is made of. */
function sections(lane: LaneSnapshot, lanes: readonly LaneSnapshot[]): string[] {
  const timed = booksTime(lane);
  const time = timed ? activitiesSection(lane) : [`no time is booked; ${formatSeconds(lane.usage.cpuNs)} of CPU time`];
  const proof = timed ? ['', ...balanceSection(balanceOf(lanes)), '', dearestLine(lane)] : [];
  return [...time, '', ...countersSection(lane), '', ...dropsSection(lane), ...proof];
}

function activitiesSection(lane: LaneSnapshot): string[] {
  const groups = DIRECTIONS.map(({ direction, meaning, packets }) => {
    const members = ACTIVITIES.filter((activity) => activity.direction === direction);
    const together = (times: LaneSnapshot['activitiesNs']): number =>
      members.reduce((sum, { name }) => sum + times[name], 0);
    const rows = members.map(({ name, per }) =>
      timeRow(lane, name, per, lane.activitiesNs[name], lane.coreWaitNs[name]),
    );
    const sum = timeRow(lane, 'together', packets, together(lane.activitiesNs), together(lane.coreWaitNs));
    return { title: `${direction}: ${meaning}`, rows: [...rows, sum] };
  });
  return alignGroups(groups, ['l', 'r', 'r', 'r', 'r']);
}

function timeRow(lane: LaneSnapshot, name: string, per: CounterName | null, ns: number, coreWaitNs: number): string[] {
  return [
    per === null ? name : `${name} per ${per}:`,
    per === null ? '' : formatMicroseconds(ratio(ns, lane.counts[per])),
    `${formatPercent(ratio(ns, lane.wallNs))} of wall`,
    formatSeconds(ns),
    coreWaitNs === 0 ? '' : `of it ${formatDuration(coreWaitNs)} without a core`,
  ];
}

/** A lane that books no time is the control lane or a measurement: of these, only what happened is shown. */
function countersSection(lane: LaneSnapshot): string[] {
  const { counts } = lane;
  const timed = booksTime(lane);
  const shown = (name: CounterName): boolean => timed || counts[name] > 0;
  const traffic = TRAFFIC.filter(({ packets }) => shown(packets)).map(({ packets, bytes, io }) => [
    packets,
    formatCount(counts[packets]),
    unitOf(packets),
    formatBytes(counts[bytes]),
    formatCount(counts[io]),
    io,
    `${formatNumber(ratio(counts[packets], counts[io]), 1)} per call`,
  ]);
  const others = COUNTERS.filter(({ name }) => !IN_TRAFFIC.has(name) && shown(name)).map(({ name, unit }) => [
    name,
    formatCount(counts[name]),
    unit,
  ]);
  const rows = [...traffic, ...others];
  return [rows.length === 0 ? 'counters: all 0' : 'counters', ...alignColumns(rows, COUNTER_COLUMNS)];
}

function dropsSection({ drops }: LaneSnapshot): string[] {
  const happened = DROP_REASONS.filter(({ name }) => drops[name] > 0);
  const total = happened.reduce((sum, { name }) => sum + drops[name], 0);
  const rows = happened.map(({ name, meaning }) => [name, formatCount(drops[name]), meaning]);
  return [`drops: ${formatCount(total)}`, ...alignColumns(rows, ['l', 'r', 'l'])];
}

function balanceSection(balance: Balance): string[] {
  const groups = [
    { title: 'balance: activities against wall time', rows: wallRows(balance) },
    { title: 'balance: busy time against CPU time and run-queue wait', rows: busyRows(balance) },
    { title: 'balance: KERN_* and USER_* against system and user time', rows: sideRows(balance) },
  ];
  return alignGroups(groups, ['l', 'r', 'r', 'l']);
}

function wallRows(balance: Balance): string[][] {
  return [
    ['all activities', formatSeconds(balance.activitiesNs)],
    ['wall time', formatSeconds(balance.wallNs)],
    ['difference', formatDuration(balance.activitiesDifferenceNs), formatPercent(balance.activitiesDifferenceRatio, 3)],
  ];
}

function busyRows(balance: Balance): string[][] {
  const { runQueueWaitNs, usageLagNs } = balance;
  const rows = [
    ['sleep in KERN_WAIT', formatSeconds(balance.sleepNs)],
    ['busy time: all activities but that sleep', formatSeconds(balance.busyNs)],
    ['CPU time', formatSeconds(balance.cpuNs)],
    ['run-queue wait', runQueueWaitNs === null ? NO_FIGURE : formatSeconds(runQueueWaitNs)],
    [
      balance.busyDifferenceNs < 0
        ? 'difference: busy time blocked or stolen'
        : 'difference: poll on its way to sleep and back',
      formatDuration(balance.busyDifferenceNs),
      formatPercent(balance.busyDifferenceRatio, 2),
      `${formatMicroseconds(balance.busyDifferencePerWaitNs)} per WAIT_IO`,
    ],
  ];
  if (Math.abs(usageLagNs) < USAGE_LAG_SHOWN_NS) return rows;
  return [...rows, ['CPU time is older than the books by', formatDuration(usageLagNs)]];
}

function sideRows(balance: Balance): string[][] {
  return [
    ['KERN_* of the work on a core', formatPercent(balance.kernelRatio)],
    ['system time of CPU time', formatPercent(balance.systemRatio)],
    ['difference', `${formatNumber(balance.kernelDifferencePoints, 1)} points`],
  ];
}

function dearestLine(lane: LaneSnapshot): string {
  const name = dearestActivity(lane);
  if (name === null) return 'dearest activity: none yet';
  const ns = lane.activitiesNs[name] - lane.coreWaitNs[name];
  const per = ACTIVITIES[ACTIVITY[name]]?.per ?? null;
  const cost = per === null ? '' : `, ${formatMicroseconds(ratio(ns, lane.counts[per]))} per ${per}`;
  const coreWaitNs = ACTIVITIES.reduce((sum, activity) => sum + lane.coreWaitNs[activity.name], 0);
  const busyNs = busyNsOf(lane);
  const line = `dearest activity: ${name}, ${formatPercent(ratio(ns, busyNs - coreWaitNs))} of the work on a core${cost}`;
  if (coreWaitNs < busyNs * FULL_MACHINE_RATIO) return line;
  return `${line}\nthe machine is full: ${formatPercent(ratio(coreWaitNs, busyNs))} of busy time went by without a core`;
}

const COUNTER_COLUMNS: readonly Alignment[] = ['l', 'r', 'l', 'r', 'r', 'l', 'r'];

/** From this share of busy time without a core on, the report says so. */
const FULL_MACHINE_RATIO = 0.1;

/** The two are read one after the other: less than this is no lag worth a line. */
const USAGE_LAG_SHOWN_NS = 1e6;

const IN_TRAFFIC: ReadonlySet<CounterName> = new Set(TRAFFIC.flatMap(({ packets, bytes, io }) => [packets, bytes, io]));

function unitOf(name: CounterName): string {
  return COUNTERS.find((counter) => counter.name === name)?.unit ?? '';
}
