/**
 * The outer header of data says of congestion what the inner one says (RFC 6040, section 4.1), and nothing else: which
 * traffic class each datagram group leaves with.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { OutboundPath } from '../../src/outbound/read.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { encodePacket, type Packet } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader } from '../support/arbitrary-packets.ts';
import { FakeLane } from '../support/fake-lane.ts';
import { plainFromTun, superFromTun } from '../support/virtio.ts';

const EINVAL = 22;
const [ECT_1, ECT_0, CE] = [1, 2, 3];
/** No control message: the socket's own class, 0. */
const NONE = -1;

let lane: FakeLane;
let peer: LanePeer;
let path: OutboundPath;

beforeEach(() => {
  lane = new FakeLane({ mtu: 1_420 });
  peer = lane.addReadyPeer(0);
  lane.routeAllTo(0);
  path = new OutboundPath(lane.context, 1_500);
});

function udp(version: 4 | 6, trafficClass: number): Packet {
  const ip = { ...(version === 4 ? ipv4Header(9, 0) : ipv6Header(9, 0)), trafficClass };
  return { kind: 'udp', ip, sourcePort: 1, destinationPort: 2, payload: bytesFrom(1, 100) };
}

/** Reads single packets of these classes in one turn. */
function read(version: 4 | 6, classes: readonly number[]): void {
  lane.addon.tunQueue.push(...classes.map((each) => plainFromTun(encodePacket(udp(version, each)))));
  path.turn();
}

/** Traffic class and number of datagrams of each group that left. */
function groups(): [trafficClass: number, datagrams: number][] {
  return lane.addon.udpSends.map(({ trafficClass, datagrams }) => [trafficClass, datagrams.length]);
}

describe('A datagram group', () => {
  it.each([4, 6] as const)('ends where the codepoint changes, and has no DSCP (IPv%i inside)', (version) => {
    read(version, [0xb8, 0, 0xb8 | ECT_0, ECT_0, ECT_1, CE, CE, 0]);
    expect(groups()).toEqual([
      [NONE, 2],
      [ECT_0, 2],
      [ECT_1, 1],
      [CE, 2],
      [NONE, 1],
    ]);
  });

  it.each([4, 6] as const)(
    'of a super-packet has its codepoint, however many batches it needs (IPv%i inside)',
    (version) => {
      const ip = { ...(version === 4 ? ipv4Header(9, 0) : ipv6Header(9, 0)), trafficClass: ECT_1 };
      const packet = { kind: 'tcp', ip, tcp: tcpHeader(), payload: bytesFrom(1, 60_000) } as const;
      // 1,200 segments are more than a batch holds.
      lane.addon.tunQueue.push(superFromTun(packet, 50));
      path.turn();
      expect(groups().reduce((sum, [, datagrams]) => sum + datagrams, 0)).toBe(1_200);
      expect(new Set(groups().map(([trafficClass]) => trafficClass))).toEqual(new Set([ECT_1]));
    },
  );

  it('keeps its class where it is sent again datagram by datagram', () => {
    lane.addon.sendErrno = ({ segmentLength }) => (segmentLength > 0 ? EINVAL : 0);
    read(4, [ECT_0, ECT_0, ECT_0]);
    expect(groups()).toEqual([
      [ECT_0, 1],
      [ECT_0, 1],
      [ECT_0, 1],
    ]);
  });

  it('of packets that waited for a keypair has their codepoint', () => {
    const { current } = peer;
    peer.current = null;
    read(4, [0, ECT_0, ECT_0]);
    read(6, [CE, 0]);
    peer.current = current;
    expect(path.release(peer)).toBe(true);
    expect(groups()).toEqual([
      [NONE, 1],
      [ECT_0, 2],
      [CE, 1],
      [NONE, 1],
    ]);
    expect(peer.stagedCount).toBe(0);
  });

  it('with nothing of a sender inside has none, whatever left before', () => {
    read(4, [CE]);
    path.keepalive(peer);
    path.sendControl(peer, [[new Uint8Array(8)]]);
    expect(groups()).toEqual([
      [CE, 1],
      [NONE, 1],
      [NONE, 1],
    ]);
  });
});
