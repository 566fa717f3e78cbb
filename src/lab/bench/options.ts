/** What a bench run is asked to do, from its arguments. `npm run bench` and `gigatun bench` share them; defaults differ. */
import { parseArgs } from 'node:util';
import { autoLanes } from '../../control/auto-lanes.ts';
import { LANES_MAX } from '../../control/config-limits.ts';
import { GigatunError } from '../../errors.ts';
import { SUBJECT_NAMES, type SubjectName } from './subjects.ts';
import { TEST_IDS, type TestId } from './tests.ts';
import { OFFLOAD_VARIANTS } from './variants.ts';

/** Who asks: a developer in the repository, or a user of the installed program. */
export type BenchFace = 'developer' | 'user';

export type BenchMode = 'compare' | 'stages' | 'soak' | 'books';

export interface BenchOptions {
  readonly mode: BenchMode;
  /** Of each load; of each workload with `--stages`. */
  readonly seconds: number;
  readonly repeats: number;
  readonly subjects: readonly SubjectName[];
  readonly tests: readonly TestId[];
  readonly lanes: number;
  /** Pairs of runs with the books on and off. */
  readonly ledgerPairs: number;
  readonly soakMinutes: number;
  /** Figures as JSON on standard output, progress on standard error. */
  readonly json: boolean;
  /** All default subjects, all tests, full length: worth keeping. */
  readonly complete: boolean;
}

const COMMAND: Readonly<Record<BenchFace, string>> = { developer: 'npm run bench --', user: 'gigatun bench' };
const DEFAULT_SECONDS: Readonly<Record<BenchFace, number>> = { developer: 4, user: 1 };
const DEFAULT_REPEATS = 3;
const STAGE_SECONDS = 2;
const QUICK_STAGE_SECONDS = 0.2;
/** What a user's run measures without `--tests`: under two minutes on all subjects. */
const USER_TESTS: readonly TestId[] = ['tcp1', 'udp64', 'udpgso', 'ping', 'pingload'];
const OFFLOAD_TESTS: readonly TestId[] = ['tcp1', 'udp64', 'udpgso'];
const RODS = { own: ['floor'], shared: ['floor-shared'], both: ['floor', 'floor-shared'] } as const;
const ALL_TESTS: readonly TestId[] = TEST_IDS;
/** The stage bench keeps all samples, and its keypair does not live for ever. */
const STAGE_SECONDS_MAX = 60;
/** Also of rounds, minutes and pairs. */
const SECONDS_MAX = 3_600;

const RESULTS: Readonly<Record<BenchFace, string>> = {
  developer: `A run that leaves out nothing also becomes bench/results/latest.*; any other goes to bench/results/tmp/.`,
  user: `Needs root, iproute2, iperf3 and ping; --stages needs none of them. Nothing is written, and nothing stays: not after Ctrl-C either.`,
};

const USER_LINES = ['  --json              print the figures as JSON on standard output, progress on standard error'];
const DEVELOPER_LINES = [
  '  --ledger-ab N       instead: N pairs of runs of gigatun with its books on and off',
  '  --rod own|shared|both   which measuring rod: bench/floor, ../shared/floor, or both (default own)',
];

/** The help text. */
export function benchUsage(face: BenchFace): string {
  const command = COMMAND[face];
  const isUser = face === 'user';
  const lines = [
    `Usage: ${command} [options]`,
    '',
    'Measures gigatun side by side with a veth pair without tunnel, the measuring rod (bench/floor: the least work that such a',
    'tunnel can do, in C) and wireguard-go, all in network namespaces of this machine, in turns, and says what the figures mean.',
    'What this machine cannot run is left out, by name.',
    '',
    `  --quick             ${isUser ? 'one round instead of three' : 'one second per load'}; with --stages a tenth of the time`,
    `  --seconds N         seconds per load (default ${DEFAULT_SECONDS[face]})`,
    `  --repeats N         rounds; medians are over these (default ${DEFAULT_REPEATS})`,
    '  --only A,B          subjects, see below (default veth,floor,gigatun,wireguard-go)',
    `  --tests A,B         tests, see below (default ${isUser ? USER_TESTS.join(',') : 'all'})`,
    '  --lanes N           lanes of gigatun at each end, or auto (default 1)',
    '  --offloads          instead: gigatun as it is, without each of its offloads, without any, and with the other AEAD',
    '  --stages            instead: nanoseconds per packet of every stage, without network and without root',
    '  --soak MINUTES      instead: full load for so long; throughput and memory by the minute',
    ...(isUser ? USER_LINES : DEVELOPER_LINES),
    '  -h, --help',
    '',
    `Subjects: ${SUBJECT_NAMES.join(', ')}`,
    `Tests: ${TEST_IDS.join(', ')}`,
    '',
    RESULTS[face],
    '',
    'Examples:',
    `  ${command}`,
    `  ${command} --only gigatun,wireguard-go --tests tcp1,tcp1r --seconds 5`,
    `  ${command} --offloads`,
    `  ${command} --stages --quick`,
    `  ${command} --soak 10`,
    '',
  ];
  return lines.join('\n');
}

/** Reads arguments; 'help' when help is wanted. Throws GigatunError CONFIG that says what was expected. */
export function parseBenchOptions(args: readonly string[], face: BenchFace): BenchOptions | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  if (face === 'user' && (values.rod !== undefined || values['ledger-ab'] !== undefined)) {
    throw new GigatunError('CONFIG', '--rod and --ledger-ab are of npm run bench, in the repository');
  }
  const mode = modeOf(values);
  const quick = values.quick === true;
  const secondsMax = mode === 'stages' ? STAGE_SECONDS_MAX : SECONDS_MAX;
  const seconds = numberOf('--seconds', values.seconds, defaultSeconds(mode, face, quick), secondsMax);
  const repeats = numberOf('--repeats', values.repeats, quick && face === 'user' ? 1 : DEFAULT_REPEATS);
  const usual = values.offloads === true ? OFFLOAD_VARIANTS : usualSubjects(values.rod ?? 'own', mode);
  const usualTests = values.offloads === true ? OFFLOAD_TESTS : face === 'user' ? USER_TESTS : ALL_TESTS;
  const subjects = chosen('--only', values.only, SUBJECT_NAMES, usual);
  const tests = chosen('--tests', values.tests, TEST_IDS, usualTests);
  return {
    mode,
    seconds,
    repeats,
    subjects,
    tests,
    lanes: values.lanes === 'auto' ? autoLanes() : numberOf('--lanes', values.lanes, 1, LANES_MAX),
    ledgerPairs: numberOf('--ledger-ab', values['ledger-ab'], 0),
    soakMinutes: numberOf('--soak', values.soak, 0),
    json: values.json === true,
    complete:
      seconds >= DEFAULT_SECONDS.developer &&
      repeats >= DEFAULT_REPEATS &&
      values.offloads !== true &&
      usual.every((name) => subjects.includes(name)) &&
      tests.length === TEST_IDS.length,
  };
}

type Values = ReturnType<typeof parse>;

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: flag,
        seconds: text,
        repeats: text,
        only: text,
        tests: text,
        rod: text,
        lanes: text,
        offloads: flag,
        stages: flag,
        soak: text,
        'ledger-ab': text,
        json: flag,
        help: { ...flag, short: 'h' },
      },
    }).values;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new GigatunError('CONFIG', `${message} (--help lists the options)`, { cause });
  }
}

/** `--offloads` compares, too, but nothing else may stand beside it. */
function modeOf({ stages, offloads, soak, 'ledger-ab': books }: Values): BenchMode {
  const asked = [stages === true, offloads === true, soak !== undefined, books !== undefined];
  if (asked.filter(Boolean).length > 1) {
    throw new GigatunError('CONFIG', 'expected one of --offloads, --stages, --soak and --ledger-ab at a time');
  }
  if (stages === true) return 'stages';
  if (soak !== undefined) return 'soak';
  return books !== undefined ? 'books' : 'compare';
}

function defaultSeconds(mode: BenchMode, face: BenchFace, quick: boolean): number {
  if (mode === 'stages') return quick ? QUICK_STAGE_SECONDS : STAGE_SECONDS;
  return quick ? 1 : DEFAULT_SECONDS[face];
}

function usualSubjects(rod: string, mode: BenchMode): SubjectName[] {
  if (rod !== 'own' && rod !== 'shared' && rod !== 'both') {
    throw new GigatunError('CONFIG', `--rod: expected own, shared or both, got '${rod}'`);
  }
  return mode === 'soak' ? ['gigatun'] : ['veth', ...RODS[rod], 'gigatun', 'wireguard-go'];
}

function numberOf(option: string, text: string | undefined, otherwise: number, most = SECONDS_MAX): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new GigatunError('CONFIG', `${option}: expected a whole number from 1 to ${most}, got '${text}'`);
}

function chosen<T extends string>(
  option: string,
  text: string | undefined,
  all: readonly T[],
  otherwise: readonly T[],
): T[] {
  if (text === undefined) return [...otherwise];
  const words = text.split(',').map((word) => {
    const found = all.find((one) => one === word);
    if (found === undefined)
      throw new GigatunError('CONFIG', `${option}: expected some of ${all.join(', ')}, got '${word}'`);
    return found;
  });
  return [...new Set(words)];
}
