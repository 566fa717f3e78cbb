/**
 * Packets for the stage bench, as a TUN brings them: virtio header and packet or super-packet. Full TCP super-packets of both IP
 * versions, full UDP super-packets, and single packets of 64 bytes of UDP payload, all of one flow and with checksums to complete.
 */
import { VIRTIO_HEADER_LENGTH } from '../../native/layout.ts';
import { SUPER_PACKET_BYTES_MAX } from '../../packet/arena.ts';
import { FLAG, foldSmallSum, IPV4, IPV6, PROTOCOL, sumWords, TCP, UDP } from '../../packet/ip-header.ts';
import { GSO, writeSuperVirtioHeader } from '../../packet/virtio-header.ts';

export const WORKLOAD_IDS = ['tcp4', 'tcp6', 'udp', 'small'] as const;
export type WorkloadId = (typeof WORKLOAD_IDS)[number];

export interface Workload {
  readonly id: WorkloadId;
  readonly title: string;
  /** Inner packets in each read of the TUN. */
  readonly packetsPerRead: number;
  /** Length of an inner packet, bytes. */
  readonly packetLength: number;
  /** One read: virtio header and packet. The transport checksum field holds the pseudo header's sum. */
  readonly read: Uint8Array;
}

interface Shape {
  readonly title: string;
  readonly version: 4 | 6;
  readonly protocol: number;
  /** Payload of a segment, bytes. */
  readonly payload: number;
  /** 0: as many as a super-packet holds; 1: no super-packet. */
  readonly segments: 0 | 1;
}

/** MTU of the tunnel that the segments are cut for. */
export const STAGE_MTU = 1420;
const TCP_HEADER = 32; // with the timestamp option, as Linux sends it
const PAYLOAD_SEED = 0x9e37;

const SHAPES: Readonly<Record<WorkloadId, Shape>> = {
  tcp4: { title: 'TCP, IPv4', version: 4, protocol: PROTOCOL.TCP, payload: STAGE_MTU - 20 - TCP_HEADER, segments: 0 },
  tcp6: { title: 'TCP, IPv6', version: 6, protocol: PROTOCOL.TCP, payload: STAGE_MTU - 40 - TCP_HEADER, segments: 0 },
  udp: { title: 'UDP in groups', version: 4, protocol: PROTOCOL.UDP, payload: 1350, segments: 0 },
  small: { title: 'UDP, 64 B', version: 4, protocol: PROTOCOL.UDP, payload: 64, segments: 1 },
};

export function makeWorkload(id: WorkloadId): Workload {
  const shape = SHAPES[id];
  const headerLength = headerLengthOf(shape);
  const fitting = Math.floor((65_535 - headerLength) / shape.payload);
  const segments = shape.segments === 1 ? 1 : fitting;
  return {
    id,
    title: shape.title,
    packetsPerRead: segments,
    packetLength: headerLength + shape.payload,
    read: readOf(shape, segments),
  };
}

function headerLengthOf({ version, protocol }: Shape): number {
  return (version === 4 ? IPV4.HEADER_LENGTH_MIN : IPV6.HEADER_LENGTH) + transportLengthOf(protocol);
}

function transportLengthOf(protocol: number): number {
  return protocol === PROTOCOL.TCP ? TCP_HEADER : UDP.HEADER_LENGTH;
}

function readOf(shape: Shape, segments: number): Uint8Array {
  const length = headerLengthOf(shape) + segments * shape.payload;
  const read = new Uint8Array(VIRTIO_HEADER_LENGTH + length);
  const view = new DataView(read.buffer);
  const ip = VIRTIO_HEADER_LENGTH;
  const transport = ip + (shape.version === 4 ? IPV4.HEADER_LENGTH_MIN : IPV6.HEADER_LENGTH);
  for (let i = ip; i < read.length; i += 1) read[i] = (i * PAYLOAD_SEED) >>> 11;
  writeIp(view, ip, shape, length);
  writeTransport(view, transport, shape.protocol, ip + length - transport);
  const checksum = shape.protocol === PROTOCOL.TCP ? TCP.CHECKSUM : UDP.CHECKSUM;
  view.setUint16(transport + checksum, pseudoSum(view, ip, transport, shape, ip + length - transport));
  const kind = shape.protocol === PROTOCOL.UDP ? GSO.UDP : shape.version === 4 ? GSO.TCP4 : GSO.TCP6;
  const [gsoType, gsoSize] = segments === 1 ? [GSO.NONE, 0] : [kind, shape.payload];
  writeSuperVirtioHeader(view, 0, gsoType, headerLengthOf(shape), gsoSize, transport - ip, checksum);
  if (read.length > SUPER_PACKET_BYTES_MAX) throw new RangeError('a workload is longer than a TUN read');
  return read;
}

function writeIp(view: DataView, ip: number, { version, protocol }: Shape, length: number): void {
  const headerLength = version === 4 ? IPV4.HEADER_LENGTH_MIN : IPV6.HEADER_LENGTH;
  for (let at = 0; at < headerLength; at += 1) view.setUint8(ip + at, 0);
  if (version === 4) {
    view.setUint8(ip, 0x45);
    view.setUint16(ip + IPV4.TOTAL_LENGTH, length);
    view.setUint16(ip + IPV4.FRAGMENT, IPV4.DONT_FRAGMENT);
    view.setUint8(ip + IPV4.TTL, 64);
    view.setUint8(ip + IPV4.PROTOCOL, protocol);
    view.setUint32(ip + IPV4.SOURCE, 0x0a4d_0001);
    view.setUint32(ip + IPV4.DESTINATION, 0x0a4d_0002);
    view.setUint16(ip + IPV4.CHECKSUM, ~foldSmallSum(sumWords(view, ip, IPV4.HEADER_LENGTH_MIN)) & 0xffff);
    return;
  }
  view.setUint8(ip, 0x60);
  view.setUint16(ip + IPV6.PAYLOAD_LENGTH, length - IPV6.HEADER_LENGTH);
  view.setUint8(ip + IPV6.NEXT_HEADER, protocol);
  view.setUint8(ip + IPV6.HOP_LIMIT, 64);
  for (const [address, host] of [
    [IPV6.SOURCE, 1],
    [IPV6.DESTINATION, 2],
  ] as const) {
    view.setUint16(ip + address, 0xfd77);
    view.setUint8(ip + address + 15, host);
  }
}

function writeTransport(view: DataView, at: number, protocol: number, length: number): void {
  for (let i = 0; i < transportLengthOf(protocol); i += 1) view.setUint8(at + i, 0);
  view.setUint16(at, 5001);
  view.setUint16(at + 2, 5201);
  if (protocol === PROTOCOL.UDP) view.setUint16(at + UDP.LENGTH, length);
  else {
    view.setUint32(at + TCP.SEQUENCE, 1_000);
    view.setUint8(at + TCP.DATA_OFFSET, (TCP_HEADER / 4) << 4);
    view.setUint8(at + TCP.FLAGS, FLAG.ACK);
    view.setUint32(at + TCP.OPTIONS, 0x0101_080a); // two no-operations, timestamps
  }
}

function pseudoSum(view: DataView, ip: number, transport: number, shape: Shape, length: number): number {
  const addresses = shape.version === 4 ? IPV4.SOURCE : IPV6.SOURCE;
  return foldSmallSum(sumWords(view, ip + addresses, transport - ip - addresses) + shape.protocol + length);
}
