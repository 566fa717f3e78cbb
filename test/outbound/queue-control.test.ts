/** When senders are told that the TUN queue is long, and how. */
import { describe, expect, it } from 'vitest';
import { COUNTER } from '../../src/ledger/catalog.ts';
import { BURST_BYTES, QueueControl, SIGNAL_INTERVAL_NS } from '../../src/outbound/queue-control.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import { markCongestion, SuperPacket } from '../../src/outbound/split.ts';
import { sumsToZero } from '../reference/internet-checksum.ts';
import type { Packet } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, tcpHeader } from '../support/arbitrary-packets.ts';
import { FakeLane, openMessage } from '../support/fake-lane.ts';
import { superFromTun } from '../support/virtio.ts';

const BATCH = 200_000;
const START_NS = 1e12;

/** Times (in intervals) at which a queue that is never emptied makes the lane signal. */
function signalsOf(control: QueueControl, intervals: number, step = 0.01): number[] {
  const times: number[] = [];
  for (let time = 0; time < intervals; time += step) {
    control.found(BATCH, false);
    if (control.signals(START_NS + time * SIGNAL_INTERVAL_NS)) times.push(time);
  }
  return times;
}

describe('the control of the TUN queue', () => {
  it('lets a burst pass that empties in time', () => {
    const control = new QueueControl();
    for (let turn = 0; turn < 1_000; turn += 1) {
      for (let bytes = 0; bytes + BATCH <= BURST_BYTES; bytes += BATCH) control.found(BATCH, false);
      expect(control.signals(START_NS + turn * SIGNAL_INTERVAL_NS)).toBe(false);
      control.found(BATCH, true);
    }
  });

  it('signals once where a burst is longer, and no more after the queue was emptied', () => {
    const control = new QueueControl();
    expect(signalsOf(control, 0.9)).toHaveLength(1);
    control.found(BATCH, true);
    expect(control.signals(START_NS + 10 * SIGNAL_INTERVAL_NS)).toBe(false);
  });

  it('signals ever more often while the queue stays long, and starts anew after a pause', () => {
    const control = new QueueControl();
    const times = signalsOf(control, 10);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(gaps[0]).toBeCloseTo(1, 1);
    for (const [index, gap] of gaps.entries()) expect(gap).toBeCloseTo(1 / Math.sqrt(Math.min(index + 1, 16)), 1);
    control.found(BATCH, true);
    control.found(2 * BURST_BYTES, false);
    expect(control.signals(START_NS + 100 * SIGNAL_INTERVAL_NS)).toBe(true);
    expect(control.signals(START_NS + 100.9 * SIGNAL_INTERVAL_NS)).toBe(false);
    expect(control.signals(START_NS + 101.1 * SIGNAL_INTERVAL_NS)).toBe(true);
  });
});

it('signals at most fifty times in 250 ms, however long others fill the queue', () => {
  const control = new QueueControl();
  signalsOf(control, 200);
  const late = Array.from({ length: 12_500 }, (_, step) => {
    control.found(BATCH, false);
    return control.signals(START_NS + (200 + step * 0.001) * SIGNAL_INTERVAL_NS);
  });
  expect(late.filter(Boolean).length).toBeLessThanOrEqual(51);
});

describe('a TUN queue that is not emptied', () => {
  const GSO_SIZE = 1_368;
  const SEGMENTS = 46;

  /** Lets super-packets of one flow stand in the queue, 30 more than the turns will read; returns the inner packets that left. */
  function leave(kind: 'tcp' | 'udp', trafficClass: number): { lane: FakeLane; left: Uint8Array[] } {
    const lane = new FakeLane({ gsoDatagramsMax: 64, mtu: 1_420 });
    lane.addReadyPeer(0);
    lane.route([{ address: Uint8Array.of(10, 0, 1, 0), length: 32, peer: 0 }]);
    const path = new OutboundPath(lane.context, 1_500);
    const ip = { ...ipv4Header(9, 0), trafficClass };
    const payload = bytesFrom(1, GSO_SIZE * SEGMENTS);
    const packet: Packet =
      kind === 'tcp'
        ? { kind, ip, tcp: tcpHeader(), payload }
        : { kind, ip, sourcePort: 1, destinationPort: 2, payload };
    for (let turn = 0; turn < 40; turn += 1) {
      while (lane.addon.tunQueue.length < 30) lane.addon.tunQueue.push(superFromTun(packet, GSO_SIZE));
      path.turn();
    }
    const datagrams = lane.addon.udpSends.flatMap((send) => send.datagrams);
    return { lane, left: datagrams.map((datagram) => openMessage(datagram, 0).plaintext) };
  }

  it('costs a TCP flow the first segment of one super-packet', () => {
    const { lane, left } = leave('tcp', 0);
    expect(lane.drops()).toEqual({ OUT_QUEUE_LONG: 1 });
    expect(left.length % SEGMENTS).toBe(SEGMENTS - 1);
    const sequences = left.map((packet) => new DataView(packet.buffer, packet.byteOffset).getUint32(24));
    const firsts = sequences.filter((sequence) => sequence === sequences[0]).length;
    expect(firsts).toBe(Math.floor(left.length / SEGMENTS));
  });

  it('marks the segments of one super-packet where the sender knows ECN', () => {
    const { lane, left } = leave('tcp', 2);
    expect(lane.drops()).toEqual({});
    expect(left.length % SEGMENTS).toBe(0);
    const marked = left.filter((packet) => packet[1] === 3);
    expect(marked.length).toBe(SEGMENTS);
    expect(lane.context.ledger.counts[COUNTER.CONGESTION_MARKS]).toBe(SEGMENTS);
    for (const packet of marked) expect(sumsToZero(packet.slice(0, 20))).toBe(true);
  });

  it('costs UDP nothing', () => {
    expect(leave('udp', 0).lane.drops()).toEqual({});
  });
});

describe('the mark of congestion', () => {
  it.each([4, 6] as const)('is set where the sender knows ECN, and nothing else changes (IPv%i)', (version) => {
    const view = new DataView(new ArrayBuffer(40));
    for (let trafficClass = 0; trafficClass < 256; trafficClass += 1) {
      const word = version === 4 ? 0x45001234 | (trafficClass << 16) : 0x60054321 | (trafficClass << 20);
      view.setInt32(0, word);
      const packet = Object.assign(new SuperPacket(), { ip: 0, isIpv4: version === 4, ecn: trafficClass & 3 });
      const knowsEcn = (trafficClass & 3) !== 0;
      expect(markCongestion(packet, view)).toBe(knowsEcn);
      const expected = knowsEcn ? word | (3 << (version === 4 ? 16 : 20)) : word;
      expect(view.getInt32(0)).toBe(expected | 0);
    }
  });
});
