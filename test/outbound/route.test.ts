/** Cryptokey routing of packets as they come from the TUN. */
import { describe, expect, it } from 'vitest';
import { routePacket } from '../../src/outbound/route.ts';
import { encodePacket, type IpHeader } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, ipv6Header } from '../support/arbitrary-packets.ts';
import { FakeLane } from '../support/fake-lane.ts';

describe('a packet from the TUN', () => {
  const lane = new FakeLane();
  const [first, second] = [lane.addPeer(0), lane.addPeer(1)];

  function route(ip: IpHeader): unknown {
    const packet = encodePacket({ kind: 'udp', ip, sourcePort: 1, destinationPort: 2, payload: bytesFrom(1, 10) });
    lane.arena.bytes.set(packet, lane.arena.tunIn + 16);
    return routePacket(lane.context, lane.arena.tunIn + 16);
  }

  it('goes to the peer whose allowed IPs hold its destination most closely, in either family', () => {
    lane.route([
      { address: Uint8Array.of(10, 0, 0, 0), length: 8, peer: 0 },
      { address: Uint8Array.of(10, 0, 1, 128), length: 25, peer: 1 },
      { address: ipv6Header(0, 0).destination, length: 64, peer: 0 },
      { address: ipv6Header(0, 9).destination, length: 128, peer: 1 },
    ]);
    expect(route(ipv4Header(200, 127))).toBe(first);
    expect(route(ipv4Header(200, 128))).toBe(second);
    expect(route(ipv6Header(9, 8))).toBe(first);
    expect(route(ipv6Header(8, 9))).toBe(second);
  });

  it('goes nowhere without a prefix, or to a peer that is gone', () => {
    lane.route([{ address: Uint8Array.of(10, 0, 1, 5), length: 32, peer: 40 }]);
    expect(route(ipv4Header(1, 5))).toBeNull();
    expect(route(ipv4Header(1, 6))).toBeNull();
    expect(route(ipv6Header(1, 6))).toBeNull();
  });
});
