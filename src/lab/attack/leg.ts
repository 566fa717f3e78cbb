/**
 * One leg of a round: the TCP stream through the tunnel and a newcomer who knocks, beside one flood or none, with what the
 * attacked end's books and memory say of it. The flood begins before both and goes on until both are done.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { watchMemory } from '../bench/memory.ts';
import type { EndStats } from '../gigatun-stats.ts';
import { runTcp } from '../iperf.ts';
import type { AttackLab, NewcomerAtDoor } from './attack-lab.ts';
import type { FloodKind } from './flood-kinds.ts';

/** The flood begins this much before the stream and the newcomer. */
const LEAD_MS = 800;
/** A newcomer that needs a cookie comes back after 5 s and jitter, and may miss the first. */
const KNOCK_MS = 12_000;
const SLACK_SECONDS = 10;

export interface Leg {
  /** Of the flood, 'none' without one. */
  readonly kind: string;
  /** That the attacker's kernel took, per second. */
  readonly datagramsPerSecond: number;
  /** Of the TCP stream; NaN when there was none. */
  readonly gigabitsPerSecond: number;
  /** From a newcomer's first packet until its echo came back; Infinity when it did not, NaN when nobody knocked. */
  readonly newcomerMs: number;
  /** Resident memory of the attacked end before, at most, and afterwards, bytes. */
  readonly residentBefore: number;
  readonly residentMost: number;
  readonly residentAfter: number;
  readonly wallSeconds: number;
  /** Of the attacked process: on a core, and of that its lanes, and of that in the kernel. */
  readonly cpuSeconds: number;
  readonly laneSeconds: number;
  readonly laneKernelSeconds: number;
  /** Datagrams that its lanes received. */
  readonly received: number;
  readonly cookies: number;
  readonly drops: Readonly<Record<string, number>>;
}

export interface LegOptions {
  readonly rate: number;
  readonly seconds: number;
  /** Neither stream nor newcomer. */
  readonly alone: boolean;
}

/** Runs a leg; `kind` null is without a flood. */
export async function runLeg(lab: AttackLab, kind: FloodKind | null, options: LegOptions): Promise<Leg> {
  const newcomer = options.alone ? null : await lab.nextNewcomer();
  try {
    const residentBefore = lab.b.usage().residentBytes;
    const seconds = Math.max(options.seconds, KNOCK_MS / 1_000) + SLACK_SECONDS;
    const flood = kind === null ? null : await lab.flood(kind, { rate: options.rate, seconds });
    await delay(LEAD_MS);
    const before = await figuresOf(lab);
    const load = newcomer === null ? rest(options) : loads(lab, options, newcomer);
    const memory = await watchMemory([lab.b.pid], load);
    const after = await figuresOf(lab);
    flood?.stop();
    const report = await flood?.report;
    return {
      kind: kind?.name ?? 'none',
      datagramsPerSecond: report === undefined ? 0 : report.sent / report.seconds,
      ...(await load),
      residentBefore,
      residentMost: memory.most,
      residentAfter: lab.b.usage().residentBytes,
      ...difference(before, after),
    };
  } finally {
    await newcomer?.close();
  }
}

interface Loads {
  readonly gigabitsPerSecond: number;
  readonly newcomerMs: number;
}

async function loads(lab: AttackLab, { seconds }: LegOptions, newcomer: NewcomerAtDoor): Promise<Loads> {
  const [{ gigabitsPerSecond }, newcomerMs] = await Promise.all([
    runTcp(lab.route, { seconds }),
    newcomer.knock(KNOCK_MS),
  ]);
  return { gigabitsPerSecond, newcomerMs };
}

async function rest({ seconds }: LegOptions): Promise<Loads> {
  await delay(seconds * 1_000);
  return { gigabitsPerSecond: Number.NaN, newcomerMs: Number.NaN };
}

interface Figures {
  readonly atMs: number;
  readonly cpuSeconds: number;
  readonly stats: EndStats;
}

async function figuresOf(lab: AttackLab): Promise<Figures> {
  const stats = await lab.stats();
  return { atMs: performance.now(), cpuSeconds: lab.b.usage().cpuSeconds, stats };
}

type Difference = Pick<
  Leg,
  'wallSeconds' | 'cpuSeconds' | 'laneSeconds' | 'laneKernelSeconds' | 'received' | 'cookies' | 'drops'
>;

function difference(before: Figures, after: Figures): Difference {
  const drops = Object.entries(after.stats.drops).map(([name, n]) => [name, n - (before.stats.drops[name] ?? 0)]);
  const counted = (name: string): number => (after.stats.counts[name] ?? 0) - (before.stats.counts[name] ?? 0);
  const onCore = (isWanted: (name: string) => boolean): number =>
    onCoreNs(after.stats, isWanted) - onCoreNs(before.stats, isWanted);
  return {
    wallSeconds: (after.atMs - before.atMs) / 1_000,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    laneSeconds: onCore((name) => name !== 'KERN_WAIT') / 1e9,
    laneKernelSeconds: onCore((name) => name.startsWith('KERN_') && name !== 'KERN_WAIT') / 1e9,
    received: counted('UDP_RX'),
    cookies: counted('HANDSHAKE_TX'),
    drops: Object.fromEntries(drops.filter(([, count]) => Number(count) > 0)) as Record<string, number>,
  };
}

function onCoreNs({ activitiesNs, coreWaitNs }: EndStats, isWanted: (name: string) => boolean): number {
  const names = Object.keys(activitiesNs) as (keyof typeof activitiesNs)[];
  return names.filter(isWanted).reduce((sum, name) => sum + activitiesNs[name] - coreWaitNs[name], 0);
}
