/** What the figures of a bench mean: two or three sentences below each table, made from the figures themselves. */
import { ACTIVITIES, type ActivityName } from '../../ledger/catalog.ts';
import { significant } from '../statistics.ts';
import { type Cost, microsecondsOf, sharesOf } from './cost.ts';
import { type BenchResult, medianOf, ratioOf } from './result.ts';
import type { SubjectName } from './subjects.ts';
import { leastOfBest, type MetricId, RAMP_RATES, type TestId } from './tests.ts';
import { isVariant, VARIANTS, type VariantName } from './variants.ts';

const AEAD: readonly ActivityName[] = ['USER_ENCRYPT', 'USER_DECRYPT'];
/** What traffic in groups is to reach of TCP, and what a step of a ramp may lose against a lower one before it is a collapse. */
const GROUPS_OF_TCP = 0.8;
const COLLAPSE_BELOW = 0.9;
const GROWTH_MAX_BYTES = 5e6;
const OTHERS: readonly SubjectName[] = ['floor', 'floor-aes', 'floor-shared', 'wireguard-go'];

/** How gigatun stands to the others, and what the machine moves without a tunnel. */
export function explainTcp(result: BenchResult): string[] {
  const own = medianOf(result, 'tcp1', 'gigatun', 'gigabitsPerSecond');
  if (own === null) return [];
  const comparisons = present(result, OTHERS).flatMap((other) => {
    const ratio = ratioOf(result, 'tcp1', 'gigabitsPerSecond', 'gigatun', other);
    return ratio === null ? [] : [`${times(ratio)} ${other}'s`];
  });
  const veth = medianOf(result, 'tcp1', 'veth', 'gigabitsPerSecond');
  return [
    `With one stream gigatun carries ${significant(own)} Gbit/s${comparisons.length === 0 ? '' : `, ${comparisons.join(' and ')}`}.`,
    ...(veth === null
      ? []
      : [
          `Without any tunnel this machine moves ${significant(veth)} Gbit/s between two namespaces: that is its bound.`,
        ]),
  ];
}

/** What the busy time went into, and what the cores would allow at this price. */
export function explainCost(result: BenchResult): string[] {
  const price = medianOf(result, 'tcp1', 'gigatun', 'cpuSecondsPerGb');
  const cost = result.costs.tcp1?.gigatun;
  if (price === null || price === 0 || cost === undefined) return [];
  const shares = sharesOf(cost);
  const [dearest] = shares.filter(({ name }) => !AEAD.includes(name));
  const kernel = shares.filter(({ name }) => name.startsWith('KERN_'));
  const { cores } = result.machine;
  return [
    `The AEAD takes ${percent(sum(shares.filter(({ name }) => AEAD.includes(name))))} of the busy time of gigatun's lanes and the ` +
      `kernel's calls ${percent(sum(kernel))}; ${dearest === undefined ? '' : `the dearest beside the AEAD is ${described(dearest)}`}.`,
    `At ${significant(price)} CPU-seconds per GB, ${cores} cores that did nothing else would carry ` +
      `${significant((8 * cores) / price)} Gbit/s at most; here the load's own programs share them.`,
  ];
}

/** Whether traffic in groups is about as fast as TCP. */
export function explainGroups(result: BenchResult): string[] {
  const sentences = (
    [
      ['udpgso', 'tcp1', 'IPv4'],
      ['udpgsov6', 'tcp1v6', 'IPv6'],
    ] as const
  ).flatMap(([test, tcp, version]) => {
    const groups = medianOf(result, test, 'gigatun', 'gigabitsPerSecond');
    const stream = medianOf(result, tcp, 'gigatun', 'gigabitsPerSecond');
    if (groups === null || stream === null) return [];
    const ratio = groups / stream;
    const verdict = ratio >= GROUPS_OF_TCP ? 'as it should (0.8 or more)' : 'less than the 0.8 that it should';
    return [`Over ${version}, gigatun carries ${significant(ratio)} of TCP's throughput in such groups: ${verdict}.`];
  });
  const late = medianOf(result, 'udpgso', 'gigatun', 'lateDatagrams');
  if (sentences.length === 0 || late === null) return sentences;
  return [...sentences, late === 0 ? 'No datagram came out of order.' : `${late} datagrams came out of order.`];
}

/** What load does to round trips: queues, not work. */
export function explainLatency(result: BenchResult): string[] {
  const figure = (test: TestId, metric: MetricId) => medianOf(result, test, 'gigatun', metric);
  const [idle, loaded] = [figure('ping', 'p50Ms'), figure('pingload', 'p50Ms')];
  const packets = figure('udp64', 'deliveredPerSecond');
  const floor = ratioOf(result, 'udp64', 'deliveredPerSecond', 'gigatun', 'floor');
  return [
    ...(packets === null
      ? []
      : [
          `Of 64-byte packets ${significant(packets / 1e3)} thousand a second arrive${floor === null ? '' : `, ${times(floor)} floor's`}.`,
        ]),
    ...(idle === null || loaded === null
      ? []
      : [
          `A round trip through gigatun takes ${significant(idle)} ms when idle and ${significant(loaded)} ms under one TCP stream: ` +
            `${significant(loaded - idle)} ms of that is queue.`,
        ]),
  ];
}

/** Whether delivered falls as offered rises, for each tunnel, by the medians of its steps. */
export function explainRamp(result: BenchResult, length: 64 | 1350): string[] {
  const test = length === 64 ? 'udpramp64' : 'udpramp1350';
  return result.subjects.flatMap(({ name }) => {
    const steps = RAMP_RATES.flatMap((rate) => {
      const offeredPerSecond = medianOf(result, test, name, `offered@${rate}`);
      const deliveredPerSecond = medianOf(result, test, name, `delivered@${rate}`);
      return offeredPerSecond === null || deliveredPerSecond === null ? [] : [{ offeredPerSecond, deliveredPerSecond }];
    });
    if (steps.length === 0 || name.startsWith('veth')) return [];
    const least = leastOfBest(steps);
    return least >= COLLAPSE_BELOW
      ? [`${name}: no collapse, no step delivers less than ${percent(least)} of one that offered less.`]
      : [`${name}: COLLAPSE, a step delivers only ${percent(least)} of one that offered less.`];
  });
}

export function explainMemory(result: BenchResult): string[] {
  const most = medianOf(result, 'rss', 'gigatun', 'residentBytesMost');
  const growth = medianOf(result, 'rss', 'gigatun', 'residentBytesGrowth');
  if (most === null || growth === null) return [];
  const flat = growth <= GROWTH_MAX_BYTES ? 'it is flat' : 'it grows';
  return [
    `At full load the larger of gigatun's ends has ${significant(most / 1e6)} MB resident, and ${flat} ` +
      `(${significant(growth / 1e6)} MB from the first quarter of a load to its last). --soak watches it for longer.`,
  ];
}

/** What each means is worth: the ratio to gigatun as it is, and the activity that became dearer. */
export function explainOffloads(result: BenchResult): string[] {
  return result.subjects.flatMap(({ name }) => {
    if (!isVariant(name) || name === 'gigatun') return [];
    return explainVariant(result, name);
  });
}

function explainVariant(result: BenchResult, name: VariantName): string[] {
  const [test, what] =
    name === 'gigatun-no-tun-uso' ? (['udpgso', 'UDP in groups'] as const) : (['tcp1', 'TCP'] as const);
  const ratio = ratioOf(result, test, 'gigabitsPerSecond', name, 'gigatun');
  if (ratio === null) return [];
  const dearer = dearestRise(result.costs[test]?.gigatun, result.costs[test]?.[name]);
  const because =
    dearer === null
      ? ''
      : `: a packet costs ${micros(dearer.changed)} in ${dearer.name} instead of ${micros(dearer.asItIs)}`;
  return [`${capital(VARIANTS[name].lacks)}, ${what} is ${times(ratio)} as fast${because}.`];
}

interface Rise {
  readonly name: ActivityName;
  readonly asItIs: number;
  readonly changed: number;
}

/** The activity whose price per packet rose most; null when none rose by a tenth. */
export function dearestRise(asItIs: Cost | undefined, changed: Cost | undefined): Rise | null {
  if (asItIs === undefined || changed === undefined) return null;
  const rises = ACTIVITIES.flatMap(({ name }): Rise[] => {
    const [before, after] = [microsecondsOf(asItIs, name), microsecondsOf(changed, name)];
    return before === null || after === null || after <= before * 1.1 ? [] : [{ name, asItIs: before, changed: after }];
  });
  rises.sort((x, y) => y.changed - y.asItIs - (x.changed - x.asItIs));
  return rises[0] ?? null;
}

function present(result: BenchResult, names: readonly SubjectName[]): SubjectName[] {
  return names.filter((name) => result.subjects.some((subject) => subject.name === name));
}

function described({ name, microseconds }: { name: ActivityName; microseconds: number | null }): string {
  return microseconds === null ? name : `${name}, ${micros(microseconds)} per packet`;
}

function sum(shares: readonly { readonly share: number }[]): number {
  return shares.reduce((total, { share }) => total + share, 0);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function times(ratio: number): string {
  return `${significant(ratio)} times`;
}

function micros(value: number): string {
  return `${value.toFixed(2)} µs`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
