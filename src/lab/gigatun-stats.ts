/**
 * What the lab takes from `gigatun stats --json`. The text crossed a process boundary, so its shape is checked here once.
 */
import { GigatunError } from '../errors.ts';
import { ACTIVITIES, type ActivityName } from '../ledger/catalog.ts';

export interface EndStats {
  /** Time on each activity since the start, all lanes together, nanoseconds. */
  readonly activitiesNs: Readonly<Record<ActivityName, number>>;
  /** Part of each activity without a core, nanoseconds. */
  readonly coreWaitNs: Readonly<Record<ActivityName, number>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly drops: Readonly<Record<string, number>>;
  /** Ratios and points of the balance; null where there is nothing to divide by. */
  readonly balance: {
    readonly wallNs: number;
    readonly activitiesDifferenceRatio: number | null;
    readonly busyDifferenceRatio: number | null;
    readonly kernelDifferencePoints: number | null;
  };
  readonly aead: string;
}

export function readStats(json: unknown): EndStats {
  const total = field(json, 'total');
  const balance = field(total, 'balance');
  const activities = field(total, 'activities');
  const times = (key: string): Record<ActivityName, number> =>
    Object.fromEntries(ACTIVITIES.map(({ name }) => [name, numberOf(field(field(activities, name), key))])) as Record<
      ActivityName,
      number
    >;
  return {
    activitiesNs: times('timeNs'),
    coreWaitNs: times('coreWaitNs'),
    counts: numbersOf(field(total, 'countersCount')),
    drops: numbersOf(field(total, 'dropsCount')),
    balance: {
      wallNs: numberOf(field(balance, 'wallNs')),
      activitiesDifferenceRatio: numberOrNull(field(balance, 'activitiesDifferenceRatio')),
      busyDifferenceRatio: numberOrNull(field(balance, 'busyDifferenceRatio')),
      kernelDifferencePoints: numberOrNull(field(balance, 'kernelDifferencePoints')),
    },
    aead: String(field(json, 'aead')),
  };
}

export interface Dearest {
  readonly name: ActivityName;
  /** Of the work on a core of all ends together, 0 to 1. */
  readonly shareOfWork: number;
  /** Its time per packet or datagram, microseconds, and the counter that counts these; null where it has none. */
  readonly microseconds: number | null;
  readonly per: string | null;
}

/** The activity (any but KERN_WAIT) that took most time on a core over all ends; null when nothing was booked. */
export function dearestOf(ends: readonly EndStats[]): Dearest | null {
  const busy = ACTIVITIES.filter(({ name }) => name !== 'KERN_WAIT').map(({ name, per }) => ({
    name,
    per,
    ns: sum(ends.map((end) => end.activitiesNs[name] - end.coreWaitNs[name])),
    count: per === null ? 0 : sum(ends.map((end) => end.counts[per] ?? 0)),
  }));
  const allNs = sum(busy.map(({ ns }) => ns));
  const [dearest] = busy.sort((x, y) => y.ns - x.ns);
  if (dearest === undefined || allNs === 0) return null;
  const microseconds = dearest.count === 0 ? null : dearest.ns / dearest.count / 1_000;
  return { name: dearest.name, shareOfWork: dearest.ns / allNs, microseconds, per: dearest.per };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function field(value: unknown, key: string): unknown {
  if (typeof value === 'object' && value !== null && key in value) return (value as Record<string, unknown>)[key];
  throw new GigatunError('PROTOCOL', `gigatun stats --json: expected a field ${key}`);
}

function numberOf(value: unknown): number {
  if (typeof value === 'number') return value;
  throw new GigatunError('PROTOCOL', `gigatun stats --json: expected a number, got ${JSON.stringify(value)}`);
}

function numberOrNull(value: unknown): number | null {
  return value === null ? null : numberOf(value);
}

function numbersOf(value: unknown): Record<string, number> {
  if (typeof value !== 'object' || value === null)
    throw new GigatunError('PROTOCOL', 'gigatun stats --json: expected counts');
  return Object.fromEntries(Object.entries(value).map(([name, count]) => [name, numberOf(count)]));
}
