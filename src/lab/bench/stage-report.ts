/** `--stages`: the stage bench as tables and sentences. */
import {
  type MeasuredStage,
  measureStages,
  type StageResult,
  totalOf,
  type WorkloadFigures,
} from '../stages/measure.ts';
import { STAGES } from '../stages/stages.ts';
import type { Spread } from '../stages/stopwatch.ts';
import { significant } from '../statistics.ts';
import type { BenchOptions } from './options.ts';
import type { BenchScreens } from './run.ts';
import { readable, section, type Table } from './table.ts';

const DIRECTIONS = ['outbound', 'inbound'] as const;

/** Measures and prints. Returns the exit status. */
export async function stageBench(options: BenchOptions, { progress, results }: BenchScreens): Promise<number> {
  const result = await measureStages(options.seconds, progress);
  results.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `\n${readable(stagesMarkdown(result))}`);
  return 0;
}

export function stagesMarkdown(result: StageResult): string {
  const { machine, takenAt, workloads } = result;
  const back = workloads[0]?.aead.map(({ name }) => name).join(', ') ?? '';
  const head = [
    `# Stages of the data path, ${takenAt.slice(0, 16).replace('T', ' ')} UTC`,
    '',
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; AEAD back ends: ${back}; ` +
      `${Math.round(machine.busyShare * 100)} % busy before the start.`,
    '',
    'Nanoseconds of one core per inner packet: median, and in parentheses the quartiles, over batches as a lane has them. ' +
      'System calls are not in it; the native stages are those of the first back end.',
  ].join('\n');
  const tables = [
    section('Stages, ns per packet', stageTable(workloads), explainStages(workloads)),
    section('AEAD by back end, ns per packet', aeadTable(workloads), explainAead(workloads)),
  ];
  return `${[head, ...tables].filter((text) => text !== '').join('\n\n')}\n`;
}

function stageTable(workloads: readonly WorkloadFigures[]): Table {
  const titles = workloads.map(({ title, packetLength }) => `${title} (${packetLength} B)`);
  const rows = DIRECTIONS.flatMap((direction) => [
    ...STAGES.filter((stage) => stage.direction === direction).map(({ id, title, isNative }) => [
      title,
      isNative ? 'native' : 'JS',
      ...workloads.map(({ stages }) => spreadCell(stages[id])),
      share(workloads[0], id),
    ]),
    [`${direction}, together`, '', ...workloads.map((one) => `${ns(totalOf(one, direction))}`), ''],
  ]);
  return [['', 'in', ...titles, 'share of the first'], ...rows];
}

function aeadTable(workloads: readonly WorkloadFigures[]): Table {
  const names = workloads[0]?.aead.map(({ name }) => name) ?? [];
  const rows = names.flatMap((name, index) =>
    (['encrypt', 'decrypt'] as const).map((verb) => [
      `${name}, ${verb === 'encrypt' ? 'seal' : 'unseal'}`,
      ...workloads.map(({ aead }) => (aead[index] === undefined ? '–' : spreadCell(aead[index][verb]))),
    ]),
  );
  return [['', ...workloads.map(({ title }) => title)], ...rows];
}

/** What a packet costs in all, how much of it is JavaScript, its dearest stage, and what one core could carry. */
export function explainStages(workloads: readonly WorkloadFigures[]): string[] {
  const [bulk] = workloads;
  if (bulk === undefined) return [];
  const [out, into] = DIRECTIONS.map((direction) => totalOf(bulk, direction));
  const both = (out ?? 0) + (into ?? 0);
  const script = STAGES.filter(({ isNative }) => !isNative);
  const scriptNs = script.reduce((sum, { id }) => sum + bulk.stages[id].median, 0);
  const [dearest] = [...script].sort((x, y) => bulk.stages[y.id].median - bulk.stages[x.id].median);
  const gigabits = (bulk.packetLength * 8) / Math.max(out ?? 0, into ?? 0);
  return [
    `A packet of ${bulk.title} takes ${ns(out ?? 0)} ns on its way out and ${ns(into ?? 0)} ns on its way in; ` +
      `${Math.round((100 * scriptNs) / both)} % of that is JavaScript, the rest AEAD, gathering and checksums in native code.`,
    ...(dearest === undefined
      ? []
      : [`The dearest stage in JavaScript is "${dearest.title}" with ${ns(bulk.stages[dearest.id].median)} ns.`]),
    `One core that did only the dearer direction, and made no system call, would carry ${significant(gigabits)} Gbit/s: that is the bound ` +
      "of these stages on this machine, and what a tunnel's throughput lacks of it goes into the kernel.",
  ];
}

export function explainAead(workloads: readonly WorkloadFigures[]): string[] {
  const [bulk] = workloads;
  const [first, second] = bulk?.aead ?? [];
  if (bulk === undefined || first === undefined || second === undefined) {
    return ['Only one AEAD back end is here; on x86-64 Debian, apt-get install libipsec-mb1 adds a faster one.'];
  }
  const ratio = second.encrypt.median / first.encrypt.median;
  return [
    `Sealing a packet of ${bulk.title} takes ${ns(first.encrypt.median)} ns with ${first.name} and ${ns(second.encrypt.median)} ns with ` +
      `${second.name}, ${significant(ratio)} times as long.`,
  ];
}

function spreadCell({ median, lowerQuartile, upperQuartile }: Spread): string {
  return `${ns(median)} (${ns(lowerQuartile)} – ${ns(upperQuartile)})`;
}

function share(figures: WorkloadFigures | undefined, id: MeasuredStage): string {
  if (figures === undefined) return '–';
  const all = totalOf(figures, 'outbound') + totalOf(figures, 'inbound');
  return `${((100 * figures.stages[id].median) / all).toFixed(1)} %`;
}

/** Whole nanoseconds from ten on. */
function ns(value: number): string {
  return value < 10 ? value.toFixed(1) : `${Math.round(value)}`;
}
