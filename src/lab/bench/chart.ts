/** A bench result as one picture: a panel per figure, a bar per subject, each with its number; every panel has its own scale. */
import { significant } from '../statistics.ts';
import { type BenchResult, medianOf } from './result.ts';
import type { SubjectName } from './subjects.ts';
import { document, element, text } from './svg.ts';
import type { MetricId, TestId } from './tests.ts';

const COLUMNS = 2;
const PANEL_WIDTH = 470;
const LABEL_WIDTH = 120;
const NUMBER_WIDTH = 60;
const BAR_HEIGHT = 16;
const ROW_HEIGHT = 22;
const PANEL_HEAD = 34;
const MARGIN = 24;
const HEAD_HEIGHT = 64;
const FONT = 'system-ui, -apple-system, "Segoe UI", sans-serif';
const INK = '#1f2933';
const FAINT = '#616e7c';

/** Subjects without a colour of their own, gigatun's variants, have that of gigatun, paler. */
const VARIANT_COLOUR = '#84c5f4';
const COLOURS: Partial<Readonly<Record<SubjectName, string>>> = {
  veth: '#9aa5b1',
  'veth-plain': '#cbd2d9',
  floor: '#52606d',
  'floor-aes': '#7b8794',
  'floor-shared': '#3e4c59',
  gigatun: '#0967d2',
  'gigatun-aes': '#2bb0ed',
  'gigatun-no-books': '#47a3f3',
  'wireguard-go': '#de911d',
};

interface Panel {
  readonly title: string;
  readonly values: readonly { readonly name: SubjectName; readonly value: number }[];
}

export function toChart(result: BenchResult): string {
  const panels = panelsOf(result).filter((panel) => panel.values.length > 0);
  const panelHeight = PANEL_HEAD + ROW_HEIGHT * Math.max(1, result.subjects.length) + 12;
  const rows = Math.ceil(panels.length / COLUMNS);
  const width = MARGIN * 2 + PANEL_WIDTH * COLUMNS + MARGIN * (COLUMNS - 1);
  const height = HEAD_HEIGHT + rows * panelHeight + MARGIN;
  const placed = panels.map((panel, index) => {
    const x = MARGIN + (index % COLUMNS) * (PANEL_WIDTH + MARGIN);
    const y = HEAD_HEIGHT + Math.floor(index / COLUMNS) * panelHeight;
    return element('g', { transform: `translate(${x} ${y})` }, ...drawPanel(panel));
  });
  const title = `gigatun bench, ${result.takenAt.slice(0, 10)}`;
  const content = element(
    'g',
    { 'font-family': FONT, 'font-size': 12, fill: INK },
    ...headingOf(title, result),
    ...placed,
  );
  return document(width, height, title, content);
}

function headingOf(title: string, { machine, conditions }: BenchResult): string[] {
  const under = `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}; both ends and the load on one machine; medians of ${conditions.repeats} rounds`;
  return [text(MARGIN, 28, title, { 'font-size': 18, 'font-weight': 600 }), text(MARGIN, 48, under, { fill: FAINT })];
}

function panelsOf(result: BenchResult): Panel[] {
  const panel = (title: string, test: TestId, metric: MetricId, factor = 1): Panel => ({
    title,
    values: result.subjects.flatMap(({ name, residentBytes }) => {
      const value = medianOf(result, test, name, metric);
      const isMeasured = value !== null && (metric !== 'cpuSecondsPerGb' || residentBytes !== null);
      return isMeasured ? [{ name, value: value * factor }] : [];
    }),
  });
  const memory = result.subjects.flatMap(({ name, residentBytes }) =>
    residentBytes === null ? [] : [{ name, value: residentBytes.median / 1e6 }],
  );
  return [
    panel('TCP, 1 stream: Gbit/s', 'tcp1', 'gigabitsPerSecond'),
    panel('TCP, 1 stream, reverse: Gbit/s', 'tcp1r', 'gigabitsPerSecond'),
    panel('TCP, 4 streams: Gbit/s', 'tcp4', 'gigabitsPerSecond'),
    panel('TCP over IPv6, 1 stream: Gbit/s', 'tcp1v6', 'gigabitsPerSecond'),
    panel('TCP, 1 stream: CPU-seconds per GB (less is better)', 'tcp1', 'cpuSecondsPerGb'),
    panel('UDP, 64 bytes: thousand packets/s delivered', 'udp64', 'deliveredPerSecond', 1e-3),
    panel('UDP, 1,350 bytes: thousand packets/s delivered', 'udp1350', 'deliveredPerSecond', 1e-3),
    panel('UDP in groups, as QUIC sends: Gbit/s', 'udpgso', 'gigabitsPerSecond'),
    panel('ping p50, idle: ms (less is better)', 'ping', 'p50Ms'),
    panel('ping p50 under TCP load: ms (less is better)', 'pingload', 'p50Ms'),
    { title: 'resident memory of both ends: MB (less is better)', values: memory },
  ];
}

function drawPanel({ title, values }: Panel): string[] {
  const most = Math.max(...values.map(({ value }) => value), Number.MIN_VALUE);
  const bars = values.map(({ name, value }, index) => {
    const y = PANEL_HEAD + index * ROW_HEIGHT;
    const length = Math.max(1, (value / most) * (PANEL_WIDTH - LABEL_WIDTH - NUMBER_WIDTH));
    const middle = y + BAR_HEIGHT - 4;
    const weight = name === 'gigatun' ? 600 : 400;
    return [
      text(LABEL_WIDTH - 8, middle, name, { 'text-anchor': 'end', 'font-weight': weight }),
      element('rect', {
        x: LABEL_WIDTH,
        y,
        width: length.toFixed(1),
        height: BAR_HEIGHT,
        rx: 2,
        fill: COLOURS[name] ?? VARIANT_COLOUR,
      }),
      text(LABEL_WIDTH + length + 6, middle, significant(value), { 'font-weight': weight }),
    ].join('');
  });
  return [text(0, 20, title, { 'font-size': 13, 'font-weight': 600 }), ...bars];
}
