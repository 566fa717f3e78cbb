/** Where gigatun's time went while a load ran: differences of its books, both ends together, so that a report can say why. */
import { ACTIVITIES, ACTIVITY, type ActivityName } from '../../ledger/catalog.ts';
import type { EndStats } from '../gigatun-stats.ts';

export interface Cost {
  /** Nanoseconds on a core, by activity (KERN_WAIT: not waiting for one). */
  readonly onCoreNs: Readonly<Record<ActivityName, number>>;
  readonly counts: Readonly<Record<string, number>>;
}

export interface Share {
  readonly name: ActivityName;
  /** Of all busy time, 0 to 1. */
  readonly share: number;
  /** Per packet or datagram of the activity's own counter; null where it has none or nothing was counted. */
  readonly microseconds: number | null;
}

/** Books of all ends before and after a load. */
export function costBetween(before: readonly EndStats[], after: readonly EndStats[]): Cost {
  return subtract(costOf(after), costOf(before));
}

export function sumCosts(costs: readonly Cost[]): Cost {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const names = new Set(costs.flatMap(({ counts }) => Object.keys(counts)));
  return {
    onCoreNs: byActivity((name) => sum(costs.map(({ onCoreNs }) => onCoreNs[name]))),
    counts: Object.fromEntries([...names].map((name) => [name, sum(costs.map(({ counts }) => counts[name] ?? 0))])),
  };
}

/** All activities but KERN_WAIT, the dearest first. */
export function sharesOf(cost: Cost): Share[] {
  const names = ACTIVITIES.map(({ name }) => name).filter((name) => name !== 'KERN_WAIT');
  const all = names.reduce((sum, name) => sum + cost.onCoreNs[name], 0);
  const shares = names.map((name) => ({
    name,
    share: all === 0 ? 0 : cost.onCoreNs[name] / all,
    microseconds: microsecondsOf(cost, name),
  }));
  return shares.sort((x, y) => y.share - x.share);
}

/** What an activity costs per packet or datagram of its own counter; null where that is unknown. */
export function microsecondsOf({ onCoreNs, counts }: Cost, name: ActivityName): number | null {
  const per = ACTIVITIES[ACTIVITY[name]]?.per ?? null;
  const count = per === null ? 0 : (counts[per] ?? 0);
  return count === 0 ? null : onCoreNs[name] / count / 1_000;
}

function costOf(ends: readonly EndStats[]): Cost {
  return sumCosts(
    ends.map(({ activitiesNs, coreWaitNs, counts }) => ({
      onCoreNs: byActivity((name) => activitiesNs[name] - coreWaitNs[name]),
      counts,
    })),
  );
}

function subtract(after: Cost, before: Cost): Cost {
  const names = Object.keys(after.counts);
  return {
    onCoreNs: byActivity((name) => after.onCoreNs[name] - before.onCoreNs[name]),
    counts: Object.fromEntries(names.map((name) => [name, (after.counts[name] ?? 0) - (before.counts[name] ?? 0)])),
  };
}

function byActivity(value: (name: ActivityName) => number): Record<ActivityName, number> {
  return Object.fromEntries(ACTIVITIES.map(({ name }) => [name, value(name)])) as Record<ActivityName, number>;
}
