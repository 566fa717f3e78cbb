/** What is read of /proc and /sys, as kernels write it, cut short, empty, and as nobody would write it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  countInList,
  fieldOf,
  kilobytesOf,
  parseCpuInfo,
  parseOpenFilesMax,
  parseStat,
  parseSystemIds,
  parseTransmitDrops,
  parseUdpSockets,
  sharesOf,
} from '../../../src/doctor/probe/proc-text.ts';

const UDP = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  118: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 29713 2 0000000000000000 17
  119: 00000000000000000000000000000000:CA6C 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 29714 2 0000000000000000 0
`;

describe('a list of cores', () => {
  it.each([
    ['0\n', 1],
    ['0-3', 4],
    ['0-1,4,6-7', 5],
    ['', null],
    ['3-1', null],
    ['0-999999', null],
    ['0-', null],
    ['a', null],
    ['-1', null],
  ])('%j names %s', (text, count) => expect(countInList(text)).toBe(count));
});

describe('a processor', () => {
  it('of x86 has a model name and flags', () => {
    const { model, flags } = parseCpuInfo(
      'processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu aes avx2\n\nmodel name\t: B\n',
    );
    expect(model).toBe('AMD EPYC');
    expect([...flags]).toEqual(['fpu', 'aes', 'avx2']);
  });
  it('of arm64 has features, and at best an implementer', () => {
    const { model, flags } = parseCpuInfo('processor\t: 0\nFeatures\t: fp asimd aes pmull\nCPU implementer\t: 0x41\n');
    expect({ model, aes: flags.has('aes'), pmull: flags.has('pmull') }).toEqual({
      model: '0x41',
      aes: true,
      pmull: true,
    });
  });
  it('may tell nothing', () => {
    expect(parseCpuInfo('flags\nmodel name\t:\n')).toEqual({ model: null, flags: new Set() });
  });
});

describe('the time of the cores', () => {
  const text = 'cpu  100 0 50 800 50 0 0 20 0 0\ncpu0 1 2 3\n';
  it('is summed without the guests, which are in it already', () => {
    expect(parseStat(text)).toEqual({ all: 1_020, idle: 850, steal: 20 });
  });
  it.each(['', 'cpu\n', 'cpu  1 2 3\n', 'cpu  a b c d e f g h\n', 'cpu0 1 2 3 4 5 6 7 8\n'])(
    'in %j is none',
    (broken) => {
      expect(parseStat(broken)).toBeNull();
    },
  );
  it('makes shares between two readings, and none where time stood or went back', () => {
    const before = parseStat(text);
    const after = parseStat('cpu  140 0 60 820 50 0 0 50 0 0\n');
    expect(sharesOf(before, after)).toEqual({ busy: 0.8, steal: 0.3 });
    expect(sharesOf(before, before)).toBeNull();
    expect(sharesOf(after, before)).toBeNull();
    expect(sharesOf(null, after)).toBeNull();
  });
});

describe('sockets', () => {
  it('have port, inode and drops, IPv4 and IPv6', () => {
    expect(parseUdpSockets(UDP)).toEqual([
      { port: 51_820, inode: 29_713, drops: 17 },
      { port: 51_820, inode: 29_714, drops: 0 },
    ]);
  });
  it('cut in the middle of a line are left out', () => {
    expect(parseUdpSockets(UDP.slice(0, UDP.indexOf('29713') + 5))).toEqual([]);
  });
});

it('a queue tells what it dropped, also right behind the colon', () => {
  const text =
    ' face |bytes packets errs drop\n  gt0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n gt01: 1 2 3 4 5 6 7 8 9 10 11 99 0 0 0 0\n';
  expect(parseTransmitDrops(text, 'gt0')).toBe(12);
  expect(parseTransmitDrops(text, 'gt01')).toBe(99);
  expect(parseTransmitDrops(text, 'gt')).toBeNull();
  expect(parseTransmitDrops('gt0: 1 2', 'gt0')).toBeNull();
});

it('a limit of open files may be unlimited', () => {
  expect(parseOpenFilesMax('Max open files            1024                 524288               files     \n')).toBe(
    1_024,
  );
  expect(
    parseOpenFilesMax('Max open files            unlimited            unlimited            files     \n'),
  ).toBeNull();
  expect(parseOpenFilesMax('')).toBeNull();
});

it('a field ends at its line, and is that of the whole name', () => {
  const text = 'MemAvailableX: 1 kB\nMemAvailable:    2 kB\nMemFree: 3 MB\n';
  expect(fieldOf(text, 'MemAvailable')).toBe('2 kB');
  expect(kilobytesOf(text, 'MemAvailable')).toBe(2_048);
  expect(kilobytesOf(text, 'MemFree')).toBeNull();
  expect(kilobytesOf(text, 'Absent')).toBeNull();
});

it('a system names itself and what it is like', () => {
  expect(parseSystemIds('PRETTY_NAME="X"\nID=linuxmint\nID_LIKE="ubuntu debian"\n')).toEqual([
    'linuxmint',
    'ubuntu',
    'debian',
  ]);
  expect(parseSystemIds('ID="$(reboot)"\n')).toEqual([]);
});

it('no text makes a reader fail, or a number that is none', () => {
  const words = fc.constantFrom(
    'cpu ',
    ' 1',
    '0-3',
    ':',
    '\n',
    'gt0:',
    'Max open files',
    '00000000:CA6C',
    'flags',
    '9'.repeat(30),
    '-',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(words).map((parts) => parts.join('')),
      ),
      (text) => {
        const numbers = [
          countInList(text),
          parseOpenFilesMax(text),
          parseTransmitDrops(text, 'gt0'),
          kilobytesOf(text, 'a'),
        ];
        const ofSockets = parseUdpSockets(text).flatMap(({ port, inode, drops }) => [port, inode, drops]);
        const ticks = parseStat(text);
        for (const number of [...numbers, ...ofSockets, ticks?.all, ticks?.idle, ticks?.steal])
          expect(number === null || number === undefined || number >= 0).toBe(true);
        expect(parseCpuInfo(text).flags).toBeInstanceOf(Set);
      },
    ),
  );
});
