/** Slow twin of src/outbound/split.ts: cuts a readable super-packet into readable packets, one after the other. */
import type { Packet, TcpPacket, UdpPacket } from './ip.ts';

const FIN = 0x01;
const PSH = 0x08;
const CWR = 0x80;

/**
 * The packets that a super-packet stands for. Each takes the next `segmentPayload` bytes; IPv4 ids count up, sequence
 * numbers go on; FIN and PSH stay with the last packet, CWR with the first.
 */
export function splitSuperPacket(packet: Packet, segmentPayload: number): Packet[] {
  const packets: Packet[] = [];
  for (let start = 0; start < packet.payload.length; start += segmentPayload) {
    const payload = packet.payload.slice(start, start + segmentPayload);
    const position = packets.length;
    const isLast = start + segmentPayload >= packet.payload.length;
    packets.push(
      packet.kind === 'tcp'
        ? tcpSegment(packet, payload, position, start, isLast)
        : udpSegment(packet, payload, position),
    );
  }
  return packets;
}

function udpSegment(packet: UdpPacket, payload: Uint8Array, position: number): UdpPacket {
  return { ...packet, ip: { ...packet.ip, id: (packet.ip.id + position) % 65_536 }, payload };
}

function tcpSegment(
  packet: TcpPacket,
  payload: Uint8Array,
  position: number,
  start: number,
  isLast: boolean,
): TcpPacket {
  const { ip, tcp } = packet;
  let { flags } = tcp;
  if (!isLast) flags &= ~(FIN | PSH);
  if (position > 0) flags &= ~CWR;
  const sequence = (tcp.sequence + start) % 2 ** 32;
  return { kind: 'tcp', ip: { ...ip, id: (ip.id + position) % 65_536 }, tcp: { ...tcp, sequence, flags }, payload };
}
