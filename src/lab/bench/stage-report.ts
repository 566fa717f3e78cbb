/** `--stages`: the stage bench as tables and sentences. */
import type { Cipher } from '../../protocol/cipher.ts';
import {
  type AeadFigures,
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
const CIPHER_TITLES: Readonly<Record<Cipher, string>> = {
  'chacha20-poly1305': 'ChaCha20-Poly1305',
  'aes-256-gcm': 'AES-256-GCM',
};

/** Measures and prints. Returns the exit status. */
export async function stageBench(options: BenchOptions, { progress, results }: BenchScreens): Promise<number> {
  const result = await measureStages(options.seconds, progress);
  results.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `\n${readable(stagesMarkdown(result))}`);
  return 0;
}

export function stagesMarkdown(result: StageResult): string {
  const { machine, takenAt, workloads } = result;
  const back = [...new Set(workloads[0]?.aead.map(({ name }) => name))].join(', ');
  const head = [
    `# Stages of the data path, ${takenAt.slice(0, 16).replace('T', ' ')} UTC`,
    '',
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; AEAD back ends: ${back}; ` +
      `${Math.round(machine.busyShare * 100)} % busy before the start.`,
    '',
    'Nanoseconds of one core per inner packet: median, and in parentheses the quartiles, over batches as a lane has them. ' +
      "System calls are not in it; the native stages are those of the first back end with WireGuard's cipher.",
  ].join('\n');
  const tables = [
    section('Stages, ns per packet', stageTable(workloads), explainStages(workloads)),
    section('AEAD by back end and cipher, ns per packet', aeadTable(workloads), explainAead(workloads)),
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
  const suites = workloads[0]?.aead ?? [];
  const rows = suites.flatMap(({ name, cipher }, index) =>
    (['encrypt', 'decrypt'] as const).map((verb) => [
      `${name}, ${CIPHER_TITLES[cipher]}, ${verb === 'encrypt' ? 'seal' : 'unseal'}`,
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
  return [
    `A packet of ${bulk.title} takes ${ns(out ?? 0)} ns on its way out and ${ns(into ?? 0)} ns on its way in; ` +
      `${Math.round((100 * scriptNs) / both)} % of that is JavaScript, the rest AEAD, gathering and checksums in native code.`,
    ...(dearest === undefined
      ? []
      : [`The dearest stage in JavaScript is "${dearest.title}" with ${ns(bulk.stages[dearest.id].median)} ns.`]),
    `One core that did only the dearer direction, and made no system call, would carry ${significant(gigabitsOf(bulk))} Gbit/s: that is the bound ` +
      "of these stages on this machine, and what a tunnel's throughput lacks of it goes into the kernel.",
  ];
}

/** What the second back end costs against the first, and AES-256-GCM against WireGuard's cipher. */
export function explainAead(workloads: readonly WorkloadFigures[]): string[] {
  const [bulk] = workloads;
  return bulk === undefined ? [] : [compareBackEnds(bulk), ...compareCiphers(bulk)];
}

function compareBackEnds({ title, aead }: WorkloadFigures): string {
  const [first, second] = aead.filter(({ cipher }) => cipher === 'chacha20-poly1305');
  if (first === undefined || second === undefined)
    return 'Only one AEAD back end is here; on x86-64 Debian, apt-get install libipsec-mb1 adds a faster one.';
  const ratio = second.encrypt.median / first.encrypt.median;
  return (
    `Sealing a packet of ${title} takes ${ns(first.encrypt.median)} ns with ${first.name} and ${ns(second.encrypt.median)} ns with ` +
    `${second.name}, ${significant(ratio)} times as long.`
  );
}

/** Of the first back end, whose figures the stages have. */
function compareCiphers(figures: WorkloadFigures): string[] {
  const [first] = figures.aead;
  const aes = figures.aead.find(({ name, cipher }) => name === first?.name && cipher === 'aes-256-gcm');
  if (first === undefined || aes === undefined) return [];
  const ratio = aes.encrypt.median / first.encrypt.median;
  return [
    `In AES-256-GCM, which two gigatuns can use (#gigatun: Cipher), ${first.name} takes ${ns(aes.encrypt.median)} ns to seal it, ` +
      `${significant(ratio)} times as long as in WireGuard's ChaCha20-Poly1305; the bound above would be ` +
      `${significant(gigabitsOf(figures, aes))} instead of ${significant(gigabitsOf(figures))} Gbit/s.`,
  ];
}

/** What one core would carry that did only the dearer direction, Gbit/s; with `aead` in place of the stages' own. */
function gigabitsOf(figures: WorkloadFigures, aead: Pick<AeadFigures, 'encrypt' | 'decrypt'> = figures.stages): number {
  const outNs = totalOf(figures, 'outbound') - figures.stages.encrypt.median + aead.encrypt.median;
  const inNs = totalOf(figures, 'inbound') - figures.stages.decrypt.median + aead.decrypt.median;
  return (figures.packetLength * 8) / Math.max(outNs, inNs);
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
