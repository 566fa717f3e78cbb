/**
 * Reads writes to the TUN as the kernel would: a super-packet is checked against its virtio header and cut again into
 * the packets that it stands for, checksums included.
 */
import { sumsToZero } from '../reference/internet-checksum.ts';
import {
  decodeTcpPacket,
  encodePacket,
  ipHeaderLength,
  pseudoHeaderSum,
  TCP_PROTOCOL,
  type TcpPacket,
} from '../reference/ip.ts';
import { splitSuperPacket } from '../reference/split.ts';
import type { TunWrite } from './fake-addon.ts';
import { decodeVirtio, NO_OFFLOAD, type VirtioFields } from './virtio.ts';

/** The packets of a write. @throws Error where the kernel would refuse it or build something else */
export function packetsOf({ virtio, packet }: TunWrite): Uint8Array[] {
  const fields = decodeVirtio(virtio);
  if (fields.gsoType === 0) {
    expectEqual('virtio header', fields, NO_OFFLOAD);
    return [packet];
  }
  const tcp = decodeTcpPacket(packet);
  expectSuperPacket(packet, tcp, fields);
  return splitSuperPacket(tcp, fields.gsoSize).map(encodePacket);
}

/** IPv4 packets without the id and the header checksum that covers it. */
export function withoutId(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  if (copy[0] >> 4 === 4) copy.fill(0, 4, 6).fill(0, 10, 12);
  return copy;
}

function expectSuperPacket(packet: Uint8Array, { ip, tcp, payload }: TcpPacket, fields: VirtioFields): void {
  const transport = ipHeaderLength(ip);
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const headerLength = transport + 20 + tcp.options.length;
  expectEqual('virtio header', fields, {
    flags: 1,
    gsoType: ip.version === 4 ? 1 : 4,
    headerLength,
    gsoSize: fields.gsoSize,
    checksumStart: transport,
    checksumOffset: 16,
  });
  expectEqual('length field', ip.version === 4 ? view.getUint16(2) : 40 + view.getUint16(4), packet.length);
  if (ip.version === 4) expectEqual('IPv4 checksum', sumsToZero(packet.slice(0, transport)), true);
  const sum = pseudoHeaderSum(ip, TCP_PROTOCOL, packet.length - transport);
  expectEqual('TCP checksum field (the pseudo header)', view.getUint16(transport + 16), sum);
  expectEqual('more than one segment', fields.gsoSize > 0 && fields.gsoSize < payload.length, true);
}

function expectEqual(what: string, found: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${what}: expected ${right}, got ${left}`);
}
