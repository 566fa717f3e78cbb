/** Super-packets that the TUN refuses: their packets go one by one, as they came, and the kind is left out for a while. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { Coalescer } from '../../src/inbound/coalesce.ts';
import { onesSum } from '../reference/internet-checksum.ts';
import { encodePacket, type IpHeader } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader } from '../support/arbitrary-packets.ts';
import type { TunWrite } from '../support/fake-addon.ts';
import { FakeLane, padded } from '../support/fake-lane.ts';

const EINVAL = 22;
const ENOBUFS = 105;
const PSH_ACK = 0x18;
const ACK = 0x10;

interface Flow {
  readonly kind: 'tcp' | 'udp';
  readonly version: 4 | 6;
  readonly packets: number;
  /** Of each packet but the last. */
  readonly payload: number;
  readonly last: number;
  readonly optionBytes: number;
}

const flow: fc.Arbitrary<Flow> = fc
  .record({
    kind: fc.constantFrom('tcp' as const, 'udp' as const),
    version: fc.constantFrom(4 as const, 6 as const),
    packets: fc.integer({ min: 1, max: 30 }),
    payload: fc.integer({ min: 1, max: 300 }),
    last: fc.integer({ min: 1, max: 300 }),
    optionBytes: fc.constantFrom(0, 12),
  })
  .map((one) => ({ ...one, last: Math.min(one.last, one.payload) }));

/** The packets of a flow, as a sender makes them; the last has PSH. */
function packetsOf({ kind, version, packets, payload, last, optionBytes }: Flow, number: number): Uint8Array[] {
  return Array.from({ length: packets }, (_, index) => {
    const base: IpHeader = version === 4 ? ipv4Header(number, 9) : ipv6Header(number, 9);
    const ip = { ...base, id: version === 4 ? index : 0 };
    const isLast = index === packets - 1;
    const bytes = bytesFrom(number * 1_000 + index, isLast ? last : payload);
    if (kind === 'udp') return encodePacket({ kind, ip, sourcePort: number, destinationPort: 53, payload: bytes });
    const tcp = tcpHeader({
      sequence: 1_000 + index * payload,
      flags: isLast ? PSH_ACK : ACK,
      options: new Uint8Array(optionBytes).fill(1),
    });
    return encodePacket({ kind, ip, tcp, payload: bytes });
  });
}

let lane: FakeLane;
let coalescer: Coalescer;

beforeEach(() => {
  lane = new FakeLane({ udpSuperPackets: true });
  coalescer = new Coalescer(lane.context);
});

function take(packets: readonly Uint8Array[]): TunWrite[] {
  lane.addon.tunWrites.length = 0;
  let at = lane.arena.udpIn;
  for (const packet of packets) {
    const plaintext = padded(packet);
    lane.arena.bytes.set(plaintext, at + 16);
    const sum = onesSum(plaintext);
    if (!coalescer.continues(0, at + 16, plaintext.length, sum)) coalescer.add(0, at + 16, packet.length, sum);
    at += 16 + plaintext.length + 16;
  }
  coalescer.flush();
  return [...lane.addon.tunWrites];
}

const refuseSupers = ({ packets }: TunWrite): number => (packets > 1 ? EINVAL : 0);
const bulk = (kind: 'tcp' | 'udp', version: 4 | 6, number = 1): Uint8Array[] =>
  packetsOf({ kind, version, packets: 8, payload: 101, last: 50, optionBytes: 0 }, number);
const shapes = (writes: readonly TunWrite[]): number[] => writes.map(({ packets }) => packets);

describe('a super-packet that the TUN refuses', () => {
  it('is written packet by packet, byte for byte as they came', () => {
    fc.assert(
      fc.property(fc.array(flow, { minLength: 1, maxLength: 6 }), (flows) => {
        lane = new FakeLane({ udpSuperPackets: true });
        coalescer = new Coalescer(lane.context);
        lane.addon.writeErrno = refuseSupers;
        const packets = flows.map((one, number) => packetsOf(one, number));
        const written = take(packets.flat());
        expect(lane.drops()).toEqual({});
        expect(lane.count('TUN_TX')).toBe(packets.flat().length);
        expect(lane.count('TUN_TX_BYTES')).toBe(packets.flat().reduce((sum, { length }) => sum + length, 0));
        const hex = written.map(({ packet }) => Buffer.from(packet).toString('hex'));
        expect(written.every(({ virtio }) => virtio.every((byte) => byte === 0))).toBe(true);
        for (const own of packets) {
          const wanted = own.map((packet) => Buffer.from(packet).toString('hex'));
          expect(hex.filter((bytes) => wanted.includes(bytes))).toEqual(wanted);
        }
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ['tcp', 4, 'tcp4'],
    ['tcp', 6, 'tcp6'],
    ['udp', 4, 'udp'],
    ['udp', 6, 'udp'],
  ] as const)('switches its kind off, and no other: %s over IPv%i', (kind, version, name) => {
    lane.addon.writeErrno = refuseSupers;
    take(bulk(kind, version));
    const offUntilMs = lane.addon.nowMs + 60_000;
    expect(lane.events).toEqual([{ type: 'superPackets', kind: name, offUntilMs }]);
    lane.addon.writeErrno = () => 0;
    expect(shapes(take(bulk(kind, version)))).toEqual(new Array(8).fill(1));
    expect(shapes(take(bulk(kind === 'tcp' ? 'udp' : 'tcp', version)))).toEqual([8]);
  });

  it('is tried again after a minute, then after two; what is taken again is told', () => {
    lane.addon.writeErrno = refuseSupers;
    take(bulk('tcp', 4));
    lane.addon.nowMs += 60_000;
    take(bulk('tcp', 6).slice(0, 1));
    take(bulk('tcp', 4));
    const twiceMs = lane.addon.nowMs + 120_000;
    expect(lane.events.slice(1)).toEqual([
      { type: 'superPackets', kind: 'tcp4', offUntilMs: 0 },
      { type: 'superPackets', kind: 'tcp4', offUntilMs: twiceMs },
    ]);
    lane.addon.writeErrno = () => 0;
    lane.addon.nowMs += 120_000;
    take(bulk('tcp', 6).slice(0, 1));
    expect(shapes(take(bulk('tcp', 4)))).toEqual([8]);
    expect(lane.events.at(-1)).toEqual({ type: 'superPackets', kind: 'tcp4', offUntilMs: 0 });
  });

  it('whose packets are refused as well is dropped, each for its own reason, and its kind stays', () => {
    const errnos = [EINVAL, ...new Array<number>(7).fill(EINVAL), ENOBUFS];
    lane.addon.writeErrno = () => errnos.shift() ?? 0;
    take(bulk('tcp', 4));
    expect(lane.drops()).toEqual({ IN_TUN_REFUSED: 7, IN_TUN_FULL: 1 });
    expect(lane.events).toEqual([]);
    expect(shapes(take(bulk('tcp', 4)))).toEqual([8]);
  });

  it('for another reason is not repeated', () => {
    lane.addon.writeErrno = ({ packets }) => (packets > 1 ? ENOBUFS : 0);
    expect(take(bulk('udp', 4))).toEqual([]);
    expect(lane.drops()).toEqual({ IN_TUN_FULL: 8 });
  });

  it('does not let packets of its flow overtake each other in the batches that follow', () => {
    lane.addon.writeErrno = refuseSupers;
    const [first, second] = [bulk('tcp', 4), bulk('tcp', 4, 2)];
    const written = [...take([...first, ...second]), ...take(first)];
    const own = written
      .filter(({ packet }) => packet[15] === 1)
      .map(({ packet }) => Buffer.from(packet).toString('hex'));
    expect(own).toEqual([...first, ...first].map((packet) => Buffer.from(packet).toString('hex')));
  });
});
