/** A bench result as Markdown: what was measured on what, one table per kind of figure, then the proofs. */
import { significant } from '../statistics.ts';
import { type BenchResult, medianOf, ratioOf, type SubjectFacts } from './result.ts';
import { type MetricId, TESTS, type TestId } from './tests.ts';

const TCP_TESTS = ['tcp1', 'tcp1r', 'tcp4', 'tcp4r', 'tcp1v6', 'tcp1v6r'] as const;
const NOTHING = '–';

type Table = readonly (readonly string[])[];

/** Tables align their figures right; a figure that was not measured is a dash. */
export function toMarkdown(result: BenchResult): string {
  const sections = [
    heading(result),
    section('TCP, Gbit/s', tcpTable(result, 'gigabitsPerSecond')),
    section('CPU-seconds per GB, both ends', tcpTable(result, 'cpuSecondsPerGb')),
    section('Packets, latency, memory', packetsTable(result)),
    section('gigatun against the others, medians', ratioTable(result)),
    section('Payload integrity', integrityTable(result)),
    section("gigatun's books over the whole run", booksTable(result)),
    failures(result),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function heading({ takenAt, machine, conditions, subjects, warnings }: BenchResult): string {
  const { secondsPerLoad, repeats, congestion, innerMtu, outerMtu } = conditions;
  return [
    `# Bench of ${takenAt.slice(0, 16).replace('T', ' ')} UTC`,
    '',
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; load ${machine.loadAverages[0]}, ` +
      `${Math.round(machine.busyShare * 100)} % busy before the start. Both ends and the programs that make the load share these cores.`,
    '',
    `Medians of ${repeats} interleaved rounds, ${secondsPerLoad} s per load; MTU ${innerMtu} inside, ${outerMtu} outside; TCP ${congestion}.`,
    '',
    ...subjects.map(({ title, version }) => `- ${title}: ${version}`),
    ...warnings.map((warning) => `\n**${warning}**`),
  ].join('\n');
}

function section(title: string, [head = [], ...rows]: Table): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [`## ${title}`, '', line(head), line(rule), ...rows.map(line)].join('\n');
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
    ...tests.map((test) => cell(medianOf(result, test, subject.name, metric))),
  ]);
  return [['', ...tests.map((test) => TESTS[test].title.replace('TCP, ', '').replace('TCP over ', ''))], ...rows];
}

function hasProcesses(subject: SubjectFacts): boolean {
  return subject.residentBytes !== null;
}

function packetsTable(result: BenchResult): Table {
  const head = [
    '',
    'UDP 64 B, kpps',
    'UDP 1350 B, kpps',
    'ping p50 / p99, ms',
    'under load p50 / p99, ms',
    'RSS both, MB',
  ];
  if (measured(result, ['udp64', 'udp1350', 'ping', 'pingload']).length === 0) return [];
  const rows = result.subjects.map((subject) => {
    const figure = (test: TestId, metric: MetricId) => medianOf(result, test, subject.name, metric);
    const kilo = (test: TestId) => cell(scaled(figure(test, 'deliveredPerSecond'), 1e-3));
    const pings = (test: TestId) => `${cell(figure(test, 'p50Ms'))} / ${cell(figure(test, 'p99Ms'))}`;
    const megabytes = scaled(subject.residentBytes?.median ?? null, 1e-6);
    return [subject.title, kilo('udp64'), kilo('udp1350'), pings('ping'), pings('pingload'), cell(megabytes)];
  });
  return [head, ...rows];
}

function ratioTable(result: BenchResult): Table {
  const tests = measured(result, TCP_TESTS);
  const names = result.subjects.map(({ name }) => name);
  const others = result.subjects.filter(({ name }) => name !== 'gigatun' && name !== 'veth' && name !== 'veth-plain');
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

function cell(value: number | null): string {
  return value === null ? NOTHING : significant(value);
}

function scaled(value: number | null, factor: number): number | null {
  return value === null ? null : value * factor;
}
