/** The result of a scale run, its verdicts, and both as Markdown. */
import type { Machine } from '../machine.ts';
import { median, significant } from '../statistics.ts';
import type { LookupFigure } from './lookup.ts';
import type { ScaleOptions } from './options.ts';
import type { StartFigure } from './start.ts';
import type { SteadyFigure } from './steady.ts';
import type { StormFigure } from './storm.ts';

export interface ScaleResult {
  readonly report: 'gigatun scale';
  readonly takenAt: string;
  readonly machine: Machine;
  readonly options: ScaleOptions;
  readonly lookups: readonly LookupFigure[];
  readonly start: StartFigure | null;
  readonly storms: readonly StormFigure[];
  readonly steady: SteadyFigure | null;
}

/** One criterion: what was asked for, and what was found. */
export interface Verdict {
  readonly what: string;
  readonly wanted: string;
  readonly got: string;
  readonly reached: boolean;
}

const RATIO_LEAST = 0.95;
const BYTES_PER_PEER_MAX = 8_192;
const SETTLED_MS_MAX = 2_000;
const LOOKUP_RATIO_MAX = 2;

/** Whether each measured part reaches what scale means here. */
export function judge(result: ScaleResult): Verdict[] {
  return [
    ...judgeSteady(result.steady),
    ...judgeStart(result.start),
    ...judgeStorms(result.storms),
    ...judgeLookups(result.lookups),
  ];
}

function judgeSteady(steady: SteadyFigure | null): Verdict[] {
  if (steady === null) return [];
  const what = `throughput with ${count(steady.peers)} peers by that with one`;
  return [verdict(what, `≥ ${RATIO_LEAST}`, steady.ratio.toFixed(3), steady.ratio >= RATIO_LEAST)];
}

function judgeStart(start: StartFigure | null): Verdict[] {
  if (start === null) return [];
  const { bytesPerPeer } = start;
  const got = `${count(bytesPerPeer)} bytes`;
  return [
    verdict('memory of an idle peer', `≤ ${count(BYTES_PER_PEER_MAX)} bytes`, got, bytesPerPeer <= BYTES_PER_PEER_MAX),
  ];
}

function judgeStorms(storms: readonly StormFigure[]): Verdict[] {
  if (storms.length === 0) return [];
  const settledMs = median(storms.map((storm) => storm.settledMs));
  const starved = storms.reduce((sum, storm) => sum + storm.starved, 0);
  return [
    verdict(
      `${count(storms[0].handshakes)} handshakes at once, settled on one core`,
      `≤ ${count(SETTLED_MS_MAX)} ms`,
      `${count(settledMs)} ms`,
      settledMs <= SETTLED_MS_MAX,
    ),
    verdict('peers starved in a storm', '0', `${starved}`, starved === 0),
  ];
}

function judgeLookups(lookups: readonly LookupFigure[]): Verdict[] {
  return groupedByShape(lookups).map(([shape, figures]) => {
    const ratio = figures[figures.length - 1].ns / figures[0].ns;
    const [few, many] = [figures[0].prefixes, figures[figures.length - 1].prefixes].map(count);
    const what = `look-up at ${many} prefixes by that at ${few}: ${shape}`;
    return verdict(what, `≤ ${LOOKUP_RATIO_MAX}`, ratio.toFixed(2), ratio <= LOOKUP_RATIO_MAX);
  });
}

function verdict(what: string, wanted: string, got: string, reached: boolean): Verdict {
  return { what, wanted, got, reached };
}

function groupedByShape(lookups: readonly LookupFigure[]): [string, LookupFigure[]][] {
  const shapes = [...new Set(lookups.map(({ shape }) => shape))];
  return shapes.map((shape) => [shape, lookups.filter((figure) => figure.shape === shape)]);
}

/** Heading, verdicts, and one table for each part that was measured. */
export function toMarkdown(result: ScaleResult): string {
  const sections = [
    heading(result),
    table('What was asked for', verdictTable(judge(result))),
    table('Route look-up', lookupTable(result.lookups)),
    table('Start, memory, idle', startTable(result.start)),
    table('Storm of handshakes, all threads of the device on one core', stormTable(result.storms)),
    table('One active peer', steadyTable(result.steady)),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

type Table = readonly (readonly string[])[];

function heading({ takenAt, machine, options }: ScaleResult): string {
  const { peers, prefixes, seconds, repeats, program } = options;
  return [
    `# Scale, ${takenAt.slice(0, 16).replace('T', ' ')} UTC`,
    '',
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; load ${machine.loadAverages[0]}, ` +
      `${Math.round(machine.busyShare * 100)} % busy before the start.`,
    '',
    `${count(peers)} peers with ${count(prefixes)} prefixes on one interface; loads of ${seconds} s, ${repeats} rounds, medians.` +
      (program === null ? '' : ` The program is ${program}.`),
  ].join('\n');
}

function table(title: string, [head = [], ...rows]: Table): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  return [`## ${title}`, '', line(head), line(rule), ...rows.map(line)].join('\n');
}

function verdictTable(verdicts: readonly Verdict[]): Table {
  const rows = verdicts.map(({ what, wanted, got, reached }) => [what, wanted, got, reached ? 'yes' : '**no**']);
  return [['', 'wanted', 'got', 'reached'], ...rows];
}

function lookupTable(lookups: readonly LookupFigure[]): Table {
  const rows = lookups.map(({ shape, prefixes, ns, tableBytes, buildMs }) => [
    `${count(prefixes)} ${shape}`,
    significant(ns),
    significant(tableBytes / 1024),
    significant(buildMs),
  ]);
  return [['prefixes', 'ns', 'table, KiB', 'build, ms'], ...rows];
}

function startTable(start: StartFigure | null): Table {
  if (start === null) return [];
  const phases = Object.entries(start.phasesMs).map(([phase, ms]) => [`of it, ${phase}, ms`, count(ms), '']);
  const kibibytes = (bytes: number): string => count(bytes / 1024);
  return [
    ['', `${count(start.peers)} peers`, '1 peer'],
    ['start until ready, ms', count(start.startMs), count(start.startOneMs)],
    ...phases,
    ['configuration, parsed alone, ms', count(start.parseMs), ''],
    ['resident, KiB', kibibytes(start.residentBytes), kibibytes(start.residentOneBytes)],
    [
      `CPU in ${start.idleSeconds} s idle, ms`,
      count(start.idleCpuSeconds * 1_000),
      count(start.idleOneCpuSeconds * 1_000),
    ],
    ['gigatun show, ms', count(start.showMs), ''],
    ['gigatun stats, ms', count(start.statsMs), ''],
    ['end, ms', count(start.closeMs), ''],
  ];
}

function stormTable(storms: readonly StormFigure[]): Table {
  const rows = storms.map((storm, at) => [
    `${at + 1}`,
    count(storm.responseP50Ms),
    count(storm.responseLastMs),
    count(storm.settledMs),
    `${storm.starved}`,
    `${storm.cookies}`,
    `${storm.repetitions}`,
    significant((storm.cpuSeconds * 1_000) / storm.handshakes),
  ]);
  const head = ['storm', 'response p50, ms', 'last response, ms', 'settled, ms', 'starved', 'cookies', 'repetitions'];
  return [[...head, 'CPU per handshake, ms'], ...rows];
}

function steadyTable(steady: SteadyFigure | null): Table {
  if (steady === null) return [];
  const { one, many, oneCpu, manyCpu } = steady;
  return [
    ['', 'Gbit/s', 'least – most', 'CPU-s per GB, both ends'],
    [
      '1 peer',
      significant(one.median),
      `${significant(one.least)} – ${significant(one.most)}`,
      significant(oneCpu.median),
    ],
    [
      `${count(steady.peers)} peers`,
      significant(many.median),
      `${significant(many.least)} – ${significant(many.most)}`,
      significant(manyCpu.median),
    ],
  ];
}

function count(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '–';
}
