/**
 * Congestion that routers noted on datagrams goes on inside (RFC 6040, section 4.2): whole turns of the inbound path, from
 * datagrams with an outer traffic class to writes to the TUN.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { InboundPath } from '../../src/inbound/receive.ts';
import { encodeControlMessage } from '../../src/protocol/control-message.ts';
import { type LanePeer, PEER_CELL } from '../../src/tables/peers.ts';
import { encodePacket, type IpHeader, type Packet } from '../reference/ip.ts';
import { splitSuperPacket } from '../reference/split.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader } from '../support/arbitrary-packets.ts';
import { endpointOf, FakeLane, padded, transportMessage } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';
import { packetsOf } from '../support/tun-writes.ts';

const [NOT_ECT, ECT_1, ECT_0, CE] = [0, 1, 2, 3];
const PAYLOAD = 600;
const FAMILIES = [4, 6] as const;

let lane: FakeLane;
let peer: LanePeer;
let path: InboundPath;
let counter: number;

beforeEach(() => {
  lane = new FakeLane({ udpSuperPackets: true });
  peer = lane.addReadyPeer(0);
  lane.route([
    { address: Uint8Array.of(10, 0, 0, 0), length: 24, peer: 0 },
    { address: ipv6Header(0, 0).source, length: 64, peer: 0 },
  ]);
  path = new InboundPath(lane.context, openGate(lane));
  counter = 0;
});

/** Lets inner packets come in one group of datagrams with an outer traffic class. */
function arrive(plaintexts: readonly Uint8Array[], trafficClass: number): void {
  const messages = plaintexts.map((plaintext) => transportMessage(1_000, counter++, padded(plaintext), 0));
  lane.arrive(messages, endpointOf(0), 4, trafficClass);
}

function headerOf(version: 4 | 6, trafficClass: number): IpHeader {
  return { ...(version === 4 ? ipv4Header(5, 9) : ipv6Header(5, 9)), trafficClass };
}

function udp(version: 4 | 6, trafficClass: number, port = 1): Packet {
  const ip = headerOf(version, trafficClass);
  return { kind: 'udp', ip, sourcePort: port, destinationPort: 2, payload: bytesFrom(port, 64) };
}

/** A TCP segment sequence of one flow. */
function tcp(version: 4 | 6, trafficClass: number, segments: number, first = 0): Packet[] {
  const ip = { ...headerOf(version, trafficClass), id: first };
  const header = tcpHeader({ sequence: 1_000 + first * PAYLOAD });
  return splitSuperPacket({ kind: 'tcp', ip, tcp: header, payload: bytesFrom(7, segments * PAYLOAD) }, PAYLOAD);
}

function marked(packet: Packet, ecn: number): Packet {
  return { ...packet, ip: { ...packet.ip, trafficClass: (packet.ip.trafficClass & 0xfc) | ecn } };
}

function encodeAll(packets: readonly Packet[]): Uint8Array[] {
  return packets.map((packet) => encodePacket(packet));
}

describe.each(FAMILIES)('A marked datagram with IPv%i inside', (version) => {
  // DSCP bits, too, for they are to stay inside and to be left alone outside.
  it.each([
    { inner: NOT_ECT, outer: ECT_0, after: NOT_ECT },
    { inner: NOT_ECT, outer: ECT_1, after: NOT_ECT },
    { inner: ECT_0, outer: NOT_ECT, after: ECT_0 },
    { inner: ECT_0, outer: ECT_1, after: ECT_1 },
    { inner: ECT_0, outer: CE, after: CE },
    { inner: ECT_1, outer: ECT_0, after: ECT_1 },
    { inner: ECT_1, outer: CE, after: CE },
    { inner: CE, outer: NOT_ECT, after: CE },
    { inner: CE, outer: ECT_0, after: CE },
    { inner: CE, outer: ECT_1, after: CE },
    { inner: CE, outer: CE, after: CE },
  ])('lets $inner out as $after where its outer codepoint is $outer', ({ inner, outer, after }) => {
    const packet = udp(version, 0xb8 | inner);
    arrive([encodePacket(packet)], 0x28 | outer);
    path.turn(4);
    expect(lane.addon.tunWrites.map((write) => write.packet)).toEqual([encodePacket(marked(packet, after))]);
    expect(lane.count('CONGESTION_TAKEN')).toBe(after === inner ? 0 : 1);
    expect(lane.drops()).toEqual({});
  });

  it('is dropped and counted where congestion meets a sender that does not know ECN, and still tells that its peer lives', () => {
    arrive(encodeAll([udp(version, 0), udp(version, ECT_0)]), CE);
    path.turn(4);
    expect(lane.drops()).toEqual({ IN_CONGESTION: 1 });
    expect(lane.count('TUN_TX')).toBe(1);
    expect(peer.cells[PEER_CELL.LAST_DATA_RECEIVED_MS]).toBe(lane.addon.nowMs);
  });

  it('of a forbidden source is dropped for that', () => {
    const packet = udp(version, NOT_ECT);
    const source = Uint8Array.from(packet.ip.source, (byte, at) => (at === 0 ? byte ^ 1 : byte));
    arrive([encodePacket({ ...packet, ip: { ...packet.ip, source } })], CE);
    path.turn(4);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 1 });
  });

  it('is taken as it is where the kernel does not tell the class', () => {
    arrive([encodePacket(udp(version, NOT_ECT))], -1);
    arrive([encodePacket(udp(version, ECT_0, 3))], -1);
    path.turn(4);
    expect(lane.addon.tunWrites.map((write) => write.packet)).toEqual(
      encodeAll([udp(version, NOT_ECT), udp(version, ECT_0, 3)]),
    );
  });

  it('of a bulk TCP flow is merged with others of the same mark, and never with those of another', () => {
    const segments = tcp(version, ECT_0, 12);
    const groups = [segments.slice(0, 4), segments.slice(4, 8), segments.slice(8, 12)];
    for (const [index, trafficClass] of [ECT_0, CE, ECT_0].entries()) arrive(encodeAll(groups[index]), trafficClass);
    path.turn(4);
    expect(lane.addon.tunWrites.map(({ packets }) => packets)).toEqual([4, 4, 4]);
    const expected = [...groups[0], ...groups[1].map((packet) => marked(packet, CE)), ...groups[2]];
    expect(lane.addon.tunWrites.flatMap(packetsOf)).toEqual(encodeAll(expected));
    expect(lane.count('CONGESTION_TAKEN')).toBe(4);
  });

  it('of a flow whose datagrams all have ECT(1) is merged as ever', () => {
    const segments = tcp(version, ECT_1, 20);
    arrive(encodeAll(segments), ECT_1);
    path.turn(4);
    expect(lane.addon.tunWrites.map(({ packets }) => packets)).toEqual([20]);
    expect(lane.addon.tunWrites.flatMap(packetsOf)).toEqual(encodeAll(segments));
    expect(lane.count('CONGESTION_TAKEN')).toBe(0);
  });
});

describe('A marked datagram', () => {
  it('with no IP packet inside is what it would be without its mark', () => {
    arrive([encodeControlMessage({ kind: 'ask', round: 7 })], CE);
    arrive([new Uint8Array(0)], CE);
    path.turn(4);
    expect(lane.events.map(({ type }) => type)).toContain('control');
    expect(lane.count('KEEPALIVE_RX')).toBe(1);
    expect(lane.drops()).toEqual({});
  });

  it('that is shorter than an IP header, or than its own length, changes no byte behind it', () => {
    const short = [Uint8Array.of(0x45), Uint8Array.of(0x60, 0x20), encodePacket(udp(4, ECT_0)).slice(0, 16)];
    const long = encodePacket(udp(6, ECT_0)).slice(0, 48);
    for (const plaintext of [...short, long]) {
      const message = transportMessage(1_000, counter++, plaintext, 0);
      lane.arrive([message], endpointOf(0), 4, CE);
    }
    path.turn(4);
    expect(lane.drops()).toEqual({ IN_NOT_IP: 4 });
    expect(lane.addon.tunWrites).toEqual([]);
  });
});
