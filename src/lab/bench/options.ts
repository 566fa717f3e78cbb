/** What a bench run is asked to do, from its arguments. */
import { parseArgs } from 'node:util';
import { GigatunError } from '../../errors.ts';
import { SUBJECT_NAMES, type SubjectName } from './subjects.ts';
import { TEST_IDS, type TestId } from './tests.ts';

export const BENCH_USAGE: string = `npm run bench -- [options]

Measures gigatun side by side with a veth pair without tunnel, the measuring rod (bench/floor) and wireguard-go, all in
network namespaces of this machine, in turns, and writes JSON, Markdown and SVG under bench/results/.

  --quick             1 second per load instead of 4
  --seconds N         seconds per load
  --repeats N         rounds, at least 1; medians are over these (default 3)
  --only A,B          subjects: ${SUBJECT_NAMES.join(', ')}
  --tests A,B         tests: ${TEST_IDS.join(', ')}
  --rod own|shared|both   which measuring rod: bench/floor, ../shared/floor, or both (default own)
  --lanes N           lanes of gigatun at each end (default 1)
  --ledger-ab N       instead of all this: N pairs of runs of gigatun with its books on and off, compared
  --help

A run that leaves out nothing also becomes bench/results/latest.*; any other goes to bench/results/tmp/.
`;

export interface BenchOptions {
  readonly seconds: number;
  readonly repeats: number;
  readonly subjects: readonly SubjectName[];
  readonly tests: readonly TestId[];
  readonly lanes: number;
  /** Pairs of runs with the books on and off, or 0 for the side-by-side run. */
  readonly ledgerPairs: number;
  /** All default subjects, all tests, full length: worth keeping. */
  readonly complete: boolean;
}

const DEFAULT_SECONDS = 4;
const DEFAULT_REPEATS = 3;
const RODS = { own: ['floor'], shared: ['floor-shared'], both: ['floor', 'floor-shared'] } as const;

/** Reads arguments; 'help' when help is wanted. Throws GigatunError CONFIG that says what was expected. */
export function parseBenchOptions(args: readonly string[]): BenchOptions | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  const seconds = wholeNumber('--seconds', values.seconds, values.quick === true ? 1 : DEFAULT_SECONDS);
  const repeats = wholeNumber('--repeats', values.repeats, DEFAULT_REPEATS);
  const usual = usualSubjects(values.rod ?? 'own');
  const subjects = chosen('--only', values.only, SUBJECT_NAMES, usual);
  const tests = chosen('--tests', values.tests, TEST_IDS, TEST_IDS);
  return {
    seconds,
    repeats,
    subjects,
    tests,
    lanes: wholeNumber('--lanes', values.lanes, 1),
    ledgerPairs: wholeNumber('--ledger-ab', values['ledger-ab'], 0),
    complete:
      seconds >= DEFAULT_SECONDS &&
      repeats >= DEFAULT_REPEATS &&
      usual.every((name) => subjects.includes(name)) &&
      tests.length === TEST_IDS.length,
  };
}

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
        'ledger-ab': text,
        help: flag,
      },
    }).values;
  } catch (cause) {
    throw new GigatunError('CONFIG', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function usualSubjects(rod: string): SubjectName[] {
  if (rod !== 'own' && rod !== 'shared' && rod !== 'both') {
    throw new GigatunError('CONFIG', `--rod: expected own, shared or both, got '${rod}'`);
  }
  return ['veth', ...RODS[rod], 'gigatun', 'wireguard-go'];
}

function wholeNumber(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 3_600) return value;
  throw new GigatunError('CONFIG', `${option}: expected a whole number from 1 to 3600, got '${text}'`);
}

function chosen<T extends string>(
  option: string,
  text: string | undefined,
  all: readonly T[],
  otherwise: readonly T[],
): T[] {
  if (text === undefined) return [...otherwise];
  return text.split(',').map((word) => {
    const found = all.find((one) => one === word);
    if (found === undefined)
      throw new GigatunError('CONFIG', `${option}: expected some of ${all.join(', ')}, got '${word}'`);
    return found;
  });
}
