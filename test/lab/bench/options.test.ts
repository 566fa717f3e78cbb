/** Arguments of the bench. */
import { describe, expect, it } from 'vitest';
import { GigatunError } from '../../../src/errors.ts';
import { type BenchOptions, benchUsage, parseBenchOptions } from '../../../src/lab/bench/options.ts';
import { SUBJECT_NAMES } from '../../../src/lab/bench/subjects.ts';
import { TEST_IDS, TESTS } from '../../../src/lab/bench/tests.ts';
import { VARIANTS } from '../../../src/lab/bench/variants.ts';
import { OFFLOAD_NAMES } from '../../../src/offloads/offload-name.ts';

const parse = (...args: string[]) => parseBenchOptions(args, 'developer') as BenchOptions;
const parseUser = (...args: string[]) => parseBenchOptions(args, 'user') as BenchOptions;

describe('without arguments', () => {
  it('a developer measures everything, three times, worth keeping', () => {
    expect(parse()).toEqual({
      mode: 'compare',
      seconds: 4,
      repeats: 3,
      subjects: ['veth', 'floor', 'gigatun', 'wireguard-go'],
      tests: TEST_IDS,
      lanes: 1,
      ledgerPairs: 0,
      soakMinutes: 0,
      json: false,
      complete: true,
    });
  });
  it('a user measures the same subjects in less than two minutes', () => {
    const { subjects, tests, repeats, seconds, complete } = parseUser();
    expect(subjects).toEqual(parse().subjects);
    expect(complete).toBe(false);
    const loads = tests.map((test) => TESTS[test].estimate(seconds));
    const all = loads.reduce((sum, estimate) => sum + estimate, 0) * repeats * subjects.length;
    expect(all).toBeLessThan(120);
    expect(tests).toContain('tcp1');
  });
});

describe('modes', () => {
  it('--stages measures stages, and --quick a tenth as long', () => {
    expect(parseUser('--stages')).toMatchObject({ mode: 'stages', seconds: 2 });
    expect(parseUser('--stages', '--quick')).toMatchObject({ mode: 'stages', seconds: 0.2 });
  });
  it('--offloads compares gigatun with itself: each offload off in turn, all off, and the other AEAD', () => {
    const { mode, subjects, tests, complete } = parseUser('--offloads');
    expect({ mode, complete }).toEqual({ mode: 'compare', complete: false });
    expect(subjects).toEqual([
      'gigatun',
      'gigatun-no-udp-gso',
      'gigatun-no-udp-gro',
      'gigatun-no-tun-tso',
      'gigatun-no-tun-uso',
      'gigatun-no-offloads',
      'gigatun-openssl',
    ]);
    expect(tests).toEqual(['tcp1', 'udp64', 'udpgso']);
  });
  it('each variant that lacks an offload names the others in its configuration', () => {
    for (const name of OFFLOAD_NAMES) {
      const [setting = ''] = VARIANTS[`gigatun-no-${name}`].settings ?? [];
      const opened = setting.replace('Offloads = ', '').split(', ');
      expect(opened.toSorted()).toEqual(OFFLOAD_NAMES.filter((other) => other !== name).toSorted());
    }
    expect(VARIANTS['gigatun-no-offloads'].settings).toEqual(['Offloads = none']);
  });
  it('--soak watches gigatun alone unless told otherwise', () => {
    expect(parseUser('--soak', '10')).toMatchObject({ mode: 'soak', soakMinutes: 10, subjects: ['gigatun'] });
    expect(parseUser('--soak', '1', '--only', 'floor').subjects).toEqual(['floor']);
  });
  it('--ledger-ab compares the books, in the repository', () => {
    expect(parse('--ledger-ab', '3')).toMatchObject({ mode: 'books', ledgerPairs: 3 });
  });
  it('--json is for whoever asks', () => expect(parseUser('--json').json).toBe(true));
});

it('what is named twice is measured once', () => {
  expect(parseUser('--tests', 'ping,ping').tests).toEqual(['ping']);
});

describe('the help', () => {
  it.each(['user', 'developer'] as const)('for a %s names every subject, every test and every option', (face) => {
    const help = benchUsage(face);
    for (const word of [...SUBJECT_NAMES, ...TEST_IDS]) expect(help).toContain(word);
    for (const option of [
      '--quick',
      '--seconds',
      '--repeats',
      '--only',
      '--tests',
      '--lanes',
      '--offloads',
      '--stages',
      '--soak',
    ])
      expect(help).toContain(option);
    expect(help).toContain('Examples:');
  });
});

describe('a run is not complete', () => {
  it.each([['--quick'], ['--seconds', '3'], ['--repeats', '1'], ['--only', 'gigatun,floor'], ['--tests', 'tcp1']])(
    'with %s %s',
    (...args) => {
      expect(parse(...args.filter(Boolean)).complete).toBe(false);
    },
  );
  it('but it is with more than usual', () => {
    expect(parse('--rod', 'both', '--seconds', '10', '--repeats', '5').complete).toBe(true);
  });
});

it.each([
  ['own', ['veth', 'floor', 'gigatun', 'wireguard-go']],
  ['shared', ['veth', 'floor-shared', 'gigatun', 'wireguard-go']],
  ['both', ['veth', 'floor', 'floor-shared', 'gigatun', 'wireguard-go']],
])('--rod %s measures against that rod', (rod, subjects) => expect(parse('--rod', rod).subjects).toEqual(subjects));

it('what is chosen is measured in the order given', () => {
  expect(parse('--only', 'wireguard-go,gigatun', '--tests', 'udp64,tcp1')).toMatchObject({
    subjects: ['wireguard-go', 'gigatun'],
    tests: ['udp64', 'tcp1'],
  });
});

it('--quick is shortened, but not what was given beside it', () => {
  expect(parse('--quick').seconds).toBe(1);
  expect(parse('--quick', '--seconds', '2').seconds).toBe(2);
});

it('help is help', () => expect(parseBenchOptions(['--help'], 'user')).toBe('help'));

it.each([
  [['--seconds', '0'], /--seconds: expected a whole number/],
  [['--repeats', 'x'], /--repeats: expected a whole number/],
  [['--only', 'gigatun,nothing'], /--only: expected some of veth.* got 'nothing'/],
  [['--tests', ''], /--tests: expected some of tcp1/],
  [['--rod', 'x'], /--rod: expected own, shared or both/],
  [['--lanes', '65'], /--lanes: expected a whole number from 1 to 64/],
  [['--soak', '-1'], /--soak/],
  [['--stages', '--seconds', '61'], /from 1 to 60/],
  [['--stages', '--offloads'], /one of --offloads, --stages, --soak and --ledger-ab at a time/],
  [['--soak', '1', '--ledger-ab', '1'], /at a time/],
  [['--unknown'], /unknown/],
  [['stray'], /stray/],
])('%j is refused', (args, message) => {
  expect(() => parseBenchOptions(args, 'developer')).toThrowError(GigatunError);
  expect(() => parseBenchOptions(args, 'developer')).toThrowError(message);
});

it.each([
  ['--rod', 'own'],
  ['--ledger-ab', '3'],
])('%s is refused outside the repository', (...args) => {
  expect(() => parseBenchOptions(args, 'user')).toThrowError(/of npm run bench/);
});
