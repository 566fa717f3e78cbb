/** The loads of a bench: each puts one subject under one kind of load for a bounded time and gives a few numbers. */
import { type Route, runUdp } from '../iperf.ts';
import { measureTcp } from '../measure.ts';
import { ping } from '../ping.ts';
import { transfer } from '../transfer.ts';
import { type RampStep, runRamp, runWindowed } from '../udp-load.ts';
import { usageOfAll } from '../usage.ts';
import { watchMemory } from './memory.ts';
import type { Subject } from './subjects.ts';

/** Numbers of one run, by metric. */
export type Sample = Readonly<Partial<Record<MetricId, number>>>;

export const METRICS = {
  gigabitsPerSecond: { title: 'throughput', unit: 'Gbit/s' },
  cpuSecondsPerGb: { title: 'CPU time, both ends', unit: 'CPU-s/GB' },
  retransmits: { title: 'TCP segments sent again', unit: '' },
  deliveredPerSecond: { title: 'delivered', unit: 'packets/s' },
  sentPerSecond: { title: 'offered', unit: 'packets/s' },
  p50Ms: { title: 'ping p50', unit: 'ms' },
  p99Ms: { title: 'ping p99', unit: 'ms' },
  lostEchoes: { title: 'echoes lost', unit: '' },
  comparedBytes: { title: 'bytes compared', unit: 'bytes' },
  corruptedBytes: { title: 'bytes corrupted', unit: 'bytes' },
  intactTransfers: { title: 'intact transfers', unit: '' },
  transfers: { title: 'transfers', unit: '' },
  lostShare: { title: 'datagrams lost', unit: '' },
  lateDatagrams: { title: 'datagrams out of order', unit: '' },
  datagramsPerGroup: { title: 'datagrams per group', unit: '' },
  residentBytesMost: { title: 'resident memory, the larger end', unit: 'bytes' },
  residentBytesGrowth: { title: 'its growth', unit: 'bytes' },
  leastOfBest: { title: 'least delivered of the best step that offered less', unit: '' },
} as const;
export type MetricId = keyof typeof METRICS | RampMetric;

/** Offered packets per second of each step of a ramp; 0: as many as the sender can. */
export const RAMP_RATES = [25_000, 50_000, 100_000, 200_000, 400_000, 0] as const;
/** Offered and delivered packets per second of a step, by its rate. */
export type RampMetric = `${'offered' | 'delivered'}@${(typeof RAMP_RATES)[number]}`;

export const TEST_IDS = [
  'tcp1',
  'tcp1r',
  'tcp4',
  'tcp4r',
  'tcp1v6',
  'tcp1v6r',
  'udp64',
  'udp1350',
  'udpgso',
  'udpgsov6',
  'udpramp64',
  'udpramp1350',
  'ping',
  'pingload',
  'pingload4',
  'rss',
  'integrity',
] as const;
export type TestId = (typeof TEST_IDS)[number];

export interface Test {
  readonly title: string;
  /** Seconds that a run takes, for loads of `seconds`. */
  readonly estimate: (seconds: number) => number;
  /** The number that stands for the run while it goes on. */
  readonly headline: keyof typeof METRICS;
  /** null when the subject cannot be put under this load. */
  readonly run: (subject: Subject, seconds: number) => Promise<Sample | null>;
}

const BYTES_PER_SECOND = 20e6;
/** UDP payload of a QUIC packet, as most senders have it. */
const QUIC_LENGTH = 1350;
/** Of the length of a load, for each step of a ramp. */
const RAMP_STEP_SHARE = 0.25;
const RAMP_STEP_SECONDS_MIN = 0.5;

export const TESTS: Readonly<Record<TestId, Test>> = {
  tcp1: tcp('TCP, 1 stream', 4, 1, false),
  tcp1r: tcp('TCP, 1 stream, reverse', 4, 1, true),
  tcp4: tcp('TCP, 4 streams', 4, 4, false),
  tcp4r: tcp('TCP, 4 streams, reverse', 4, 4, true),
  tcp1v6: tcp('TCP over IPv6, 1 stream', 6, 1, false),
  tcp1v6r: tcp('TCP over IPv6, 1 stream, reverse', 6, 1, true),
  udp64: udp(64),
  udp1350: udp(1350),
  udpgso: udpGroups('UDP in groups', 4),
  udpgsov6: udpGroups('UDP in groups over IPv6', 6),
  udpramp64: udpRamp(64),
  udpramp1350: udpRamp(1350),
  ping: {
    title: 'ping, idle',
    estimate: (seconds) => seconds + 0.2,
    headline: 'p50Ms',
    run: async (subject, seconds) => echoes(subject.route4, seconds),
  },
  pingload: pingUnderLoad('ping under TCP load', 1),
  pingload4: pingUnderLoad('ping under 4 TCP streams', 4),
  rss: {
    title: 'memory at full load',
    estimate: (seconds) => seconds + 0.3,
    headline: 'residentBytesMost',
    run: memory,
  },
  integrity: {
    title: 'payload integrity',
    estimate: (seconds) => seconds * 0.5 + 1,
    headline: 'corruptedBytes',
    run: integrity,
  },
};

function tcp(title: string, version: 4 | 6, streams: number, reverse: boolean): Test {
  return {
    title,
    estimate: (seconds) => seconds + 0.3,
    headline: 'gigabitsPerSecond',
    run: async (subject, seconds) => {
      const route = version === 4 ? subject.route4 : subject.route6;
      if (route === null) return null;
      const result = await measureTcp(route, { seconds, streams, reverse }, subject.pids);
      const { gigabitsPerSecond, cpuSecondsPerGb, retransmits } = result;
      return { gigabitsPerSecond, cpuSecondsPerGb, retransmits };
    },
  };
}

function udp(length: number): Test {
  return {
    title: `UDP, ${length} bytes`,
    estimate: (seconds) => seconds + 0.5,
    headline: 'deliveredPerSecond',
    run: async (subject, seconds) => {
      const result = await runUdp(subject.route4, { seconds, length });
      return { deliveredPerSecond: result.deliveredPerSecond, sentPerSecond: result.sentPackets / result.seconds };
    },
  };
}

async function echoes(route: Route, seconds: number): Promise<Sample> {
  const { p50Ms, p99Ms, sent, received } = await ping(route, seconds);
  return { p50Ms, p99Ms, lostEchoes: sent - received };
}

/** The load starts half a second before the first echo and ends after the last. */
function pingUnderLoad(title: string, streams: number): Test {
  return {
    title,
    estimate: (seconds) => seconds + 1.7,
    headline: 'p50Ms',
    run: async (subject, seconds) => {
      const load = measureTcp(subject.route4, { seconds: seconds + 1, streams }, subject.pids);
      const settled = load.catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const sample = await echoes(subject.route4, seconds);
      await settled;
      return { ...sample, gigabitsPerSecond: (await load).gigabitsPerSecond };
    },
  };
}

function udpGroups(title: string, version: 4 | 6): Test {
  return {
    title,
    estimate: (seconds) => seconds + 0.7,
    headline: 'gigabitsPerSecond',
    run: async (subject, seconds) => {
      const route = version === 4 ? subject.route4 : subject.route6;
      if (route === null) return null;
      const before = usageOfAll(subject.pids).cpuSeconds;
      const result = await runWindowed(route, seconds, QUIC_LENGTH);
      const cpuSeconds = usageOfAll(subject.pids).cpuSeconds - before;
      const { gigabitsPerSecond, deliveredDatagrams, lostDatagrams, sentDatagrams } = result;
      return {
        gigabitsPerSecond,
        cpuSecondsPerGb: cpuSeconds / ((deliveredDatagrams * QUIC_LENGTH) / 1e9),
        lostShare: lostDatagrams / sentDatagrams,
        lateDatagrams: result.lateDatagrams,
        datagramsPerGroup: result.datagramsPerGroup,
      };
    },
  };
}

function udpRamp(length: number): Test {
  const stepSeconds = (seconds: number) => Math.max(RAMP_STEP_SECONDS_MIN, seconds * RAMP_STEP_SHARE);
  return {
    title: `UDP ramp, ${length} bytes`,
    estimate: (seconds) => (stepSeconds(seconds) + 0.15) * RAMP_RATES.length + 0.7,
    headline: 'leastOfBest',
    run: async (subject, seconds) => {
      const steps = await runRamp(subject.route4, stepSeconds(seconds), length, RAMP_RATES);
      const metrics = steps.flatMap(({ rate, offeredPerSecond, deliveredPerSecond }) => [
        [`offered@${rate}`, offeredPerSecond],
        [`delivered@${rate}`, deliveredPerSecond],
      ]);
      return { ...Object.fromEntries(metrics), leastOfBest: leastOfBest(steps) };
    },
  };
}

/** The worst step as a share of the best of those that offered no more; 1 when what is delivered never falls as more is offered. */
export function leastOfBest(steps: readonly Pick<RampStep, 'offeredPerSecond' | 'deliveredPerSecond'>[]): number {
  const shares = steps.map((step) => {
    const lower = steps.filter(({ offeredPerSecond }) => offeredPerSecond <= step.offeredPerSecond);
    return step.deliveredPerSecond / Math.max(...lower.map(({ deliveredPerSecond }) => deliveredPerSecond));
  });
  return Math.min(1, ...shares.filter(Number.isFinite));
}

async function memory(subject: Subject, seconds: number): Promise<Sample | null> {
  if (subject.pids.length === 0) return null;
  const load = measureTcp(subject.route4, { seconds, streams: 4 }, subject.pids);
  const { most, growth } = await watchMemory(subject.pids, load);
  const { gigabitsPerSecond } = await load;
  return { residentBytesMost: most, residentBytesGrowth: growth, gigabitsPerSecond };
}

/** One transfer each way and for each IP version, every byte compared. */
async function integrity(subject: Subject, seconds: number): Promise<Sample> {
  const bytes = Math.round(BYTES_PER_SECOND * seconds);
  const sum = { comparedBytes: 0, corruptedBytes: 0, intactTransfers: 0, transfers: 0 };
  for (const route of subject.routes) {
    const result = await transfer(route, bytes, `${subject.name} ${route.address}`);
    sum.comparedBytes += result.bytes;
    sum.corruptedBytes += result.corruptedBytes;
    sum.intactTransfers += result.intact ? 1 : 0;
    sum.transfers += 1;
  }
  return sum;
}
