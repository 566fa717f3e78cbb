/** CPU: cores that may be used, what a cgroup allows of them, what others take of them. */
import { formatPercent } from '../ledger/table.ts';
import { about, type Finding } from './check.ts';

export interface CpuFacts {
  readonly model: string;
  readonly coresOnline: number;
  /** Cores that this process may run on (its affinity). */
  readonly coresAllowed: number;
  /** Cores' worth of time that the tightest cgroup allows; null for no quota. */
  readonly quotaCores: number | null;
  /** Periods in which that cgroup was stopped for having used its quota up; null where unknown. */
  readonly throttledCount: number | null;
  /** Load average over one minute. */
  readonly load: number;
  /** Shares of all cores while the doctor watched, 0 to 1; null where /proc/stat told nothing. */
  readonly busyShare: number | null;
  readonly stealShare: number | null;
}

const BUSY_SHARE_MAX = 0.7;
const STEAL_SHARE_NOTE = 0.01;
const STEAL_SHARE_WARN = 0.05;

export function judgeCpu(facts: CpuFacts): Finding[] {
  return [judgeCores(facts), judgeQuota(facts), judgeLoad(facts), judgeSteal(facts.stealShare)];
}

/** Cores that lanes can really have: the least of affinity and quota. */
export function usableCores({ coresAllowed, quotaCores }: Pick<CpuFacts, 'coresAllowed' | 'quotaCores'>): number {
  return Math.min(coresAllowed, quotaCores ?? coresAllowed);
}

function judgeCores({ model, coresOnline, coresAllowed }: CpuFacts): Finding {
  const all = coresOnline === 1 ? '1 core' : `${coresOnline} cores`;
  const check = about('cores', 'cores', coresAllowed < coresOnline ? `${coresAllowed} of ${all} allowed` : all);
  if (coresAllowed <= 1)
    return check.warn(
      `${model}: both directions, the kernel's network code and every other program share one core`,
      coresOnline > 1 ? 'allow more cores (taskset, CPUAffinity=, cpuset)' : 'use a machine with two cores or more',
    );
  if (coresAllowed < coresOnline)
    return check.note(`${model}: the affinity of this process leaves some out`, 'taskset, CPUAffinity= or a cpuset');
  return check.ok(model);
}

function judgeQuota({ quotaCores, coresAllowed, throttledCount }: CpuFacts): Finding {
  if (quotaCores === null) return about('cpu-quota', 'cgroup quota', 'none').ok('no cgroup limits CPU time');
  const stopped = throttledCount === null || throttledCount === 0 ? '' : `, ran out ${throttledCount} times`;
  const check = about('cpu-quota', 'cgroup quota', `${round(quotaCores)} of ${coresAllowed} cores${stopped}`);
  const advice = 'raise it: cpu.max, CPUQuota=, docker --cpus';
  const reason = 'who uses it up is stopped for the rest of each period, which is latency and lost packets';
  if (quotaCores < 1) return check.warn(reason, advice);
  if (quotaCores < coresAllowed) return check.note(reason, advice);
  return check.ok('as much as the cores can give');
}

function judgeLoad({ busyShare, load, coresOnline }: CpuFacts): Finding {
  const busy = busyShare === null ? '' : `${formatPercent(busyShare, 0)} busy, `;
  const check = about('cpu-load', 'load', `${busy}load average ${load.toFixed(2)}`);
  const share = busyShare ?? load / Math.max(1, coresOnline);
  if (share < BUSY_SHARE_MAX) return check.ok('there is time left on the cores');
  return check.note('little time is left: a lane that wakes has to wait for a core', 'move other work elsewhere');
}

function judgeSteal(share: number | null): Finding {
  if (share === null) return about('cpu-steal', 'stolen', 'unknown').ok('the kernel does not tell');
  const check = about('cpu-steal', 'stolen', formatPercent(share));
  const reason = "the host gave this machine's cores to others";
  const advice = 'use dedicated cores; nothing inside this machine can change it';
  if (share >= STEAL_SHARE_WARN) return check.warn(reason, advice);
  return share >= STEAL_SHARE_NOTE ? check.note(reason, advice) : check.ok('the host leaves the cores alone');
}

function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}
