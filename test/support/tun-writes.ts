/**
 * Reads writes to the TUN as the kernel would: a super-packet is checked against its virtio header and cut again into
 * the packets that it stands for, checksums included.
 */
import { sumsToZero } from '../reference/internet-checksum.ts';
import {
  decodeTcpPacket,
  decodeUdpPacket,
  encodePacket,
  ipHeaderLength,
  type Packet,
  pseudoHeaderSum,
  TCP_PROTOCOL,
  UDP_PROTOCOL,
} from '../reference/ip.ts';
import { splitSuperPacket } from '../reference/split.ts';
import type { TunWrite } from './fake-addon.ts';
import { decodeVirtio, NO_OFFLOAD, type VirtioFields } from './virtio.ts';

const UDP_GSO = 5;

/** The packets of a write. @throws Error where the kernel would refuse it or build something else */
export function packetsOf({ virtio, packet }: TunWrite): Uint8Array[] {
  const fields = decodeVirtio(virtio);
  if (fields.gsoType === 0) {
    expectEqual('virtio header', fields, NO_OFFLOAD);
    return [packet];
  }
  const whole = fields.gsoType === UDP_GSO ? decodeUdpPacket(packet) : decodeTcpPacket(packet);
  expectSuperPacket(packet, whole, fields);
  return splitSuperPacket(whole, fields.gsoSize).map(encodePacket);
}

/** IPv4 packets without the id and the header checksum that covers it. */
export function withoutId(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  if (copy[0] >> 4 === 4) copy.fill(0, 4, 6).fill(0, 10, 12);
  return copy;
}

function expectSuperPacket(packet: Uint8Array, whole: Packet, fields: VirtioFields): void {
  const { ip, payload } = whole;
  const isTcp = whole.kind === 'tcp';
  const transport = ipHeaderLength(ip);
  const checksumOffset = isTcp ? 16 : 6;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const headerLength = packet.length - payload.length;
  expectEqual('virtio header', fields, {
    flags: 1,
    gsoType: isTcp ? (ip.version === 4 ? 1 : 4) : UDP_GSO,
    headerLength,
    gsoSize: fields.gsoSize,
    checksumStart: transport,
    checksumOffset,
  });
  expectEqual('length field', ip.version === 4 ? view.getUint16(2) : 40 + view.getUint16(4), packet.length);
  if (ip.version === 4) expectEqual('IPv4 checksum', sumsToZero(packet.slice(0, transport)), true);
  if (!isTcp) expectEqual('UDP length', view.getUint16(transport + 4), packet.length - transport);
  const sum = pseudoHeaderSum(ip, isTcp ? TCP_PROTOCOL : UDP_PROTOCOL, packet.length - transport);
  expectEqual('checksum field (the pseudo header)', view.getUint16(transport + checksumOffset), sum);
  expectEqual('more than one segment', fields.gsoSize > 0 && fields.gsoSize < payload.length, true);
}

function expectEqual(what: string, found: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${what}: expected ${right}, got ${left}`);
}
