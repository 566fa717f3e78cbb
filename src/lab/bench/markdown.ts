/** A bench result as Markdown: what was measured on what, one table per kind of figure with what it says, then the proofs. */
import {
  explainCost,
  explainGroups,
  explainLatency,
  explainMemory,
  explainOffloads,
  explainRamp,
  explainTcp,
} from './explain.ts';
import { type BenchResult, medianOf, ratioOf, type SubjectFacts } from './result.ts';
import { cell, NOTHING, scaled, section, type Table, withoutEmptyColumns } from './table.ts';
import { type MetricId, RAMP_RATES, TESTS, type TestId } from './tests.ts';
import { isVariant } from './variants.ts';

const TCP_TESTS = ['tcp1', 'tcp1r', 'tcp4', 'tcp4r', 'tcp1v6', 'tcp1v6r'] as const;

/** Tables align their figures right; a figure that was not measured is a dash. */
export function toMarkdown(result: BenchResult): string {
  const sections = [
    heading(result),
    section('TCP, Gbit/s', tcpTable(result, 'gigabitsPerSecond'), explainTcp(result)),
    section('CPU-seconds per GB, both ends', tcpTable(result, 'cpuSecondsPerGb'), explainCost(result)),
    section('UDP in groups, as QUIC sends', groupsTable(result), explainGroups(result)),
    section('Packets, latency, memory', packetsTable(result), explainLatency(result)),
    section('UDP of 64 bytes, offered load rising: kpps', rampTable(result, 'udpramp64'), explainRamp(result, 64)),
    section(
      'UDP of 1350 bytes, offered load rising: kpps',
      rampTable(result, 'udpramp1350'),
      explainRamp(result, 1350),
    ),
    section('Memory at full load', memoryTable(result), explainMemory(result)),
    section('Offloads', offloadsTable(result), explainOffloads(result)),
    section('gigatun against the others, medians', ratioTable(result)),
    section('Payload integrity', integrityTable(result)),
    section("gigatun's books over the whole run", booksTable(result)),
    failures(result),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function heading({ takenAt, machine, conditions, subjects, leftOut, warnings }: BenchResult): string {
  const { secondsPerLoad, repeats, congestion, innerMtu, outerMtu } = conditions;
  return [
    `# Bench of ${takenAt.slice(0, 16).replace('T', ' ')} UTC`,
    '',
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; load ${machine.loadAverages[0]}, ` +
      `${Math.round(machine.busyShare * 100)} % busy before the start. Both ends and the programs that make the load share these cores.`,
    '',
    `${repeats === 1 ? 'One round' : `Medians of ${repeats} interleaved rounds`}, ${secondsPerLoad} s per load; MTU ${innerMtu} inside, ${outerMtu} outside; TCP ${congestion}.`,
    '',
    ...subjects.map(({ title, version }) => `- ${title}: ${version}`),
    ...leftOut.map(({ name, reason }) => `- left out: ${name}: ${reason}`),
    ...warnings.map((warning) => `\n**${warning}**`),
  ].join('\n');
}

function measured(result: BenchResult, tests: readonly TestId[]): TestId[] {
  return tests.filter((test) => result.figures[test] !== undefined);
}

function tcpTable(result: BenchResult, metric: MetricId): Table {
  const tests = measured(result, TCP_TESTS);
  if (tests.length === 0) return [];
  const subjects = metric === 'cpuSecondsPerGb' ? result.subjects.filter(hasProcesses) : result.subjects;
  const rows = subjects.map((subject) => [
    subject.title,
    ...tests.map((test) => withRange(result, test, subject, metric)),
  ]);
  return [['', ...tests.map((test) => TESTS[test].title.replace('TCP, ', '').replace('TCP over ', ''))], ...rows];
}

/** The median, and how far the rounds lie from it where they differ by more than a tenth. */
function withRange(result: BenchResult, test: TestId, { name }: SubjectFacts, metric: MetricId): string {
  const summary = result.figures[test]?.[name]?.[metric];
  if (summary === undefined) return NOTHING;
  const { median, least, most } = summary;
  return most - least <= 0.1 * median ? cell(median) : `${cell(median)} (${cell(least)} – ${cell(most)})`;
}

function hasProcesses(subject: SubjectFacts): boolean {
  return subject.residentBytes !== null;
}

function groupsTable(result: BenchResult): Table {
  if (measured(result, ['udpgso', 'udpgsov6']).length === 0) return [];
  const head = ['', 'IPv4, Gbit/s', 'of TCP', 'CPU-s per GB', 'lost, %', 'IPv6, Gbit/s', 'of TCP'];
  const rows = result.subjects.map(({ name, title }) => {
    const figure = (test: TestId, metric: MetricId) => medianOf(result, test, name, metric);
    const ofTcp = (test: TestId, tcp: TestId) => {
      const [own, other] = [figure(test, 'gigabitsPerSecond'), figure(tcp, 'gigabitsPerSecond')];
      return cell(own === null || other === null ? null : own / other);
    };
    return [
      title,
      cell(figure('udpgso', 'gigabitsPerSecond')),
      ofTcp('udpgso', 'tcp1'),
      cell(figure('udpgso', 'cpuSecondsPerGb')),
      cell(scaled(figure('udpgso', 'lostShare'), 100)),
      cell(figure('udpgsov6', 'gigabitsPerSecond')),
      ofTcp('udpgsov6', 'tcp1v6'),
    ];
  });
  return withoutEmptyColumns([head, ...rows]);
}

function packetsTable(result: BenchResult): Table {
  const head = [
    '',
    'UDP 64 B, kpps',
    'UDP 1350 B, kpps',
    'ping p50 / p99, ms',
    'under load p50 / p99, ms',
    'under 4 streams p50 / p99, ms',
    'RSS both, MB',
  ];
  if (measured(result, ['udp64', 'udp1350', 'ping', 'pingload', 'pingload4']).length === 0) return [];
  const rows = result.subjects.map((subject) => {
    const figure = (test: TestId, metric: MetricId) => medianOf(result, test, subject.name, metric);
    const kilo = (test: TestId) => cell(scaled(figure(test, 'deliveredPerSecond'), 1e-3));
    const pings = (test: TestId) => `${cell(figure(test, 'p50Ms'))} / ${cell(figure(test, 'p99Ms'))}`;
    const megabytes = scaled(subject.residentBytes?.median ?? null, 1e-6);
    const underLoad = [pings('pingload'), pings('pingload4')];
    return [subject.title, kilo('udp64'), kilo('udp1350'), pings('ping'), ...underLoad, cell(megabytes)];
  });
  return withoutEmptyColumns([head, ...rows]);
}

/** Delivered of offered, by the rate that was asked for. */
function rampTable(result: BenchResult, test: TestId): Table {
  if (measured(result, [test]).length === 0) return [];
  const head = ['', ...RAMP_RATES.map((rate) => (rate === 0 ? 'all it can' : `${rate / 1_000}`))];
  const rows = result.subjects.map(({ name, title }) => {
    const figure = (metric: MetricId) => cell(scaled(medianOf(result, test, name, metric), 1e-3));
    return [title, ...RAMP_RATES.map((rate) => `${figure(`delivered@${rate}`)} of ${figure(`offered@${rate}`)}`)];
  });
  return [head, ...rows];
}

function memoryTable(result: BenchResult): Table {
  if (measured(result, ['rss']).length === 0) return [];
  const rows = result.subjects.filter(hasProcesses).map(({ name, title }) => {
    const megabytes = (metric: MetricId) => cell(scaled(medianOf(result, 'rss', name, metric), 1e-6));
    return [title, megabytes('residentBytesMost'), megabytes('residentBytesGrowth')];
  });
  return rows.length === 0 ? [] : [['', 'larger end, MB', 'growth, MB'], ...rows];
}

/** Each variant of gigatun as a share of gigatun as it is. */
function offloadsTable(result: BenchResult): Table {
  const variants = result.subjects.filter(({ name }) => isVariant(name) && name !== 'gigatun');
  if (variants.length === 0 || !result.subjects.some(({ name }) => name === 'gigatun')) return [];
  const columns = [
    ['TCP', 'tcp1', 'gigabitsPerSecond'],
    ['CPU-s per GB', 'tcp1', 'cpuSecondsPerGb'],
    ['UDP in groups', 'udpgso', 'gigabitsPerSecond'],
    ['UDP 64 B', 'udp64', 'deliveredPerSecond'],
  ] as const;
  const rows = variants.map(({ name, title }) => [
    title,
    ...columns.map(([, test, metric]) => cell(ratioOf(result, test, metric, name, 'gigatun'))),
  ]);
  return withoutEmptyColumns([['as a share of gigatun as it is', ...columns.map(([head]) => head)], ...rows]);
}

function ratioTable(result: BenchResult): Table {
  const tests = measured(result, TCP_TESTS);
  const names = result.subjects.map(({ name }) => name);
  const others = result.subjects.filter(({ name }) => !isVariant(name) && name !== 'veth' && name !== 'veth-plain');
  if (tests.length === 0 || others.length === 0 || !names.includes('gigatun')) return [];
  const row = (title: string, metric: MetricId, other: SubjectFacts) => [
    `${title}, gigatun / ${other.name}`,
    ...tests.map((test) => cell(ratioOf(result, test, metric, 'gigatun', other.name))),
  ];
  const rows = others.flatMap((other) => [
    row('Gbit/s', 'gigabitsPerSecond', other),
    row('CPU-s per GB', 'cpuSecondsPerGb', other),
  ]);
  return [['', ...tests.map((test) => TESTS[test].title.replace('TCP, ', '').replace('TCP over ', ''))], ...rows];
}

function integrityTable(result: BenchResult): Table {
  const figures = result.figures.integrity;
  if (figures === undefined) return [];
  const rows = result.subjects.map(({ name, title }) => {
    const sums = figures[name];
    const total = (samples: readonly number[] | undefined) => samples?.reduce((sum, value) => sum + value, 0) ?? null;
    const compared = cell(scaled(total(sums?.comparedBytes?.samples), 1e-6));
    const corrupted = total(sums?.corruptedBytes?.samples);
    return [
      title,
      compared,
      `${corrupted ?? NOTHING}`,
      `${total(sums?.intactTransfers?.samples) ?? NOTHING} of ${total(sums?.transfers?.samples) ?? NOTHING}`,
    ];
  });
  return [['', 'MB compared', 'bytes corrupted', 'transfers with equal SHA-256'], ...rows];
}

function booksTable({ books }: BenchResult): Table {
  if (books.length === 0) return [];
  const percent = (ratio: number | null, digits: number) =>
    ratio === null ? NOTHING : `${(ratio * 100).toFixed(digits)} %`;
  const rows = books.map(({ balance }, index) => [
    `end ${'ab'.charAt(index)}`,
    percent(balance.activitiesDifferenceRatio, 4),
    percent(balance.busyDifferenceRatio, 2),
    balance.kernelDifferencePoints === null ? NOTHING : `${balance.kernelDifferencePoints.toFixed(1)} points`,
  ]);
  return [
    ['', 'activities against wall time', 'busy against CPU time and run-queue wait', 'KERN_* against system time'],
    ...rows,
  ];
}

function failures({ failures: all }: BenchResult): string {
  if (all.length === 0) return '';
  const lines = all.map(
    ({ test, subject, message }) => `- ${subject}, ${TESTS[test].title}: ${message.split('\n')[0] ?? ''}`,
  );
  return ['## Failed', '', ...lines].join('\n');
}
