/**
 * Super-packets against a slow splitter that shares nothing with the fast one. What is compared are whole packets as
 * they would be sealed: headers, payload, and both checksums, which the fake `seal` fills in as native code does.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SEAL } from '../../src/native/layout.ts';
import { OutboundBatch } from '../../src/outbound/batch.ts';
import { INSPECT, inspect, SuperPacket, splitSegments } from '../../src/outbound/split.ts';
import { LIMIT } from '../../src/packet/arena.ts';
import { sumsToZero } from '../reference/internet-checksum.ts';
import { concat, encodePacket, ipHeaderLength, type Packet } from '../reference/ip.ts';
import { splitSuperPacket } from '../reference/split.ts';
import { anyPackets, bytesFrom, ipv4Header, ipv6Header, tcpHeader, tcpPackets } from '../support/arbitrary-packets.ts';
import { FakeLane } from '../support/fake-lane.ts';
import { plainFromTun, superFromTun, unsummedFromTun } from '../support/virtio.ts';

const VIRTIO_LENGTH = 10;
const lane = new FakeLane();
lane.addon.keys.set(0, new Uint8Array(32));

/** Puts what a TUN read brought where native code would put it, and inspects it. */
function inspected(read: Uint8Array): { packet: SuperPacket; verdict: number } {
  const offset = lane.arena.tunIn + 16 - VIRTIO_LENGTH;
  lane.arena.bytes.set(read, offset);
  const packet = new SuperPacket();
  return { packet, verdict: inspect(packet, lane.arena.view, offset, read.length) };
}

/** All segments of a read, split `chunk` at a time, each as it stands when it is sealed. */
function splitAll(read: Uint8Array, chunk: number = LIMIT.SEALS): Uint8Array[] {
  const { packet, verdict } = inspected(read);
  expect(verdict).toBe(INSPECT.OK);
  const segments: Uint8Array[] = [];
  for (let from = 0; from < packet.segments; from += chunk) {
    const batch = new OutboundBatch(lane.arena);
    splitSegments(packet, batch, lane.arena, from, Math.min(chunk, packet.segments - from));
    segments.push(...sealed(batch));
  }
  return segments;
}

/** Seals a batch without padding, and reads what was sealed. */
function sealed(batch: OutboundBatch): Uint8Array[] {
  const { words, seals, bytes } = lane.arena;
  let out = lane.arena.udpOut;
  const places = Array.from({ length: batch.segments }, (_, segment) => {
    const at = (seals >> 2) + segment * SEAL.WORDS;
    const length = words[at + SEAL.HEAD_LENGTH] + words[at + SEAL.PAYLOAD_LENGTH];
    words[at + SEAL.KEY_SLOT] = 0;
    words[at + SEAL.PADDED_LENGTH] = length;
    words[at + SEAL.OUT_OFFSET] = out;
    const place = { offset: out, length };
    out += length + 16;
    return place;
  });
  lane.addon.seal(lane.context.handle, seals, batch.segments, 0);
  return places.map(({ offset, length }) => bytes.slice(offset, offset + length));
}

/** Payload per segment: often an edge, never so small that one batch cannot hold all. */
function gsoSizes(packet: Packet): fc.Arbitrary<number> {
  const { length } = packet.payload;
  const least = Math.max(1, Math.ceil(length / 200));
  const edges = [least, length - 1, length, length + 1, Math.ceil(length / 2), 65_535].filter((size) => size >= least);
  return fc.oneof(fc.integer({ min: least, max: Math.max(least, length) }), fc.constantFrom(...edges));
}

const superPackets = anyPackets(1, 6_000).chain((packet) =>
  fc.record({ packet: fc.constant(packet), gsoSize: gsoSizes(packet), chunk: fc.integer({ min: 1, max: 300 }) }),
);

function expectSplit(packet: Packet, gsoSize: number, chunk?: number): Uint8Array[] {
  const segments = splitAll(superFromTun(packet, gsoSize), chunk);
  const expected = splitSuperPacket(packet, gsoSize).map(encodePacket);
  expect(segments.length).toBe(expected.length);
  for (const [index, segment] of segments.entries())
    expect(Buffer.compare(segment, expected[index]), `segment ${index} of ${segments.length}`).toBe(0);
  return segments;
}

describe('a super-packet', () => {
  it('is split as a slow splitter does it, however it is cut into batches', () => {
    fc.assert(
      fc.property(superPackets, ({ packet, gsoSize, chunk }) => {
        expectSplit(packet, gsoSize, chunk);
      }),
      { numRuns: 200 },
    );
  });

  it('is split right at full size, in both families and both protocols', () => {
    for (const version of [4, 6] as const) {
      const ip = version === 4 ? ipv4Header(1, 2) : ipv6Header(1, 2);
      const headers = version === 4 ? 20 : 40;
      const tcp = tcpHeader({ options: bytesFrom(3, 12), flags: 0x18 });
      expectSplit({ kind: 'tcp', ip, tcp, payload: bytesFrom(5, 65_535 - headers - 32) }, 1_348);
      const udp = { kind: 'udp', ip, sourcePort: 5, destinationPort: 6 } as const;
      expectSplit({ ...udp, payload: bytesFrom(7, 65_535 - headers - 8) }, 1_392);
    }
  });

  it('has IPv4 ids that count on beyond 65,535', () => {
    const ip = { ...ipv4Header(1, 2), id: 65_534 };
    const segments = expectSplit({ kind: 'tcp', ip, tcp: tcpHeader(), payload: bytesFrom(1, 400) }, 100);
    expect(segments.map((segment) => segment[4] * 256 + segment[5])).toEqual([65_534, 65_535, 0, 1]);
  });

  it('has sequence numbers that go on beyond 2^32', () => {
    const tcp = tcpHeader({ sequence: 0xffff_ff9c });
    const segments = expectSplit({ kind: 'tcp', ip: ipv4Header(1, 2), tcp, payload: bytesFrom(1, 300) }, 100);
    const sequences = segments.map((segment) => new DataView(segment.buffer).getUint32(24));
    expect(sequences).toEqual([0xffff_ff9c, 0, 100]);
  });

  it('keeps CWR for its first segment, PSH and FIN for its last, and all other flags for each', () => {
    const tcp = tcpHeader({ flags: 0xff });
    const segments = expectSplit({ kind: 'tcp', ip: ipv6Header(1, 2), tcp, payload: bytesFrom(1, 300) }, 100);
    const [FIN, PSH, CWR] = [0x01, 0x08, 0x80];
    const flags = segments.map((segment) => segment[40 + 13]);
    expect(flags).toEqual([0xff & ~FIN & ~PSH, 0xff & ~FIN & ~PSH & ~CWR, 0xff & ~CWR]);
  });

  it('of one segment keeps all its flags', () => {
    const tcp = tcpHeader({ flags: 0x99 });
    const segments = expectSplit({ kind: 'tcp', ip: ipv4Header(1, 2), tcp, payload: bytesFrom(1, 100) }, 100);
    expect(segments.map((segment) => segment[33])).toEqual([0x99]);
  });

  it('has checksums in each segment that sum to zero', () => {
    fc.assert(
      fc.property(superPackets, ({ packet, gsoSize }) => {
        for (const segment of splitAll(superFromTun(packet, gsoSize))) {
          const start = ipHeaderLength(packet.ip);
          const length = segment.length - start;
          const pseudo = Uint8Array.from([length >> 8, length, 0, packet.kind === 'tcp' ? 6 : 17]);
          const { source, destination } = packet.ip;
          expect(sumsToZero(concat([source, destination, pseudo, segment.slice(start)]))).toBe(true);
          if (packet.ip.version === 4) expect(sumsToZero(segment.slice(0, start))).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('leaves its payload where the read put it: only headers are written', () => {
    const read = superFromTun(
      { kind: 'tcp', ip: ipv4Header(1, 2), tcp: tcpHeader(), payload: bytesFrom(1, 3_000) },
      1_000,
    );
    const { packet } = inspected(read);
    const batch = new OutboundBatch(lane.arena);
    splitSegments(packet, batch, lane.arena, 0, 3);
    const { words, seals, segmentHeaders, segmentHeadersLength } = lane.arena;
    for (let segment = 0; segment < 3; segment += 1) {
      const at = (seals >> 2) + segment * SEAL.WORDS;
      expect(words[at + SEAL.PAYLOAD_OFFSET]).toBe(packet.ip + 40 + segment * 1_000);
      expect(words[at + SEAL.HEAD_OFFSET]).toBeGreaterThanOrEqual(segmentHeaders);
      expect(words[at + SEAL.HEAD_OFFSET] + 40).toBeLessThanOrEqual(segmentHeaders + segmentHeadersLength);
    }
    expect(Buffer.compare(lane.arena.bytes.slice(packet.ip, packet.ip + read.length - 10), read.slice(10))).toBe(0);
  });
});

describe('a single packet', () => {
  it('passes as it is when its checksum is complete', () => {
    fc.assert(
      fc.property(anyPackets(0, 1_500), (packet) => {
        const bytes = encodePacket(packet);
        expect(splitAll(plainFromTun(bytes)).map((segment) => Buffer.compare(segment, bytes))).toEqual([0]);
      }),
      { numRuns: 50 },
    );
  });

  it('gets the checksum that the kernel left to us', () => {
    fc.assert(
      fc.property(anyPackets(0, 1_500), (packet) => {
        const [segment] = splitAll(unsummedFromTun(packet));
        expect(Buffer.compare(segment, encodePacket(packet))).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('may be as long as IP allows', () => {
    const payload = bytesFrom(1, 65_535 - 40);
    const packet = { kind: 'tcp', ip: ipv4Header(1, 2), tcp: tcpHeader(), payload } as const;
    const [segment] = splitAll(unsummedFromTun(packet));
    expect(Buffer.compare(segment, encodePacket(packet))).toBe(0);
  });

  it('is told from a super-packet by its virtio header, not by its flags', () => {
    fc.assert(
      fc.property(tcpPackets(1, 100), (packet) => {
        const { packet: found } = inspected(unsummedFromTun(packet));
        expect(found.segments).toBe(1);
        expect(found.headerLength).toBe(encodePacket(packet).length);
      }),
      { numRuns: 20 },
    );
  });
});
