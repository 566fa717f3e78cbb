/** What a bench says of its figures, from figures that are made up. */
import { describe, expect, it } from 'vitest';
import { costBetween, microsecondsOf, sharesOf, sumCosts } from '../../../src/lab/bench/cost.ts';
import {
  dearestRise,
  explainCost,
  explainGroups,
  explainLatency,
  explainMemory,
  explainOffloads,
  explainRamp,
  explainTcp,
} from '../../../src/lab/bench/explain.ts';
import { toMarkdown } from '../../../src/lab/bench/markdown.ts';
import { type BenchResult, costsOf, figuresOf, type Run } from '../../../src/lab/bench/result.ts';
import { explainSoak, growthOf, type SoakMinute } from '../../../src/lab/bench/soak.ts';
import type { SubjectName } from '../../../src/lab/bench/subjects.ts';
import { leastOfBest, type Sample, type TestId } from '../../../src/lab/bench/tests.ts';
import type { ActivityName } from '../../../src/ledger/catalog.ts';
import { benchResult, runsOf, statsOf } from '../support/bench-result.ts';

type Times = Partial<Record<ActivityName, number>>;

/** Of one end: nothing before, these times and counts after. */
const cost = (times: Times, counts: Record<string, number>) => costBetween([statsOf({})], [statsOf(times, counts)]);

const BULK = { UDP_TX: 1_000, UDP_RX: 1_000, TUN_RX: 1_000, TUN_TX: 1_000, UDP_TX_UNIQ: 1_000, UDP_RX_UNIQ: 1_000 };

function runOf(test: TestId, subject: SubjectName, sample: Sample, times: Times): Run {
  return { test, subject, sample, cost: cost(times, BULK) };
}

function resultOf(...runs: Run[]): BenchResult {
  const names = [...new Set(runs.map(({ subject }) => subject))];
  const subjects = names.map((name) => ({ name, title: name, version: '1', residentBytes: null }));
  return benchResult({ figures: figuresOf(runs), costs: costsOf(runs), subjects });
}

describe('costs', () => {
  it('are what both ends added between two looks, without waiting for a core', () => {
    const before = statsOf({ USER_ENCRYPT: 100 }, { UDP_TX_UNIQ: 5 });
    const after = statsOf({ USER_ENCRYPT: 1_100 }, { UDP_TX_UNIQ: 15 });
    const waited = { ...after, coreWaitNs: { ...after.coreWaitNs, USER_ENCRYPT: 400 } };
    const { onCoreNs, counts } = costBetween([before, before], [waited, after]);
    expect(onCoreNs.USER_ENCRYPT).toBe(1_600);
    expect(counts.UDP_TX_UNIQ).toBe(20);
  });
  it('add up over rounds, and have shares of the busy time', () => {
    const sum = sumCosts([cost({ USER_ENCRYPT: 30, KERN_WAIT: 900 }, {}), cost({ KERN_SEND_UDP: 10 }, {})]);
    expect(sharesOf(sum).slice(0, 2)).toEqual([
      { name: 'USER_ENCRYPT', share: 0.75, microseconds: null },
      { name: 'KERN_SEND_UDP', share: 0.25, microseconds: null },
    ]);
  });
  it('are divided by the counter of their activity', () => {
    expect(microsecondsOf(cost({ KERN_SEND_UDP: 6e5 }, BULK), 'KERN_SEND_UDP')).toBe(0.6);
    expect(microsecondsOf(cost({ USER_CONTROL: 6e5 }, BULK), 'USER_CONTROL')).toBeNull();
  });
});

describe('the sentences', () => {
  const tcp = { gigabitsPerSecond: 4, cpuSecondsPerGb: 2 };
  const asItIs = runOf('tcp1', 'gigatun', tcp, { USER_ENCRYPT: 4.5e5, KERN_SEND_UDP: 1.9e5, KERN_READ_TUN: 3.6e5 });
  const fast: Sample = { gigabitsPerSecond: 8 };

  it('compare throughput', () => {
    const [first, second] = explainTcp(
      resultOf(asItIs, ...runsOf('tcp1', 'floor', fast), ...runsOf('tcp1', 'veth', { gigabitsPerSecond: 20 })),
    );
    expect(first).toBe("With one stream gigatun carries 4.00 Gbit/s, 0.50 times floor's.");
    expect(second).toContain('this machine moves 20.0 Gbit/s');
  });
  it('say what the busy time went into, and what the cores would allow', () => {
    const text = explainCost(resultOf(asItIs)).join(' ');
    expect(text).toContain("The AEAD takes 45 % of the busy time of gigatun's lanes and the kernel's calls 55 %");
    expect(text).toContain('the dearest beside the AEAD is KERN_READ_TUN, 0.36 µs per packet');
    expect(text).toContain('At 2.00 CPU-seconds per GB, 2 cores that did nothing else would carry 8.00 Gbit/s at most');
  });
  it('say what an offload is worth, and by which activity', () => {
    const without = runOf('tcp1', 'gigatun-no-udp-gso', { gigabitsPerSecond: 2 }, { KERN_SEND_UDP: 6.1e5 });
    expect(explainOffloads(resultOf(asItIs, without))).toEqual([
      'Without UDP GSO, TCP is 0.50 times as fast: a packet costs 0.61 µs in KERN_SEND_UDP instead of 0.19 µs.',
    ]);
  });
  it('name no activity when none became dearer', () => {
    expect(dearestRise(asItIs.cost ?? undefined, asItIs.cost ?? undefined)).toBeNull();
    expect(dearestRise(undefined, asItIs.cost ?? undefined)).toBeNull();
  });
  it.each([
    [3.4, 'as it should'],
    [3, 'less than the 0.8'],
  ])('judge groups of %f Gbit/s beside TCP of 4', (gigabitsPerSecond, verdict) => {
    const groups = runsOf('udpgso', 'gigatun', { gigabitsPerSecond, lateDatagrams: 0 });
    const text = explainGroups(resultOf(asItIs, ...groups)).join(' ');
    expect(text).toContain(verdict);
    expect(text).toContain('No datagram came out of order');
  });
  it('call a ramp that falls a collapse, and one that wavers none', () => {
    const ramp = (...delivered: number[]): Sample => ({
      'offered@25000': 25,
      'offered@50000': 50,
      'offered@0': 75,
      'delivered@25000': delivered[0] ?? 0,
      'delivered@50000': delivered[1] ?? 0,
      'delivered@0': delivered[2] ?? 0,
    });
    const ramps = [
      ...runsOf('udpramp64', 'gigatun', ramp(25, 50, 46.5), ramp(25, 1, 46.5), ramp(25, 50, 99)),
      ...runsOf('udpramp64', 'wireguard-go', ramp(25, 50, 35)),
      ...runsOf('udpramp64', 'veth', ramp(25, 5, 5)),
    ];
    expect(explainRamp(resultOf(...ramps), 64)).toEqual([
      'gigatun: no collapse, no step delivers less than 93 % of one that offered less.',
      'wireguard-go: COLLAPSE, a step delivers only 70 % of one that offered less.',
    ]);
    expect(explainRamp(resultOf(...ramps), 1350)).toEqual([]);
  });
  it('tell queue from work', () => {
    const pings = [...runsOf('ping', 'gigatun', { p50Ms: 0.25 }), ...runsOf('pingload', 'gigatun', { p50Ms: 3.25 })];
    expect(explainLatency(resultOf(...pings)).join(' ')).toContain('3.00 ms of that is queue');
  });
  it('call memory that grows by its name', () => {
    const memory = (growth: number) =>
      explainMemory(
        resultOf(...runsOf('rss', 'gigatun', { residentBytesMost: 90e6, residentBytesGrowth: growth })),
      ).join();
    expect(memory(1e6)).toContain('90.0 MB resident, and it is flat');
    expect(memory(50e6)).toContain('it grows');
  });
  it('are silent about what was not measured', () => {
    const nothing = benchResult({ figures: {}, subjects: [] });
    for (const explain of [explainTcp, explainCost, explainGroups, explainLatency, explainMemory, explainOffloads])
      expect(explain(nothing)).toEqual([]);
  });
  it('stand below the tables, and what was left out stands in the head', () => {
    const markdown = toMarkdown(benchResult({ leftOut: [{ name: 'floor', reason: 'no compiler' }] }));
    expect(markdown).toContain('- left out: floor: no compiler');
    expect(markdown).toMatch(/\|\n\nWith one stream gigatun carries 4.50 Gbit\/s/);
  });
});

it.each([
  [[10, 20, 30, 30], [10, 20, 40, 50], 1],
  [[10, 20, 19], [10, 20, 40], 0.95],
  [[10, 40, 20, 40, 30], [10, 40, 60, 80, 90], 0.5],
  [[10, 40, 20], [10, 60, 40], 1],
  [[], [], 1],
])(
  'of steps that deliver %j of %j the worst has its share of the best that offered no more',
  (delivered, offered, least) => {
    const steps = delivered.map((deliveredPerSecond, at) => ({
      deliveredPerSecond,
      offeredPerSecond: offered[at] ?? 0,
    }));
    expect(leastOfBest(steps)).toBe(least);
  },
);

describe('a soak', () => {
  const minutesOf = (...megabytes: number[]): SoakMinute[] =>
    megabytes.map((mb, index) => ({
      minute: index + 1,
      reverse: index % 2 === 1,
      gigabitsPerSecond: 4 + index,
      residentBytes: [50e6, mb * 1e6],
    }));
  it('counts growth from the second minute, at the end that grew more', () => {
    expect(growthOf(minutesOf(50, 80, 81, 79))).toBe(0);
    expect(growthOf(minutesOf(50, 80, 90))).toBe(10e6);
    expect(growthOf([])).toBe(0);
  });
  it('says whether memory is flat, and dares not after two minutes', () => {
    expect(explainSoak('gigatun', minutesOf(50, 80, 81))[0]).toContain('Memory is flat: 1.00 MB more');
    expect(explainSoak('gigatun', minutesOf(50, 80, 90))[0]).toContain('Memory GROWS');
    expect(explainSoak('gigatun', minutesOf(50, 80))[0]).toContain('too briefly');
    expect(explainSoak('gigatun', minutesOf(50, 80, 81))[1]).toBe('Throughput was 4.00 to 6.00 Gbit/s.');
  });
});
