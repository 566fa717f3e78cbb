/** Arguments of the bench. */
import { describe, expect, it } from 'vitest';
import { GigatunError } from '../../../src/errors.ts';
import { type BenchOptions, parseBenchOptions } from '../../../src/lab/bench/options.ts';
import { TEST_IDS } from '../../../src/lab/bench/tests.ts';

const parse = (...args: string[]) => parseBenchOptions(args) as BenchOptions;

describe('without arguments', () => {
  it('everything is measured, three times, and worth keeping', () => {
    expect(parse()).toEqual({
      seconds: 4,
      repeats: 3,
      subjects: ['veth', 'floor', 'gigatun', 'wireguard-go'],
      tests: TEST_IDS,
      lanes: 1,
      ledgerPairs: 0,
      complete: true,
    });
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

it('help is help', () => expect(parseBenchOptions(['--help'])).toBe('help'));

it.each([
  [['--seconds', '0'], /--seconds: expected a whole number/],
  [['--repeats', 'x'], /--repeats: expected a whole number/],
  [['--only', 'gigatun,nothing'], /--only: expected some of veth.* got 'nothing'/],
  [['--tests', ''], /--tests: expected some of tcp1/],
  [['--rod', 'x'], /--rod: expected own, shared or both/],
  [['--unknown'], /unknown/],
  [['stray'], /stray/],
])('%j is refused', (args, message) => {
  expect(() => parseBenchOptions(args)).toThrowError(GigatunError);
  expect(() => parseBenchOptions(args)).toThrowError(message);
});
