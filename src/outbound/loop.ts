/**
 * Outbound, routing loops: a route that leads to a peer's endpoint through the tunnel itself makes the tunnel seal its own
 * datagrams, longer each time and then in fragments, without end. Such a packet is told by what nobody else sends: UDP to
 * the peer's endpoint, carrying a transport message with the receiver index of the keypair that would seal it.
 */
import type { PeerHistory } from '../history/peer-history.ts';
import { ENDPOINT } from '../native/layout.ts';
import { IPV4, IPV6, PROTOCOL, UDP } from '../packet/ip-header.ts';
import type { LanePeer } from '../tables/peers.ts';

const FRAGMENT_OFFSET_MASK = 0x1fff;
/** IPv6 fragment header (RFC 8200, 4.5): next header, reserved, offset and flags (the offset in the upper 13 bits), id. */
const FRAGMENT6 = { NEXT_HEADER: 0, OFFSET: 2, OFFSET_MASK: 0xfff8, LENGTH: 8 } as const;
const PROTOCOL_FRAGMENT6 = 44;
const DESTINATION_PORT = 2;
/** Of a transport message: type with its reserved bytes, and receiver index, both little-endian. */
const MESSAGE = { TYPE: 0, RECEIVER: 4, LENGTH_MIN: 8, TRANSPORT: 4 } as const;

/** Whether the IP packet at `ip`, whose version and length were checked, is a datagram of ours to this peer. */
export function isOwnDatagram(view: DataView, ip: number, peer: LanePeer): boolean {
  if (isDatagramTo(view, ip, peer, peer.endpoint, 0)) return true;
  return peer.history !== null && peer.history.paths.paths.length > 0 && isOnPath(view, ip, peer, peer.history);
}

/** Whether it goes to one of the peer's paths. */
function isOnPath(view: DataView, ip: number, peer: LanePeer, { paths, endpoints }: PeerHistory): boolean {
  for (const { path } of paths.paths) if (isDatagramTo(view, ip, peer, endpoints, path * ENDPOINT.WORDS)) return true;
  return false;
}

/** As `isOwnDatagram`, for the ENDPOINT record that starts at a word. */
function isDatagramTo(view: DataView, ip: number, peer: LanePeer, endpoints: Int32Array, at: number): boolean {
  const isIpv4 = view.getUint8(ip) >>> 4 === 4;
  // The last word of the address differs for nearly all packets; words hold bytes as on the wire.
  const last = isIpv4 ? view.getInt32(ip + IPV4.DESTINATION, true) : view.getInt32(ip + IPV6.DESTINATION + 12, true);
  if (last !== endpoints[at + (isIpv4 ? ENDPOINT.ADDRESS : ENDPOINT.ADDRESS + 3)]) return false;
  if (endpoints[at + ENDPOINT.FAMILY] !== (isIpv4 ? 4 : 6)) return false;
  const udp = isIpv4 ? udpOfIpv4(view, ip) : udpOfIpv6(view, ip, endpoints, at);
  return udp !== -1 && isMessageTo(view, udp, peer, endpoints[at + ENDPOINT.PORT]);
}

/** Offset of the UDP header, or -1 if there is none or its message does not begin in this packet. */
function udpOfIpv4(view: DataView, ip: number): number {
  if (view.getUint8(ip + IPV4.PROTOCOL) !== PROTOCOL.UDP) return -1;
  if ((view.getUint16(ip + IPV4.FRAGMENT) & FRAGMENT_OFFSET_MASK) !== 0) return -1;
  const udp = ip + (view.getUint8(ip) & 15) * 4;
  return ip + view.getUint16(ip + IPV4.TOTAL_LENGTH) < udp + UDP.HEADER_LENGTH + MESSAGE.LENGTH_MIN ? -1 : udp;
}

/** As `udpOfIpv4`, where the address' last word is known to be the endpoint's. */
function udpOfIpv6(view: DataView, ip: number, endpoints: Int32Array, at: number): number {
  for (let word = 0; word < 3; word += 1)
    if (view.getInt32(ip + IPV6.DESTINATION + 4 * word, true) !== endpoints[at + ENDPOINT.ADDRESS + word]) return -1;
  let next = view.getUint8(ip + IPV6.NEXT_HEADER);
  let udp = ip + IPV6.HEADER_LENGTH;
  const end = udp + view.getUint16(ip + IPV6.PAYLOAD_LENGTH);
  if (next === PROTOCOL_FRAGMENT6 && end >= udp + FRAGMENT6.LENGTH) {
    if ((view.getUint16(udp + FRAGMENT6.OFFSET) & FRAGMENT6.OFFSET_MASK) !== 0) return -1;
    next = view.getUint8(udp + FRAGMENT6.NEXT_HEADER);
    udp += FRAGMENT6.LENGTH;
  }
  return next !== PROTOCOL.UDP || end < udp + UDP.HEADER_LENGTH + MESSAGE.LENGTH_MIN ? -1 : udp;
}

function isMessageTo(view: DataView, udp: number, { current }: LanePeer, port: number): boolean {
  const message = udp + UDP.HEADER_LENGTH;
  return (
    current !== null &&
    view.getUint16(udp + DESTINATION_PORT) === port &&
    view.getUint32(message + MESSAGE.TYPE, true) === MESSAGE.TRANSPORT &&
    view.getInt32(message + MESSAGE.RECEIVER, true) === (current.remoteIndex | 0)
  );
}
