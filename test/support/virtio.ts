/** Packets as a TUN with offloads moves them: a virtio header (struct virtio_net_hdr, 10 bytes) and the packet. */
import {
  concat,
  encodeIp,
  encodeTcp,
  encodeUdp,
  ipHeaderLength,
  type Packet,
  pseudoHeaderSum,
  TCP_PROTOCOL,
  UDP_PROTOCOL,
} from '../reference/ip.ts';

export interface VirtioFields {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

export const NO_OFFLOAD: VirtioFields = {
  flags: 0,
  gsoType: 0,
  headerLength: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

export function encodeVirtio(fields: VirtioFields): Uint8Array {
  const view = new DataView(new ArrayBuffer(10));
  view.setUint8(0, fields.flags);
  view.setUint8(1, fields.gsoType);
  view.setUint16(2, fields.headerLength, true);
  view.setUint16(4, fields.gsoSize, true);
  view.setUint16(6, fields.checksumStart, true);
  view.setUint16(8, fields.checksumOffset, true);
  return new Uint8Array(view.buffer);
}

export function decodeVirtio(bytes: Uint8Array): VirtioFields {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 10);
  return {
    flags: view.getUint8(0),
    gsoType: view.getUint8(1),
    headerLength: view.getUint16(2, true),
    gsoSize: view.getUint16(4, true),
    checksumStart: view.getUint16(6, true),
    checksumOffset: view.getUint16(8, true),
  };
}

/** A single packet with all checksums complete. */
export function plainFromTun(packet: Uint8Array): Uint8Array {
  return concat([encodeVirtio(NO_OFFLOAD), packet]);
}

/** A single packet whose TCP or UDP checksum is left to us: its field holds the pseudo header's sum (NEEDS_CSUM). */
export function unsummedFromTun(packet: Packet): Uint8Array {
  const { protocol, field } = transportOf(packet);
  const virtio = { ...NO_OFFLOAD, flags: 1, checksumStart: ipHeaderLength(packet.ip), checksumOffset: field };
  return concat([encodeVirtio(virtio), encodeIp(packet.ip, protocol, halfSummed(packet))]);
}

/** A super-packet of `gsoSize` bytes of payload per segment. `headerLength` is wrong on purpose: it is not to be used. */
export function superFromTun(packet: Packet, gsoSize: number): Uint8Array {
  const { protocol, field } = transportOf(packet);
  const tcpType =
    (packet.ip.version === 4 ? 1 : 4) | (packet.kind === 'tcp' && (packet.tcp.flags & 0x80) !== 0 ? 0x80 : 0);
  const virtio = {
    flags: 1,
    gsoType: packet.kind === 'tcp' ? tcpType : 5,
    headerLength: 12_345,
    gsoSize,
    checksumStart: ipHeaderLength(packet.ip),
    checksumOffset: field,
  };
  return concat([encodeVirtio(virtio), encodeIp(packet.ip, protocol, halfSummed(packet))]);
}

function transportOf(packet: Packet): { protocol: number; field: number } {
  return packet.kind === 'tcp' ? { protocol: TCP_PROTOCOL, field: 16 } : { protocol: UDP_PROTOCOL, field: 6 };
}

function halfSummed(packet: Packet): Uint8Array {
  return packet.kind === 'tcp'
    ? encodeTcp(
        packet,
        pseudoHeaderSum(packet.ip, TCP_PROTOCOL, 20 + packet.tcp.options.length + packet.payload.length),
      )
    : encodeUdp(packet, pseudoHeaderSum(packet.ip, UDP_PROTOCOL, 8 + packet.payload.length));
}
