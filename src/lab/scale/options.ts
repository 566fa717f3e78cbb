/** What a scale run is asked to do, from its arguments. */
import { parseArgs } from 'node:util';
import { GigatunError } from '../../errors.ts';

export const SCALE_PARTS = ['lookup', 'start', 'storm', 'steady'] as const;
export type ScalePart = (typeof SCALE_PARTS)[number];

export const SCALE_USAGE: string = `npm run scale -- [options]

Measures gigatun with many peers, in network namespaces of this machine: route look-up, start and memory, a storm of
handshakes on one core, and the throughput of one active peer among many. Ends by itself after some minutes.

  --parts A,B         parts: ${SCALE_PARTS.join(', ')} (default all)
  --peers N           peers of one interface, 100 to 60000 (default 10000)
  --prefixes N        allowed IPs of all peers together, at least one each, at most 1000000 (default 100000)
  --handshakes N      peers that start a handshake at once, 1 to 4000 (default 1000)
  --seconds N         seconds per load (default 4)
  --repeats N         rounds of each load and each storm; medians are over these (default 3)
  --program FILE      main.js of another build, to compare with (the look-up is always this build's)
  --json              print the result as JSON
  --help

A run that leaves out nothing also becomes bench/results/scale.*; any other goes to bench/results/tmp/.
`;

export interface ScaleOptions {
  readonly parts: readonly ScalePart[];
  readonly peers: number;
  readonly prefixes: number;
  readonly handshakes: number;
  readonly seconds: number;
  readonly repeats: number;
  /** Another build's main.js, or null for this one. */
  readonly program: string | null;
  readonly json: boolean;
}

const PEERS = 10_000;
const PREFIXES = 100_000;
const HANDSHAKES = 1_000;
const SECONDS = 4;
const REPEATS = 3;

/** Reads arguments; 'help' when help is wanted. Throws GigatunError CONFIG that says what was expected. */
export function parseScaleOptions(args: readonly string[]): ScaleOptions | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  const peers = wholeNumber('--peers', values.peers, PEERS, 100, 60_000);
  return {
    parts: chosenParts(values.parts),
    peers,
    prefixes: wholeNumber('--prefixes', values.prefixes, Math.max(PREFIXES, peers), peers, 1_000_000),
    handshakes: wholeNumber('--handshakes', values.handshakes, Math.min(HANDSHAKES, peers), 1, Math.min(peers, 4_000)),
    seconds: wholeNumber('--seconds', values.seconds, SECONDS, 1, 60),
    repeats: wholeNumber('--repeats', values.repeats, REPEATS, 1, 20),
    program: values.program ?? null,
    json: values.json === true,
  };
}

/** All parts of the usual size with this build: worth keeping. */
export function isComplete(options: ScaleOptions): boolean {
  const { parts, peers, prefixes, handshakes, seconds, repeats, program } = options;
  const isUsual = peers === PEERS && prefixes === PREFIXES && handshakes === HANDSHAKES && program === null;
  return isUsual && seconds >= SECONDS && repeats >= REPEATS && SCALE_PARTS.every((part) => parts.includes(part));
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    parts: text,
    peers: text,
    prefixes: text,
    handshakes: text,
    seconds: text,
    repeats: text,
    program: text,
    json: flag,
    help: flag,
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (cause) {
    throw new GigatunError('CONFIG', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function wholeNumber(option: string, text: string | undefined, otherwise: number, least: number, most: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new GigatunError('CONFIG', `${option}: expected a whole number from ${least} to ${most}, got '${text}'`);
}

function chosenParts(text: string | undefined): ScalePart[] {
  if (text === undefined) return [...SCALE_PARTS];
  return text.split(',').map((word) => {
    const found = SCALE_PARTS.find((part) => part === word);
    if (found !== undefined) return found;
    throw new GigatunError('CONFIG', `--parts: expected some of ${SCALE_PARTS.join(', ')}, got '${word}'`);
  });
}
