/** An attack run: each kind of flood beside a TCP stream through the tunnel, then the result as a table or as JSON. */
import { setTimeout as delay } from 'node:timers/promises';
import { GigatunError } from '../../errors.ts';
import { watchMemory } from '../bench/memory.ts';
import { runTcp } from '../iperf.ts';
import { busyWarning, examineMachine } from '../machine.ts';
import { examinePrivilege, judgePrivilege } from '../privilege.ts';
import { runPhase, type Screen } from '../progress.ts';
import { median, significant } from '../statistics.ts';
import { AttackLab } from './attack-lab.ts';
import type { FloodKind } from './flood-kinds.ts';
import { ATTACK_USAGE, type AttackOptions, parseAttackOptions } from './options.ts';

/** The flood begins this much before the stream and the newcomer. */
const LEAD_MS = 800;
/** A newcomer that needs a cookie comes back after 5 s, and jitter; the flood outlasts that. */
const KNOCK_MS = 7_000;
const FLOOD_SECONDS_MIN = 8.5;
const DROPS_SHOWN = 3;

export interface AttackFigure {
  readonly kind: string;
  readonly title: string;
  /** That the attacker's kernel took, per second. */
  readonly datagramsPerSecond: number;
  /** Gbit/s of one TCP stream. */
  readonly before: number;
  readonly during: number;
  readonly ratio: number;
  /** Of the attacked end, bytes. */
  readonly residentBefore: number;
  readonly residentMost: number;
  /** From a newcomer's first packet until its echo came back, beside flood and stream; Infinity when it did not. */
  readonly newcomerMs: number;
  /** Of the attacked end, what grew during the flood. */
  readonly drops: Readonly<Record<string, number>>;
}

/** Runs from command-line arguments. Progress goes to `progress`, the result to `screen`. Returns the exit status. */
export async function runAttack(args: readonly string[], screen: Screen, progress: Screen): Promise<number> {
  const options = parseAttackOptions(args);
  if (options === 'help') {
    screen.write(ATTACK_USAGE);
    return 0;
  }
  if (judgePrivilege(examinePrivilege()).kind !== 'own')
    throw new GigatunError('PERMISSION', 'the attack run needs root: it makes network namespaces and TUN interfaces');
  const warning = busyWarning(await examineMachine());
  if (warning !== null) progress.write(`${warning}\n`);
  await using lab = await AttackLab.open(options.kinds.length * options.rounds, options.program);
  await runTcp(lab.route, { seconds: 1 });
  const figures: AttackFigure[] = [];
  for (const kind of options.kinds) figures.push(await rounds(lab, kind, options, progress));
  screen.write(options.json ? `${JSON.stringify({ options, figures }, null, 2)}\n` : `${attackTable(figures)}\n`);
  return 0;
}

/** The result as a Markdown table. */
export function attackTable(figures: readonly AttackFigure[]): string {
  const head = ['flood', 'datagrams/s', 'Gbit/s before', 'during', 'ratio', 'RSS before → most, MB', 'newcomer in, ms'];
  const rows = figures.map((figure) => [
    figure.title,
    significant(figure.datagramsPerSecond),
    significant(figure.before),
    significant(figure.during),
    significant(figure.ratio),
    `${significant(figure.residentBefore / 1e6)} → ${significant(figure.residentMost / 1e6)}`,
    significant(figure.newcomerMs),
    topDrops(figure.drops),
  ]);
  const lines = [[...head, 'drops'], Array.from({ length: head.length + 1 }, () => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function topDrops(drops: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(drops).sort(([, x], [, y]) => y - x);
  return sorted
    .slice(0, DROPS_SHOWN)
    .map(([name, count]) => `${name} ${significant(count)}`)
    .join(', ');
}

async function rounds(lab: AttackLab, kind: FloodKind, options: AttackOptions, screen: Screen): Promise<AttackFigure> {
  const figures: AttackFigure[] = [];
  const describe = ({ ratio, newcomerMs }: AttackFigure): string =>
    `ratio ${significant(ratio)}, newcomer in after ${significant(newcomerMs)} ms`;
  const seconds = options.seconds + FLOOD_SECONDS_MIN + 2;
  for (let round = 0; round < options.rounds; round += 1)
    figures.push(await runPhase(screen, kind.name, seconds, () => attack(lab, kind, options), describe));
  const of = (key: 'datagramsPerSecond' | 'before' | 'during' | 'ratio' | 'newcomerMs'): number =>
    median(figures.map((figure) => figure[key]));
  const [first] = figures;
  const [last] = figures.slice(-1);
  if (first === undefined || last === undefined) throw new RangeError('expected a round');
  return {
    ...first,
    datagramsPerSecond: of('datagramsPerSecond'),
    before: of('before'),
    during: of('during'),
    ratio: of('ratio'),
    newcomerMs: of('newcomerMs'),
    residentMost: Math.max(...figures.map(({ residentMost }) => residentMost)),
    drops: last.drops,
  };
}

async function attack(lab: AttackLab, kind: FloodKind, { rate, seconds }: AttackOptions): Promise<AttackFigure> {
  const newcomer = await lab.nextNewcomer();
  try {
    const before = await runTcp(lab.route, { seconds });
    const residentBefore = lab.b.usage().residentBytes;
    const dropsBefore = await lab.drops();
    const flood = await lab.flood(kind, { rate, seconds: Math.max(FLOOD_SECONDS_MIN, seconds + 1.5) });
    await delay(LEAD_MS);
    const load = Promise.all([runTcp(lab.route, { seconds }), newcomer.knock(KNOCK_MS)]);
    const memory = await watchMemory([lab.b.pid], load);
    const [[during, newcomerMs], report] = [await load, await flood.report];
    const drops = Object.entries(await lab.drops()).map(([name, count]) => [name, count - (dropsBefore[name] ?? 0)]);
    return {
      kind: kind.name,
      title: kind.title,
      datagramsPerSecond: report.sent / report.seconds,
      before: before.gigabitsPerSecond,
      during: during.gigabitsPerSecond,
      ratio: during.gigabitsPerSecond / before.gigabitsPerSecond,
      residentBefore,
      residentMost: memory.most,
      newcomerMs,
      drops: Object.fromEntries(drops.filter(([, count]) => Number(count) > 0)) as Record<string, number>,
    };
  } finally {
    await newcomer.close();
  }
}
