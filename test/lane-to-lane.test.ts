/**
 * Two lanes back to back: what the TUN of one brings comes out of the TUN of the other. Datagram groups are received as
 * GRO may hand them over; some are lost, doubled or come late.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InboundPath } from '../src/inbound/receive.ts';
import { OutboundPath } from '../src/outbound/read.ts';
import { encodePacket, type IpHeader, type Packet } from './reference/ip.ts';
import { splitSuperPacket } from './reference/split.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader } from './support/arbitrary-packets.ts';
import { endpointOf, FakeLane } from './support/fake-lane.ts';
import { openGate } from './support/handshake-gate.ts';
import { packetsOf, withoutId } from './support/tun-writes.ts';
import { superFromTun, unsummedFromTun } from './support/virtio.ts';

/** What happens to one datagram group on its way. */
type Fate = 'arrives' | 'is lost' | 'arrives twice' | 'arrives late';

interface Sender {
  readonly lane: FakeLane;
  readonly path: OutboundPath;
}

interface Receiver {
  readonly lane: FakeLane;
  readonly path: InboundPath;
}

/** A sending and a receiving lane with one keypair between them. */
function openPair(udpSuperPackets = false): { sender: Sender; receiver: Receiver } {
  const [out, into] = [new FakeLane(), new FakeLane({ udpSuperPackets })];
  const peer = out.addPeer(0);
  peer.current = out.addKeypair(peer, { id: 0, remoteIndex: 77 });
  into.addKeypair(into.addPeer(0), { id: 0, localIndex: 77, initiator: false });
  for (const lane of [out, into]) lane.routeAllTo(0);
  return {
    sender: { lane: out, path: new OutboundPath(out.context, 1_500) },
    receiver: { lane: into, path: new InboundPath(into.context, openGate(into)) },
  };
}

function readAll({ lane, path }: Sender, reads: readonly Uint8Array[]): void {
  lane.addon.tunQueue.push(...reads);
  while (path.turn() > 0);
}

/** Carries what was sent to the receiver; returns the datagrams of the groups that were not lost. */
function carry(sender: Sender, receiver: Receiver, fates: readonly Fate[]): void {
  const late: (readonly Uint8Array[])[] = [];
  for (const [index, { datagrams }] of sender.lane.addon.udpSends.entries()) {
    const fate = fates[index % fates.length];
    if (fate === 'arrives late') late.push(datagrams);
    if (fate === 'arrives' || fate === 'arrives twice') receiver.lane.arrive(datagrams, endpointOf(0));
    if (fate === 'arrives twice') receiver.lane.arrive(datagrams, endpointOf(0));
  }
  for (const datagrams of late) receiver.lane.arrive(datagrams, endpointOf(0));
  while (receiver.path.turn(4) > 0);
}

interface Bulk {
  readonly packet: Packet;
  /** 0 for a single packet. */
  readonly gsoSize: number;
}

const bulks: fc.Arbitrary<Bulk> = fc
  .record({
    isTcp: fc.boolean(),
    isIpv4: fc.boolean(),
    length: fc.integer({ min: 1, max: 12_000 }),
    gsoSize: fc.constantFrom(0, 100, 1_348, 1_372),
    flags: fc.constantFrom(0x10, 0x18, 0x11, 0x90),
    seed: fc.nat(),
  })
  .map(({ isTcp, isIpv4, length, gsoSize, flags, seed }) => {
    const ip: IpHeader = { ...(isIpv4 ? ipv4Header(1, 2) : ipv6Header(1, 2)), id: seed % 65_536, dontFragment: false };
    const payload = bytesFrom(seed, gsoSize === 0 ? Math.min(length, 1_300) : length);
    const tcp = tcpHeader({ flags, sequence: seed });
    return isTcp
      ? { packet: { kind: 'tcp', ip, tcp, payload }, gsoSize }
      : { packet: { kind: 'udp', ip, sourcePort: 1, destinationPort: 2, payload }, gsoSize };
  });

function readOf({ packet, gsoSize }: Bulk): Uint8Array {
  return gsoSize === 0 ? unsummedFromTun(packet) : superFromTun(packet, gsoSize);
}

function packetsOfBulk({ packet, gsoSize }: Bulk): Uint8Array[] {
  return (gsoSize === 0 ? [packet] : splitSuperPacket(packet, gsoSize)).map(encodePacket);
}

function flowOf(packet: Uint8Array): string {
  return packet[0] >> 4 === 4 ? `4/${packet[9]}` : `6/${packet[6]}`;
}

function byFlow(packets: readonly Uint8Array[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const packet of packets) {
    const flow = flows.get(flowOf(packet)) ?? [];
    flow.push(Buffer.from(packet).toString('hex'));
    flows.set(flowOf(packet), flow);
  }
  return flows;
}

describe('two lanes back to back', () => {
  it('carry every packet, flow by flow in order, byte for byte', () => {
    fc.assert(
      fc.property(fc.array(bulks, { maxLength: 12 }), fc.boolean(), (all, udpSuperPackets) => {
        const { sender, receiver } = openPair(udpSuperPackets);
        readAll(sender, all.map(readOf));
        carry(sender, receiver, ['arrives']);
        const written = receiver.lane.addon.tunWrites.flatMap(packetsOf);
        expect(byFlow(written)).toEqual(byFlow(all.flatMap(packetsOfBulk)));
        expect(sender.lane.drops()).toEqual({});
        expect(receiver.lane.drops()).toEqual({});
        expect(receiver.lane.count('TUN_TX_BYTES')).toBe(sender.lane.count('TUN_RX_BYTES'));
      }),
      { numRuns: 25 },
    );
  });

  it('deliver once what arrives twice or late, and all that arrives', () => {
    const fate = fc.constantFrom<Fate>('arrives', 'is lost', 'arrives twice', 'arrives late');
    fc.assert(
      fc.property(fc.array(bulks, { maxLength: 8 }), fc.array(fate, { minLength: 1, maxLength: 6 }), (all, fates) => {
        const { sender, receiver } = openPair();
        readAll(sender, all.map(readOf));
        carry(sender, receiver, fates);
        const sends = sender.lane.addon.udpSends;
        const sum = (wanted: readonly Fate[]): number =>
          sends.reduce(
            (total, send, at) => total + (wanted.includes(fates[at % fates.length]) ? send.datagrams.length : 0),
            0,
          );
        expect(receiver.lane.count('UDP_RX_UNIQ')).toBe(sum(['arrives', 'arrives twice', 'arrives late']));
        expect(receiver.lane.drop('IN_REPLAY')).toBe(sum(['arrives twice']));
        expect(receiver.lane.dropsTotal()).toBe(sum(['arrives twice']));
        expect(receiver.lane.count('TUN_TX')).toBe(receiver.lane.count('UDP_RX_UNIQ'));
        const inner = new Set(all.flatMap(packetsOfBulk).map((packet) => Buffer.from(packet).toString('hex')));
        const written = receiver.lane.addon.tunWrites.flatMap(packetsOf);
        expect(written.filter((packet) => !inner.has(Buffer.from(packet).toString('hex')))).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it('turn a TCP super-packet into one of the same bytes: a read there is a write here', () => {
    const { sender, receiver } = openPair();
    const payload = bytesFrom(1, 40 * 1_348);
    const packet = { kind: 'tcp', ip: ipv4Header(1, 2), tcp: tcpHeader({ flags: 0x18 }), payload } as const;
    readAll(sender, [superFromTun(packet, 1_348)]);
    carry(sender, receiver, ['arrives']);
    const [write] = receiver.lane.addon.tunWrites;
    expect(receiver.lane.addon.tunWrites.length).toBe(1);
    expect(write.packets).toBe(40);
    // The TCP checksum is again that of the pseudo header, as in the super-packet that was read.
    const read = superFromTun(packet, 1_348).slice(10);
    expect(Buffer.compare(withoutId(write.packet), withoutId(read))).toBe(0);
  });
});
