/**
 * UDP datagrams of equal length become UDP super-packets where the TUN takes them: cut again as the kernel would, they
 * are what came in, flow by flow and byte for byte; what may not be merged is not.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Coalescer } from '../../src/inbound/coalesce.ts';
import { onesSum } from '../reference/internet-checksum.ts';
import { encodeIp, encodePacket, encodeUdp, UDP_PROTOCOL, type UdpPacket } from '../reference/ip.ts';
import { splitSuperPacket } from '../reference/split.ts';
import { bytesFrom, ipv4Header, ipv6Header } from '../support/arbitrary-packets.ts';
import type { TunWrite } from '../support/fake-addon.ts';
import { FakeLane, padded } from '../support/fake-lane.ts';
import { decodeVirtio } from '../support/virtio.ts';

const UDP_GSO = 5;

/** Takes packets as one batch through a coalescer whose TUN takes UDP super-packets. */
function take(packets: readonly Uint8Array[], udpSuperPackets = true): TunWrite[] {
  const lane = new FakeLane({ udpSuperPackets });
  const coalescer = new Coalescer(lane.context);
  let at = lane.arena.udpIn;
  for (const packet of packets) {
    const plaintext = padded(packet);
    lane.arena.bytes.set(plaintext, at + 16);
    coalescer.add(0, at + 16, packet.length, onesSum(plaintext));
    at += 16 + plaintext.length + 16;
  }
  coalescer.flush();
  return [...lane.addon.tunWrites];
}

function datagram(
  flow: number,
  payload: number,
  changes: { id?: number; hopLimit?: number; version?: 4 | 6 } = {},
): UdpPacket {
  const base = changes.version === 6 ? ipv6Header(flow, 200) : ipv4Header(flow, 200);
  const ip = {
    ...base,
    ...(changes.id === undefined ? {} : { id: changes.id }),
    ...(changes.hopLimit === undefined ? {} : { hopLimit: changes.hopLimit }),
  };
  return {
    kind: 'udp',
    ip,
    sourcePort: 1_000 + flow,
    destinationPort: 53,
    payload: bytesFrom(flow * 1_000 + payload, payload),
  };
}

function withChecksum(packet: UdpPacket, checksum: number): Uint8Array {
  return encodeIp(packet.ip, UDP_PROTOCOL, encodeUdp(packet, checksum));
}

/** How many packets each write stands for, by its virtio header. */
function shapeOf(writes: readonly TunWrite[]): number[] {
  return writes.map(({ virtio, packet }) => {
    const { gsoType, gsoSize, headerLength } = decodeVirtio(virtio);
    return gsoType === 0 ? 1 : Math.ceil((packet.length - headerLength) / gsoSize);
  });
}

describe('UDP datagrams of one flow', () => {
  it.each([4, 6] as const)('of equal length become one super-packet, the shorter last included (IPv%i)', (version) => {
    const packets = [0, 1, 2, 3].map((n) => datagram(1, n === 3 ? 40 : 64, { id: n, version }));
    const writes = take(packets.map((packet) => encodePacket(packet)));
    expect(shapeOf(writes)).toEqual([4]);
    expect(decodeVirtio(writes[0].virtio)).toMatchObject({ gsoType: UDP_GSO, gsoSize: 64, checksumOffset: 6 });
  });

  it('stay apart where the TUN takes no UDP super-packets', () => {
    const packets = [0, 1, 2].map((id) => encodePacket(datagram(1, 64, { id })));
    expect(shapeOf(take(packets, false))).toEqual([1, 1, 1]);
  });

  it('that are longer than the first, or of another hop limit, start a new run', () => {
    const packets = [datagram(1, 64, { id: 0 }), datagram(1, 65, { id: 1 }), datagram(1, 65, { id: 2, hopLimit: 3 })];
    expect(shapeOf(take(packets.map((packet) => encodePacket(packet))))).toEqual([1, 1, 1]);
  });

  it('with a wrong checksum, or with none, are written alone and untouched', () => {
    const wrong = withChecksum(datagram(1, 64, { id: 1 }), 0x1234);
    const none = withChecksum(datagram(1, 64, { id: 2 }), 0);
    const packets = [encodePacket(datagram(1, 64, { id: 0 })), wrong, none];
    const writes = take(packets);
    expect(shapeOf(writes)).toEqual([1, 1, 1]);
    expect(writes.map(({ packet }) => packet)).toEqual(packets);
  });

  it('are at most 64 in one super-packet', () => {
    const packets = Array.from({ length: 100 }, (_, id) => encodePacket(datagram(1, 64, { id })));
    expect(shapeOf(take(packets))).toEqual([64, 36]);
  });
});

describe('any mix of UDP flows', () => {
  const step = fc.record({
    flow: fc.integer({ min: 1, max: 3 }),
    payload: fc.constantFrom(0, 1, 17, 64, 64, 64, 1_200),
    version: fc.constantFrom(4, 6),
  });

  it('comes out as it went in when the kernel cuts it again, flow by flow', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ids = new Map<string, number>();
        const packets = steps.map(({ flow, payload, version }) => {
          const key = `${flow}/${version}`;
          const id = ids.get(key) ?? 0;
          ids.set(key, id + 1);
          return { key, packet: datagram(flow, payload, { id, version: version as 4 | 6 }) };
        });
        const writes = take(packets.map(({ packet }) => encodePacket(packet)));
        const written = writes.flatMap(cutAgain);
        for (const key of ids.keys()) {
          const wanted = packets.filter((entry) => entry.key === key).map(({ packet }) => hex(encodePacket(packet)));
          expect(written.filter((bytes) => wanted.includes(bytes))).toEqual(wanted);
        }
        expect(written.length).toBe(packets.length);
      }),
    );
  });
});

/** The packets of a write as hexadecimal text, a super-packet cut by the slow twin. */
function cutAgain({ virtio, packet }: TunWrite): string[] {
  const { gsoType, gsoSize, headerLength } = decodeVirtio(virtio);
  if (gsoType === 0) return [hex(packet)];
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const version = packet[0] >> 4;
  const flow = view.getUint16(headerLength - 8) - 1_000;
  const base = datagram(flow, 0, { id: version === 4 ? view.getUint16(4) : 0, version: version === 4 ? 4 : 6 });
  const whole = { ...base, payload: packet.slice(headerLength) };
  return splitSuperPacket(whole, gsoSize).map((one) => hex(encodePacket(one)));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
