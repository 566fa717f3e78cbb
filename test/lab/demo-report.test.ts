/** The answer of the demo. */
import { expect, it } from 'vitest';
import { type DemoFigures, demoReport, formatAnswer } from '../../src/lab/demo-report.ts';
import { benchResult } from './support/bench-result.ts';

const activities = (dearest: object) => ({
  ...Object.fromEntries(
    ['KERN_READ_TUN', 'USER_TUN_TO_UDP', 'USER_TX_HISTORY', 'KERN_SEND_UDP', 'KERN_RECV_UDP', 'USER_DECRYPT'].map(
      (n) => [n, { timeNs: 0, coreWaitNs: 0 }],
    ),
  ),
  ...Object.fromEntries(
    ['USER_RX_HISTORY', 'USER_UDP_TO_TUN', 'KERN_WRITE_TUN', 'KERN_WAIT', 'USER_CONTROL'].map((n) => [
      n,
      { timeNs: 0, coreWaitNs: 0 },
    ]),
  ),
  ...dearest,
});
const STATS = {
  aead: 'openssl',
  total: {
    activities: activities({
      USER_ENCRYPT: { timeNs: 3_000, coreWaitNs: 0 },
      KERN_SEND_UDP: { timeNs: 1_000, coreWaitNs: 0 },
    }),
    countersCount: { UDP_TX_UNIQ: 2 },
    dropsCount: {},
    balance: { wallNs: 1, activitiesDifferenceRatio: 0, busyDifferenceRatio: null, kernelDifferencePoints: null },
  },
};
const USAGE = { cpuSeconds: 1, userSeconds: 1, systemSeconds: 0, residentBytes: 50e6, residentBytesMax: 60e6 };

function figures(rates: readonly number[]): DemoFigures {
  const phases = rates.map((gigabitsPerSecond) => ({
    bytes: gigabitsPerSecond * 1e9,
    seconds: 8,
    gigabitsPerSecond,
    retransmits: 0,
    streams: 1,
    congestion: 'cubic',
    cpuSeconds: 10,
    cpuSecondsPerGb: 10 / gigabitsPerSecond,
  }));
  const { machine } = benchResult();
  return { machine, lanes: 1, seconds: 8, ipv6: false, phases, stats: [STATS, STATS], usages: [USAGE, USAGE] };
}

it('more than 1 Gbit/s in the slower direction is a yes with that figure', () => {
  const report = demoReport(figures([4.5, 4]));
  expect(report.answer).toMatchObject({ gigabitsPerSecond: 4, cpuSecondsPerGb: 20 / 8.5, residentBytes: 100e6 });
  expect(formatAnswer(report)).toMatch(/a to b 4\.50 Gbit\/s, b to a 4\.00 Gbit\/s/);
  expect(formatAnswer(report)).toContain(
    '1 Gbit/s in userspace? Yes: 4.00 Gbit/s with one lane at each end and one TCP stream, in the slower direction; ' +
      'the dearest activity is USER_ENCRYPT with 75 % of the work, 1.500 µs per UDP_TX_UNIQ.',
  );
});

it('less is not sold as a yes', () => {
  expect(formatAnswer(demoReport(figures([2, 0.9])))).toContain('? Not here and now: 0.90 Gbit/s');
});

it('the report holds what both ends said, untouched', () => {
  expect(demoReport(figures([2, 3])).ends).toEqual([
    { name: 'a', usage: USAGE, stats: STATS },
    { name: 'b', usage: USAGE, stats: STATS },
  ]);
});
