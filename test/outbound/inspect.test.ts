/**
 * What a TUN read brings is checked before it is believed. Reads come from the kernel, so that none of this should ever
 * happen; when it does, the packet is a counted drop, and nothing outside of it is read.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutboundPath } from '../../src/outbound/read.ts';
import { INSPECT, inspect, SuperPacket } from '../../src/outbound/split.ts';
import { LIMIT } from '../../src/packet/arena.ts';
import { encodePacket } from '../reference/ip.ts';
import { anyPackets, bytesFrom, ipv4Header, ipv6Header, tcpHeader } from '../support/arbitrary-packets.ts';
import { FakeLane } from '../support/fake-lane.ts';
import {
  encodeVirtio,
  NO_OFFLOAD,
  plainFromTun,
  superFromTun,
  unsummedFromTun,
  type VirtioFields,
} from '../support/virtio.ts';

const VERDICTS: readonly number[] = Object.values(INSPECT);

/** Inspects bytes at the very end of a view, so that reading on is a RangeError. */
function verdictOf(read: Uint8Array): number {
  const memory = new Uint8Array(6 + read.length);
  memory.set(read, 6);
  const packet = new SuperPacket();
  const verdict = inspect(packet, new DataView(memory.buffer), 6, read.length);
  if (verdict === INSPECT.OK) expectWithin(packet, read.length - 10);
  return verdict;
}

/** What is true of every packet that passed. */
function expectWithin(packet: SuperPacket, available: number): void {
  expect(packet.ip).toBe(16);
  expect(packet.headerLength + packet.payloadLength).toBe(available);
  if (packet.kind === 0) {
    expect(packet.segments).toBe(1);
    if (packet.checksumStart !== -1) expect(packet.checksumField + 2).toBeLessThanOrEqual(available);
    return;
  }
  expect(packet.transportStart).toBeGreaterThanOrEqual(packet.isIpv4 ? 20 : 40);
  expect(packet.headerLength).toBeLessThanOrEqual(LIMIT.SEGMENT_HEADER_BYTES);
  expect((packet.segments - 1) * packet.segmentPayload).toBeLessThan(packet.payloadLength);
  expect(packet.segments * packet.segmentPayload).toBeGreaterThanOrEqual(packet.payloadLength);
}

const uint16 = fc.oneof(fc.nat(0xffff), fc.nat(100));
const virtioFields: fc.Arbitrary<VirtioFields> = fc.record({
  flags: fc.nat(255),
  gsoType: fc.oneof(fc.constantFrom(0, 1, 4, 5, 0x81, 0x84, 3, 0x21), fc.nat(255)),
  headerLength: uint16,
  gsoSize: uint16,
  checksumStart: uint16,
  checksumOffset: uint16,
});
/** Random virtio headers before packets of which some bytes were changed. */
const damaged = fc
  .tuple(virtioFields, anyPackets(0, 100), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat(30))
  .map(([fields, packet, changes, cut]) => {
    const bytes = encodePacket(packet);
    for (const [at, value] of changes) bytes[at % Math.min(bytes.length, 60)] = value;
    return Uint8Array.from([...encodeVirtio(fields), ...bytes.slice(0, bytes.length - (cut % bytes.length))]);
  });

describe('inspect', () => {
  it('gives a verdict on any bytes and reads none outside of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 150 }), (read) => {
        expect(VERDICTS).toContain(verdictOf(read));
      }),
      { numRuns: 1_000 },
    );
  });

  it('gives a verdict on any virtio header before a damaged packet', () => {
    fc.assert(
      fc.property(damaged, (read) => {
        expect(VERDICTS).toContain(verdictOf(read));
      }),
      { numRuns: 1_000 },
    );
  });

  it('gives a verdict on packets that are cut off at each length', () => {
    const tcp = tcpHeader({ options: bytesFrom(1, 12) });
    const reads = [ipv4Header(1, 2), ipv6Header(1, 2)].flatMap((ip) => {
      const packet = { kind: 'tcp', ip, tcp, payload: bytesFrom(2, 40) } as const;
      return [superFromTun(packet, 10), unsummedFromTun(packet), plainFromTun(encodePacket(packet))];
    });
    for (const read of reads) {
      expect(verdictOf(read)).toBe(INSPECT.OK);
      for (let length = 0; length < read.length; length += 1)
        expect(VERDICTS, `${length} of ${read.length} bytes`).toContain(verdictOf(read.slice(0, length)));
    }
  });

  it('refuses a single packet that is cut off anywhere', () => {
    const packet = { kind: 'tcp', ip: ipv6Header(1, 2), tcp: tcpHeader(), payload: bytesFrom(2, 40) } as const;
    const read = plainFromTun(encodePacket(packet));
    for (let length = 0; length < read.length; length += 1)
      expect(verdictOf(read.slice(0, length))).toBe(INSPECT.NOT_IP);
  });

  it('refuses super-packets that contradict themselves', () => {
    const tcp4 = { kind: 'tcp', ip: ipv4Header(1, 2), tcp: tcpHeader(), payload: bytesFrom(2, 100) } as const;
    const tcp6 = { ...tcp4, ip: ipv6Header(1, 2) } as const;
    const bytes4 = encodePacket(tcp4);
    const bytes6 = encodePacket(tcp6);
    const good = { ...NO_OFFLOAD, flags: 1, gsoType: 1, gsoSize: 10, checksumStart: 20, checksumOffset: 16 };
    const verdict = (changes: Partial<VirtioFields>, packet: Uint8Array): number =>
      verdictOf(Uint8Array.from([...encodeVirtio({ ...good, ...changes }), ...packet]));
    const changed = (packet: Uint8Array, at: number, value: number): Uint8Array =>
      Uint8Array.from(packet).fill(value, at, at + 1);
    expect(verdict({}, bytes4)).toBe(INSPECT.OK);
    expect(verdict({ gsoType: 4, checksumStart: 40 }, bytes6)).toBe(INSPECT.OK);
    const refused: [string, number][] = [
      ['TCP over IPv6 said, IPv4 there', verdict({ gsoType: 4 }, bytes4)],
      ['TCP over IPv4 said, IPv6 there', verdict({ gsoType: 1, checksumStart: 40 }, bytes6)],
      ['UFO', verdict({ gsoType: 3 }, bytes4)],
      ['a tunnel in UDP', verdict({ gsoType: 0x21 }, bytes4)],
      ['no bytes per segment', verdict({ gsoSize: 0 }, bytes4)],
      ['TCP within the IP header', verdict({ checksumStart: 16 }, bytes4)],
      ['TCP within the IPv6 header', verdict({ gsoType: 4, checksumStart: 39 }, bytes6)],
      ['TCP behind the end', verdict({ checksumStart: 130 }, bytes4)],
      ['an IPv4 header of 16 bytes', verdict({}, changed(bytes4, 0, 0x44))],
      ['a TCP header of 16 bytes', verdict({}, changed(bytes4, 32, 0x40))],
      ['a TCP header without payload behind it', verdict({}, bytes4.slice(0, 40))],
      ['a TCP header behind the end', verdict({}, changed(bytes4.slice(0, 60), 32, 0xf0))],
    ];
    expect(refused.filter(([, found]) => found !== INSPECT.BAD_OFFLOAD)).toEqual([]);
  });

  it('counts the headers of a super-packet, whatever length the kernel says they have', () => {
    const packet = { kind: 'tcp', ip: ipv4Header(1, 2), tcp: tcpHeader(), payload: bytesFrom(2, 100) } as const;
    const fields = { ...NO_OFFLOAD, flags: 1, gsoType: 1, gsoSize: 10, checksumStart: 20, checksumOffset: 16 };
    for (const headerLength of [0, 39, 40, 41, 140, 0xffff]) {
      const read = Uint8Array.from([...encodeVirtio({ ...fields, headerLength }), ...encodePacket(packet)]);
      const found = new SuperPacket();
      expect(inspect(found, new DataView(read.buffer), 0, read.length)).toBe(INSPECT.OK);
      expect(found).toMatchObject({ headerLength: 40, payloadLength: 100, segments: 10 });
    }
  });

  it('takes headers of up to 256 bytes, for which there is room, and refuses longer ones', () => {
    const tcp = { kind: 'tcp', tcp: tcpHeader(), payload: bytesFrom(2, 100) } as const;
    const verdict = (extension: number, options: number): number => {
      const ip = { ...ipv6Header(1, 2), extensionType: 60, options: new Uint8Array(extension) };
      return verdictOf(superFromTun({ ...tcp, ip, tcp: tcpHeader({ options: new Uint8Array(options) }) }, 10));
    };
    expect(verdict(192, 4)).toBe(INSPECT.OK);
    expect(verdict(192, 8)).toBe(INSPECT.BAD_OFFLOAD);
    expect(verdict(400, 0)).toBe(INSPECT.BAD_OFFLOAD);
  });

  it('refuses a checksum field outside of a single packet', () => {
    const packet = {
      kind: 'udp',
      ip: ipv4Header(1, 2),
      sourcePort: 1,
      destinationPort: 2,
      payload: bytesFrom(1, 4),
    } as const;
    const verdict = (checksumStart: number, checksumOffset: number): number =>
      verdictOf(
        Uint8Array.from([
          ...encodeVirtio({ ...NO_OFFLOAD, flags: 1, checksumStart, checksumOffset }),
          ...encodePacket(packet),
        ]),
      );
    expect(verdict(20, 6)).toBe(INSPECT.OK);
    expect(verdict(20, 10)).toBe(INSPECT.OK);
    expect(verdict(20, 11)).toBe(INSPECT.BAD_OFFLOAD);
    expect(verdict(33, 0)).toBe(INSPECT.BAD_OFFLOAD);
    expect(verdict(65_535, 65_535)).toBe(INSPECT.BAD_OFFLOAD);
  });
});

describe('the outbound path', () => {
  it('sends or counts as dropped every packet that damage brings, and never throws', () => {
    const lane = new FakeLane();
    lane.addReadyPeer(0);
    lane.routeAllTo(0);
    const path = new OutboundPath(lane.context, 1_500);
    fc.assert(
      fc.property(fc.array(damaged, { minLength: 1, maxLength: 20 }), (reads) => {
        lane.reset();
        lane.addon.tunQueue.push(...reads);
        expect(path.turn()).toBe(reads.length);
        expect(lane.count('TUN_RX')).toBe(lane.count('UDP_TX') + lane.dropsTotal());
        expect(lane.count('UDP_TX')).toBe(lane.addon.udpSends.flatMap(({ datagrams }) => datagrams).length);
      }),
      { numRuns: 150 },
    );
  });
});
