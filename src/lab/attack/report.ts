/** What an attack run found, as Markdown tables: the stream beside floods, and what floods cost the device. */
import { type Summary, significant, summarize } from '../statistics.ts';
import { type FloodKind, floodKind } from './flood-kinds.ts';
import type { Leg } from './leg.ts';

const DROPS_SHOWN = 3;
const MEMORY = 'RSS before → most → after, MB';

/** The legs of one round: without a flood, the floors by name, and the kinds. */
export interface Round {
  /** null where a flood comes alone. */
  readonly none: Leg | null;
  readonly floors: Readonly<Record<string, Leg>>;
  readonly kinds: readonly { readonly leg: Leg; readonly floor: string }[];
}

/** One line per kind: medians, and least to most over the rounds. */
export function attackTable(rounds: readonly Round[], kinds: readonly FloodKind[]): string {
  const head = ['flood', 'datagrams/s', 'Gbit/s', 'of none', 'of the floor', 'newcomer in, ms', MEMORY, 'drops'];
  return table(head, [...floorRows(rounds), ...kinds.map((kind, at) => kindRow(rounds, kind, at))]);
}

/** What a flood costs that comes alone: the lane's time on a core per datagram, what else the process does, and memory. */
export function aloneTable(rounds: readonly Round[], kinds: readonly FloodKind[]): string {
  const head = [
    'flood',
    'datagrams/s received',
    'lane, µs each',
    'of it kernel',
    'lane, cores',
    'rest, cores',
    'cookies/s',
    MEMORY,
  ];
  const rows = kinds.map(({ name }, at) => {
    const of = (figure: (leg: Leg) => number): string => cell(rounds.map((round) => figure(legOf(round, at))));
    return [
      name,
      of((leg) => leg.received / leg.wallSeconds),
      of((leg) => (leg.laneSeconds / leg.received) * 1e6),
      of((leg) => (leg.laneKernelSeconds / leg.received) * 1e6),
      of((leg) => leg.laneSeconds / leg.wallSeconds),
      of((leg) => Math.max(0, leg.cpuSeconds - leg.laneSeconds) / leg.wallSeconds),
      of((leg) => leg.cookies / leg.wallSeconds),
      memoryOf(rounds.map((round) => legOf(round, at))),
    ];
  });
  return table(head, rows);
}

function floorRows(rounds: readonly Round[]): string[][] {
  const [first] = rounds;
  const alone = rounds.map(noneOf);
  const none = ['none', '0', cell(alone.map(({ gigabitsPerSecond }) => gigabitsPerSecond)), '1', '–'];
  const rows = Object.keys(first?.floors ?? {}).map((name) => {
    const legs = rounds.map((round) => ({ leg: round.floors[name] ?? noneOf(round), none: noneOf(round) }));
    const title = floodKind(name)?.title ?? name;
    return [...figuresOf(`${name}: ${title}`, legs), '–', ...commonOf(legs.map(({ leg }) => leg))];
  });
  return [[...none, ...commonOf(alone)], ...rows];
}

function kindRow(rounds: readonly Round[], { name, title }: FloodKind, at: number): string[] {
  const legs = rounds.map((round) => ({ leg: legOf(round, at), none: noneOf(round) }));
  const ofFloor = rounds.map((round) => legOf(round, at).gigabitsPerSecond / floorFor(round, at).gigabitsPerSecond);
  return [...figuresOf(`${name}: ${title}`, legs), cell(ofFloor), ...commonOf(legs.map(({ leg }) => leg))];
}

function figuresOf(title: string, legs: readonly { readonly leg: Leg; readonly none: Leg }[]): string[] {
  return [
    title,
    significant(summarize(legs.map(({ leg }) => leg.datagramsPerSecond)).median),
    cell(legs.map(({ leg }) => leg.gigabitsPerSecond)),
    cell(legs.map(({ leg, none }) => leg.gigabitsPerSecond / none.gigabitsPerSecond)),
  ];
}

function commonOf(legs: readonly Leg[]): string[] {
  const [last] = legs.slice(-1);
  return [cell(legs.map(({ newcomerMs }) => newcomerMs)), memoryOf(legs), topDrops(last?.drops ?? {})];
}

function memoryOf(legs: readonly Leg[]): string {
  const [first] = legs;
  const [last] = legs.slice(-1);
  const most = Math.max(...legs.map(({ residentMost }) => residentMost));
  const bytes = [first?.residentBefore ?? 0, most, last?.residentAfter ?? 0];
  return bytes.map((one) => significant(one / 1e6)).join(' → ');
}

function noneOf({ none }: Round): Leg {
  if (none === null) throw new RangeError('expected a leg without a flood');
  return none;
}

function legOf(round: Round, at: number): Leg {
  return round.kinds[at]?.leg ?? noneOf(round);
}

function floorFor(round: Round, at: number): Leg {
  return round.floors[round.kinds[at]?.floor ?? ''] ?? noneOf(round);
}

/** '0.82 (0.79 – 0.9)', and one figure alone where there is one. */
function cell(samples: readonly number[]): string {
  const { median, least, most }: Summary = summarize(samples);
  return samples.length === 1
    ? significant(median)
    : `${significant(median)} (${significant(least)} – ${significant(most)})`;
}

function topDrops(drops: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(drops).sort(([, x], [, y]) => y - x);
  return sorted
    .slice(0, DROPS_SHOWN)
    .map(([name, count]) => `${name} ${significant(count)}`)
    .join(', ');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
