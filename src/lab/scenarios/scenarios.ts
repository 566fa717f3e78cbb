/**
 * The scenarios: bad links, what runs over them, and what is expected. Each is measured in one run for all its subjects, the
 * same links and seeds for each.
 */
import type { Cut, StreamLoad } from './loads.ts';
import type { EndKind } from './scene.ts';

/** Who is measured: a program, or two, at the ends. */
export interface Subject {
  readonly name: string;
  readonly a: EndKind;
  readonly b: EndKind;
}

export type Load =
  /** `omitSeconds` at the beginning are not counted. */
  | { readonly kind: 'bulk'; readonly seconds: number; readonly streams: number; readonly omitSeconds?: number }
  | ({ readonly kind: 'stream'; readonly cut?: Cut } & StreamLoad)
  | { readonly kind: 'steady'; readonly seconds: number; readonly megabits: number; readonly cut: Cut };

/** What the figures of a subject must be; each failure is told in words. */
export interface Expectation {
  readonly subject: string;
  readonly load: number;
  /** Where the least or most is a multiple of another subject's figure. */
  readonly of?: string;
  readonly figure: 'megabits' | 'residual' | 'addedP99Ms' | 'longestGapMs' | 'duplicates' | 'lost' | 'blackoutMs';
  readonly least?: number;
  readonly most?: number;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Options of `gigatun lab`, for each link. */
  readonly links: readonly (readonly string[])[];
  readonly linkMtu?: number;
  readonly innerMtu?: number;
  /** Default 1. */
  readonly rounds?: number;
  readonly loads: readonly Load[];
  readonly subjects: readonly Subject[];
  readonly expectations: readonly Expectation[];
}

const WIREGUARD_GO: EndKind = { program: 'wireguard-go' };
const gigatun = (...settings: string[]): EndKind => ({ program: 'gigatun', settings });
const both = (name: string, ...settings: string[]): Subject => ({
  name,
  a: gigatun(...settings),
  b: gigatun(...settings),
});

const BASELINE: readonly Subject[] = [
  { name: 'wireguard-go', a: WIREGUARD_GO, b: WIREGUARD_GO },
  both('gigatun, no histories'),
];
const PATHS = ['Path = one endpoint=127.0.0.1:6001', 'Path = two endpoint=127.0.0.1:6002'] as const;
/** End a has two paths, end b learns them. */
const paths = (name: string, mode: string, ...settings: string[]): Subject => ({
  name,
  a: gigatun(...PATHS, `PathMode = ${mode}`, ...settings),
  b: gigatun(`PathMode = ${mode}`, ...settings),
});
/** The same, with a first guess of what each path carries. */
const weighted = (name: string, ...settings: string[]): Subject => ({
  name,
  a: gigatun(`${PATHS[0]} weight=100`, `${PATHS[1]} weight=50`, 'PathMode = weighted', ...settings),
  b: gigatun('PathMode = weighted', ...settings),
});
const STREAM = { kind: 'stream', seconds: 25, megabits: 5, length: 600 } as const;
const noDuplicates = (subject: string, load: number): Expectation => ({ subject, load, figure: 'duplicates', most: 0 });

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'loss',
    title: 'One path, 1 % independent loss, 20 ms RTT',
    links: [['--delay', '10ms', '--loss', '1%']],
    loads: [{ kind: 'bulk', seconds: 10, streams: 1 }, STREAM],
    subjects: [
      ...BASELINE,
      both('gigatun, Retransmit', 'Retransmit = 150ms'),
      both('gigatun, Retransmit, InOrder = tcp', 'Retransmit = 150ms', 'InOrder = tcp'),
    ],
    expectations: [
      { subject: 'gigatun, Retransmit, InOrder = tcp', load: 0, figure: 'megabits', of: 'wireguard-go', least: 10 },
      { subject: 'gigatun, Retransmit, InOrder = tcp', load: 1, figure: 'residual', most: 0.0001 },
      { subject: 'gigatun, Retransmit, InOrder = tcp', load: 1, figure: 'addedP99Ms', most: 30 },
      noDuplicates('gigatun, Retransmit, InOrder = tcp', 1),
    ],
  },
  {
    name: 'bursts',
    title: 'One path, 5 % loss in bursts of 8 packets in the mean, 20 ms RTT',
    links: [['--delay', '10ms', '--burst', '5%/8']],
    loads: [STREAM],
    subjects: [
      ...BASELINE,
      both('gigatun, Retransmit', 'Retransmit = 150ms'),
      {
        name: 'gigatun to wireguard-go, delayed copies',
        a: gigatun('Copies = 2', 'CopyDelay = 60ms'),
        b: WIREGUARD_GO,
      },
      both('gigatun, Fec = 10+3', 'Fec = 10+3'),
    ],
    expectations: [
      { subject: 'gigatun, Retransmit', load: 0, figure: 'residual', most: 0.001 },
      { subject: 'gigatun to wireguard-go, delayed copies', load: 0, figure: 'residual', most: 0.005 },
      noDuplicates('gigatun, Retransmit', 0),
      noDuplicates('gigatun to wireguard-go, delayed copies', 0),
      noDuplicates('gigatun, Fec = 10+3', 0),
    ],
  },
  {
    name: 'far',
    title: 'One path, 5 % independent loss, 200 ms RTT',
    links: [['--delay', '100ms', '--loss', '5%']],
    loads: [STREAM],
    subjects: [
      ...BASELINE,
      both('gigatun, Retransmit', 'Retransmit = 150ms'),
      both('gigatun, Fec = 10+3', 'Fec = 10+3'),
      both('gigatun, Retransmit, Fec = auto', 'Retransmit = 150ms', 'Fec = auto'),
    ],
    expectations: [
      { subject: 'gigatun, Fec = 10+3', load: 0, figure: 'residual', most: 0.002 },
      { subject: 'gigatun, Fec = 10+3', load: 0, figure: 'addedP99Ms', most: 40 },
      { subject: 'gigatun, Retransmit, Fec = auto', load: 0, figure: 'residual', most: 0.002 },
      noDuplicates('gigatun, Fec = 10+3', 0),
      noDuplicates('gigatun, Retransmit, Fec = auto', 0),
    ],
  },
  {
    name: 'redundant',
    title: 'Two paths, 10 % loss each, 20 ms RTT',
    links: [
      ['--delay', '10ms', '--loss', '10%'],
      ['--delay', '10ms', '--loss', '10%'],
    ],
    loads: [STREAM],
    subjects: [
      ...BASELINE,
      paths('gigatun, redundant', 'redundant'),
      paths('gigatun, redundant, Retransmit', 'redundant', 'Retransmit = 150ms'),
    ],
    expectations: [
      { subject: 'gigatun, redundant', load: 0, figure: 'residual', most: 0.012 },
      { subject: 'gigatun, redundant, Retransmit', load: 0, figure: 'residual', most: 0.0002 },
      noDuplicates('gigatun, redundant', 0),
      noDuplicates('gigatun, redundant, Retransmit', 0),
    ],
  },
  {
    name: 'cut',
    title: 'Two paths, 10 and 15 ms one way; the first is cut off after 5 s, for 8 s',
    links: [
      ['--delay', '10ms'],
      ['--delay', '15ms'],
    ],
    loads: [
      { kind: 'stream', seconds: 20, megabits: 5, length: 600, cut: { link: 0, afterSeconds: 5, seconds: 8 } },
      { kind: 'steady', seconds: 20, megabits: 20, cut: { link: 0, afterSeconds: 5, seconds: 8 } },
    ],
    subjects: [
      ...BASELINE,
      paths('gigatun, redundant', 'redundant'),
      paths('gigatun, failover', 'failover'),
      paths('gigatun, failover, Retransmit', 'failover', 'Retransmit = 1s'),
      { name: 'gigatun to wireguard-go, redundant', a: gigatun(...PATHS, 'PathMode = redundant'), b: WIREGUARD_GO },
      { name: 'gigatun to wireguard-go, failover', a: gigatun(...PATHS, 'PathMode = failover'), b: WIREGUARD_GO },
    ],
    expectations: [
      { subject: 'gigatun, redundant', load: 0, figure: 'lost', most: 0 },
      { subject: 'gigatun, redundant', load: 1, figure: 'longestGapMs', most: 300 },
      { subject: 'gigatun, failover', load: 0, figure: 'blackoutMs', most: 1_000 },
      { subject: 'gigatun to wireguard-go, redundant', load: 0, figure: 'lost', most: 0 },
      noDuplicates('gigatun, redundant', 0),
      noDuplicates('gigatun, failover', 0),
      noDuplicates('gigatun to wireguard-go, redundant', 0),
    ],
  },
  {
    name: 'weighted',
    title: 'Two paths of 100 and 50 Mbit/s, 10 and 30 ms one way',
    links: [
      ['--delay', '10ms', '--rate', '100mbit', '--queue', '50ms', '--overhead', '0'],
      ['--delay', '30ms', '--rate', '50mbit', '--queue', '50ms', '--overhead', '0'],
    ],
    loads: [
      { kind: 'bulk', seconds: 20, streams: 1, omitSeconds: 10 },
      { kind: 'bulk', seconds: 20, streams: 4, omitSeconds: 10 },
      { kind: 'stream', seconds: 10, megabits: 60, length: 1_200 },
    ],
    subjects: [
      ...BASELINE,
      weighted('gigatun, weighted', 'InOrder = tcp'),
      weighted('gigatun, weighted, Retransmit', 'InOrder = tcp', 'Retransmit = 300ms'),
    ],
    expectations: [
      { subject: 'gigatun, weighted', load: 0, figure: 'megabits', least: 130 },
      { subject: 'gigatun, weighted', load: 1, figure: 'megabits', least: 140 },
      noDuplicates('gigatun, weighted', 2),
      noDuplicates('gigatun, weighted, Retransmit', 2),
    ],
  },
  {
    name: 'idle',
    title: 'A clean link without an emulator, histories on but idle: bulk TCP',
    links: [],
    rounds: 9,
    loads: [{ kind: 'bulk', seconds: 4, streams: 1, omitSeconds: 2 }],
    subjects: [
      both('gigatun, no histories'),
      both('gigatun, Retransmit, InOrder = tcp', 'Retransmit = 150ms', 'InOrder = tcp'),
    ],
    expectations: [
      {
        subject: 'gigatun, Retransmit, InOrder = tcp',
        load: 0,
        figure: 'megabits',
        of: 'gigatun, no histories',
        least: 0.97,
      },
    ],
  },
];
