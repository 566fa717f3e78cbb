/** A bench result as a run would give it, with figures that are easy to recognise. */
import { type BenchResult, figuresOf, type Run } from '../../../src/lab/bench/result.ts';
import type { SubjectName } from '../../../src/lab/bench/subjects.ts';
import type { Sample, TestId } from '../../../src/lab/bench/tests.ts';
import type { EndStats } from '../../../src/lab/gigatun-stats.ts';
import { summarize } from '../../../src/lab/statistics.ts';
import { ACTIVITIES, type ActivityName } from '../../../src/ledger/catalog.ts';

/** Runs of one test and subject, one for each sample. */
export function runsOf(test: TestId, subject: SubjectName, ...samples: Sample[]): Run[] {
  return samples.map((sample) => ({ test, subject, sample, cost: null }));
}

export function statsOf(times: Partial<Record<ActivityName, number>>, counts: Record<string, number> = {}): EndStats {
  const activitiesNs = Object.fromEntries(ACTIVITIES.map(({ name }) => [name, times[name] ?? 0]));
  return {
    activitiesNs: activitiesNs as Record<ActivityName, number>,
    coreWaitNs: Object.fromEntries(ACTIVITIES.map(({ name }) => [name, 0])) as Record<ActivityName, number>,
    counts,
    drops: {},
    balance: {
      wallNs: 1e9,
      activitiesDifferenceRatio: 0.00001,
      busyDifferenceRatio: -0.0123,
      kernelDifferencePoints: 1.57,
    },
    aead: 'openssl',
  };
}

const INTACT = { comparedBytes: 80e6, corruptedBytes: 0, intactTransfers: 4, transfers: 4 };

export function benchResult(changes: Partial<BenchResult> = {}): BenchResult {
  const tcp = (subject: SubjectName, rates: number[], cpuSecondsPerGb: number) =>
    runsOf(
      'tcp1',
      subject,
      ...rates.map((gigabitsPerSecond) => ({ gigabitsPerSecond, cpuSecondsPerGb, retransmits: 0 })),
    );
  const runs = [
    ...tcp('veth', [20, 30, 25], 0),
    ...tcp('floor', [6, 7, 6.5], 1.7),
    ...tcp('gigatun', [5, 4.5, 4.25], 2.8),
    ...tcp('wireguard-go', [0.9, 0.8, 0.7], 13.5),
    ...runsOf('udp64', 'gigatun', { deliveredPerSecond: 120_500, sentPerSecond: 300_000 }),
    ...runsOf('ping', 'gigatun', { p50Ms: 0.25, p99Ms: 0.61, lostEchoes: 0 }),
    ...runsOf('integrity', 'gigatun', INTACT, INTACT),
  ];
  const names = ['veth', 'floor', 'gigatun', 'wireguard-go'] as const;
  return {
    report: 'gigatun bench',
    takenAt: '2026-02-03T04:05:06.000Z',
    machine: {
      cpu: 'A <fast> & "quiet" CPU',
      cores: 2,
      memoryBytes: 8e9,
      kernel: '6.18.0',
      node: 'v20.20.2',
      loadAverages: [0.01, 0.02, 0.03],
      busyShare: 0.01,
    },
    conditions: { secondsPerLoad: 4, repeats: 3, congestion: 'cubic', outerMtu: 1500, innerMtu: 1420, lanes: 1 },
    warnings: [],
    subjects: names.map((name) => ({
      name,
      title: `title of ${name}`,
      version: `version of ${name}`,
      residentBytes: name === 'veth' ? null : summarize([100e6]),
    })),
    leftOut: [],
    figures: figuresOf(runs),
    costs: {},
    books: [statsOf({ USER_ENCRYPT: 5e8 }), statsOf({ USER_DECRYPT: 5e8 })],
    failures: [],
    ...changes,
  };
}
