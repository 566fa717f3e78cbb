/**
 * Throughput of one active peer: over a tunnel whose both ends have a single peer, and over one whose both ends have a
 * crowd beside it, in turns.
 */
import { runTcp } from '../iperf.ts';
import { Lab } from '../namespaces.ts';
import { innerRoute, type Pair, planPair, quickConfig } from '../pair.ts';
import { type Summary, summarize } from '../statistics.ts';
import { crowdSections } from './crowd.ts';
import type { ScaleOptions } from './options.ts';
import { openSubject, type Subject } from './subject.ts';

const WARM_UP_SECONDS = 1;

export interface SteadyFigure {
  readonly peers: number;
  /** Gbit/s of one TCP stream. */
  readonly one: Summary;
  readonly many: Summary;
  /** CPU-seconds of both ends for 10^9 bytes. */
  readonly oneCpu: Summary;
  readonly manyCpu: Summary;
  /** Of the medians, many by one. */
  readonly ratio: number;
  /** Resident bytes of the crowded receiver after the load. */
  readonly residentBytes: number;
}

/** Measures in turns. */
export async function measureSteady(options: ScaleOptions): Promise<SteadyFigure> {
  const lab = new Lab();
  try {
    return await measure(lab, options);
  } finally {
    lab.close();
  }
}

interface Tunnel {
  readonly pair: Pair;
  readonly ends: readonly [Subject, Subject];
  readonly rates: number[];
  readonly costs: number[];
}

async function measure(lab: Lab, options: ScaleOptions): Promise<SteadyFigure> {
  const one = await openTunnel(lab, options, 0, '');
  const many = await openTunnel(lab, options, 1, crowdSections(options));
  for (const tunnel of [one, many]) await load(tunnel, WARM_UP_SECONDS);
  for (let round = 0; round < options.repeats; round += 1) {
    for (const tunnel of round % 2 === 0 ? [one, many] : [many, one]) {
      const { rate, cost } = await load(tunnel, options.seconds);
      tunnel.rates.push(rate);
      tunnel.costs.push(cost);
    }
  }
  const residentBytes = many.ends[1].usage().residentBytes;
  for (const end of [...one.ends, ...many.ends]) await end.close();
  const [oneRates, manyRates] = [summarize(one.rates), summarize(many.rates)];
  return {
    peers: options.peers,
    one: oneRates,
    many: manyRates,
    oneCpu: summarize(one.costs),
    manyCpu: summarize(many.costs),
    ratio: manyRates.median / oneRates.median,
    residentBytes,
  };
}

async function openTunnel(lab: Lab, { program }: ScaleOptions, subnet: number, crowd: string): Promise<Tunnel> {
  const pair = planPair(lab, { subnet });
  const [a, b] = [pair.a, pair.b].map((plan) => ({
    name: plan.device,
    namespace: plan.namespace,
    text: `${quickConfig(plan)}\n${crowd}`,
    program,
  }));
  return { pair, ends: [await openSubject(lab, a), await openSubject(lab, b)], rates: [], costs: [] };
}

async function load({ pair, ends }: Tunnel, seconds: number): Promise<{ rate: number; cost: number }> {
  const cpu = (): number => ends.reduce((sum, end) => sum + end.usage().cpuSeconds, 0);
  const before = cpu();
  const { gigabitsPerSecond, bytes } = await runTcp(innerRoute(pair, 4), { seconds });
  return { rate: gigabitsPerSecond, cost: (cpu() - before) / (bytes / 1e9) };
}
