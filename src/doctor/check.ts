/**
 * What the doctor's findings are: a closed set of statuses and groups, and the one shape that every check has. A check is
 * made by a pure function over facts, in the file of its group; to add one is to add a finding to that function's list.
 */

/** ok: as it should be; note: worth knowing; warn: costs throughput or loses packets; fail: a tunnel cannot run. */
export type Status = 'ok' | 'note' | 'warn' | 'fail';

/** From harmless to fatal. */
const STATUSES: readonly Status[] = ['ok', 'note', 'warn', 'fail'];

/** Groups of checks, in the order of reports. */
export const GROUPS = ['system', 'tun', 'udp', 'cpu', 'aead', 'clock', 'network', 'tunnel'] as const;
export type Group = (typeof GROUPS)[number];

/** What one look at one thing gave. */
export interface Finding {
  /** Stable name for scripts: lower case and hyphens, unique within the machine or one interface. */
  readonly id: string;
  readonly title: string;
  readonly status: Status;
  /** What was found, with units. */
  readonly value: string;
  /** Why it has this status: what it gives or costs. */
  readonly reason: string;
  /** What to change; null where nothing is to be changed. */
  readonly advice: string | null;
}

export interface Check extends Finding {
  readonly group: Group;
  /** Interface of a running tunnel; null for the machine. */
  readonly interface: string | null;
}

/** Ends a finding about one thing by the status that it has. */
export interface Judgement {
  ok(reason: string): Finding;
  note(reason: string, advice?: string): Finding;
  warn(reason: string, advice: string): Finding;
  fail(reason: string, advice: string): Finding;
}

/** Begins a finding: `about('kernel', 'kernel', 'Linux 6.1').ok('has all that is used')`. */
export function about(id: string, title: string, value: string): Judgement {
  const end = (status: Status, reason: string, advice: string | null): Finding => ({
    id,
    title,
    status,
    value,
    reason,
    advice,
  });
  return {
    ok: (reason) => end('ok', reason, null),
    note: (reason, advice) => end('note', reason, advice ?? null),
    warn: (reason, advice) => end('warn', reason, advice),
    fail: (reason, advice) => end('fail', reason, advice),
  };
}

/** The worst status of all; ok when there is none. */
export function worstOf(findings: readonly Finding[]): Status {
  const worst = Math.max(0, ...findings.map(({ status }) => STATUSES.indexOf(status)));
  return STATUSES[worst] ?? 'fail';
}
