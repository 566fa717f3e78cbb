/** Reading iperf3's JSON: reports of real runs, shortened to the fields that are read and their neighbours. */
import { describe, expect, it } from 'vitest';
import { GigatunError } from '../../src/errors.ts';
import { parseReport, parseTcp, parseUdp } from '../../src/lab/iperf.ts';

const TCP = {
  start: { version: 'iperf 3.12', test_start: { protocol: 'TCP', num_streams: 4, reverse: 1 } },
  intervals: [{ sum: { bytes: 1 } }],
  end: {
    sum_sent: { start: 0, end: 1.000493, seconds: 1.000493, bytes: 2_697_330_688, retransmits: 1_106, sender: false },
    sum_received: { start: 0, end: 1.000056, seconds: 1.000056, bytes: 2_696_543_504, sender: false },
    sender_tcp_congestion: 'cubic',
    receiver_tcp_congestion: 'bbr',
  },
};
const UDP = {
  start: { test_start: { protocol: 'UDP', num_streams: 1 } },
  end: {
    sum: { bytes: 15_536_640, lost_packets: 2_417, packets: 242_760 },
    sum_sent: { seconds: 1.000009, bytes: 15_536_640, packets: 242_760, sender: true },
    sum_received: { seconds: 1.000062, bytes: 15_381_568, lost_packets: 2_417, packets: 242_754, sender: false },
  },
};

describe('a TCP report', () => {
  it('gives what the receiver got in the time it took', () => {
    const result = parseTcp(TCP);
    expect(result).toMatchObject({ bytes: 2_696_543_504, retransmits: 1_106, streams: 4, congestion: 'cubic' });
    expect(result.gigabitsPerSecond).toBeCloseTo((2_696_543_504 * 8) / 1.000056 / 1e9, 9);
  });
  it('without a receiver is an error that names the missing number', () => {
    const { sum_received: _, ...end } = TCP.end;
    expect(() => parseTcp({ ...TCP, end })).toThrowError(/no number at bytes/);
  });
});

it('a UDP report gives packets that arrived, counted by the receiver', () => {
  const result = parseUdp(UDP, 64);
  expect(result).toMatchObject({ sentPackets: 242_760, deliveredPackets: 242_754 - 2_417, length: 64 });
  expect(result.deliveredPerSecond).toBeCloseTo((242_754 - 2_417) / 1.000062, 6);
});

describe('a report', () => {
  it('with an error is thrown in the words of iperf3', () => {
    const text = JSON.stringify({ start: {}, error: 'unable to connect to server: Connection refused' });
    expect(() => parseReport(text)).toThrowError('iperf3: unable to connect to server: Connection refused');
  });
  it.each([
    ['', 'iperf3: not found'],
    ['{"start":', ''],
  ])('that is no JSON (%j) is an error, not a crash', (stdout, stderr) => {
    expect(() => parseReport(stdout, stderr)).toThrowError(GigatunError);
  });
});
