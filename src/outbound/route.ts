/**
 * Outbound, cryptokey routing: the destination of an inner packet picks the peer by its allowed IPs. Once per packet or
 * super-packet, before it is split.
 */
import type { LaneContext } from '../lane-context.ts';
import { IPV4, IPV6 } from '../packet/ip-header.ts';
import { lookupIpv4, lookupIpv6, NO_PEER } from '../tables/allowed-ips.ts';
import type { LanePeer } from '../tables/peers.ts';

/** The peer for the IP packet at `ip`, whose version and length were checked; null if no prefix holds its destination. */
export function routePacket(lane: LaneContext, ip: number): LanePeer | null {
  const view = lane.arena.view;
  const isIpv4 = view.getUint8(ip) >>> 4 === 4;
  const peer = isIpv4
    ? lookupIpv4(lane.ipv4Routes, view.getInt32(ip + IPV4.DESTINATION))
    : lookupIpv6(
        lane.ipv6Routes,
        view.getInt32(ip + IPV6.DESTINATION),
        view.getInt32(ip + IPV6.DESTINATION + 4),
        view.getInt32(ip + IPV6.DESTINATION + 8),
        view.getInt32(ip + IPV6.DESTINATION + 12),
      );
  return peer === NO_PEER ? null : (lane.peers[peer] ?? null);
}
