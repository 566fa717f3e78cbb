/**
 * Outbound, split: a super-packet from the TUN becomes segments, by writing headers only. Each segment is a SEAL
 * descriptor that names its own header (written to the header region) and its share of the payload (left where the
 * TUN read put it); native code gathers the two, and fills in the checksum, when it seals.
 *
 * TCP (IPv4 and IPv6) as in the kernel's tcp_gso_segment, UDP as in __udp_gso_segment. Header lengths are recomputed
 * from the packet: the virtio header's hdr_len is wrong for forwarded packets.
 */
import { SEAL, VIRTIO_HEADER_LENGTH } from '../native/layout.ts';
import type { Arena } from '../packet/arena.ts';
import { LIMIT } from '../packet/arena.ts';
import { ECN, ecnOf, setEcn } from '../packet/ecn.ts';
import { FLAG, foldSmallSum, IPV4, IPV6, ipPacketLength, PROTOCOL, sumWords, TCP, UDP } from '../packet/ip-header.ts';
import { GSO, NEEDS_CHECKSUM, VIRTIO } from '../packet/virtio-header.ts';
import type { OutboundBatch } from './batch.ts';

/** What `inspect` found out about the packet that is being split; one object per lane, reused. */
export class SuperPacket {
  /** Offset of the IP header in the arena. */
  ip = 0;
  isIpv4 = true;
  /** One of ECN. */
  ecn = 0;
  /** One of GSO. */
  kind = 0;
  /** Bytes before TCP or UDP. */
  transportStart = 0;
  /** Bytes before the payload; for a single packet, its whole length. */
  headerLength = 0;
  payloadLength = 0;
  /** Payload of each segment but the last. */
  segmentPayload = 0;
  segments = 1;
  /** Checksum to fill in, for a single packet: from `checksumStart` (or -1) into `checksumField`. */
  checksumStart = -1;
  checksumField = 0;
}

export const INSPECT = { OK: 0, NOT_IP: 1, BAD_OFFLOAD: 2 } as const;

/** Checks the packet that one TUN read brought (virtio header at `offset`) against its own lengths; returns INSPECT. */
export function inspect(packet: SuperPacket, view: DataView, offset: number, length: number): number {
  const ip = offset + VIRTIO_HEADER_LENGTH;
  const available = length - VIRTIO_HEADER_LENGTH;
  packet.ip = ip;
  if (available < IPV4.HEADER_LENGTH_MIN) return INSPECT.NOT_IP;
  const gso = view.getUint8(offset + VIRTIO.GSO_TYPE) & ~GSO.ECN;
  const firstHalf = view.getUint16(ip);
  packet.isIpv4 = firstHalf >>> 12 === 4;
  packet.ecn = ecnOf(firstHalf);
  packet.kind = gso;
  if (gso === GSO.NONE) return inspectSingle(packet, view, offset, available);
  if (packet.isIpv4 ? available < IPV4.HEADER_LENGTH_MIN : firstHalf >>> 12 !== 6 || available < IPV6.HEADER_LENGTH)
    return INSPECT.NOT_IP;
  return inspectSuper(packet, view, offset, available);
}

function inspectSingle(packet: SuperPacket, view: DataView, offset: number, available: number): number {
  if (ipPacketLength(view, packet.ip, available) < 0) return INSPECT.NOT_IP;
  packet.headerLength = available;
  packet.payloadLength = 0;
  packet.segments = 1;
  packet.checksumStart = -1;
  if ((view.getUint8(offset + VIRTIO.FLAGS) & NEEDS_CHECKSUM) === 0) return INSPECT.OK;
  packet.checksumStart = view.getUint16(offset + VIRTIO.CHECKSUM_START, true);
  packet.checksumField = packet.checksumStart + view.getUint16(offset + VIRTIO.CHECKSUM_OFFSET, true);
  return packet.checksumField + 2 <= available ? INSPECT.OK : INSPECT.BAD_OFFLOAD;
}

function inspectSuper(packet: SuperPacket, view: DataView, offset: number, available: number): number {
  const { ip, isIpv4, kind } = packet;
  const transport = view.getUint16(offset + VIRTIO.CHECKSUM_START, true);
  const least = isIpv4 ? (view.getUint8(ip) & 15) * 4 : IPV6.HEADER_LENGTH;
  if (kind !== GSO.UDP && kind !== (isIpv4 ? GSO.TCP4 : GSO.TCP6)) return INSPECT.BAD_OFFLOAD;
  const transportLeast = kind === GSO.UDP ? UDP.HEADER_LENGTH : TCP.HEADER_LENGTH_MIN;
  if (transport < least || least < IPV4.HEADER_LENGTH_MIN || transport + transportLeast > available)
    return INSPECT.BAD_OFFLOAD;
  const transportLength =
    kind === GSO.UDP ? UDP.HEADER_LENGTH : (view.getUint8(ip + transport + TCP.DATA_OFFSET) >>> 4) * 4;
  packet.transportStart = transport;
  packet.headerLength = transport + transportLength;
  packet.payloadLength = available - packet.headerLength;
  packet.segmentPayload = view.getUint16(offset + VIRTIO.GSO_SIZE, true);
  if (transportLength < transportLeast || packet.payloadLength < 1 || packet.segmentPayload < 1)
    return INSPECT.BAD_OFFLOAD;
  if (packet.headerLength > LIMIT.SEGMENT_HEADER_BYTES) return INSPECT.BAD_OFFLOAD;
  packet.segments = Math.ceil(packet.payloadLength / packet.segmentPayload);
  return INSPECT.OK;
}

/** Whether an inspected packet is a TCP super-packet. */
export function isTcp(packet: SuperPacket): boolean {
  return packet.kind === GSO.TCP4 || packet.kind === GSO.TCP6;
}

/**
 * Marks an inspected super-packet as one that met congestion (CE, RFC 3168, section 5), if its sender knows ECN; its IPv4
 * header checksum is made anew for each segment.
 */
export function markCongestion(packet: SuperPacket, view: DataView): boolean {
  if (packet.ecn === ECN.NOT_ECT) return false;
  setEcn(view, packet.ip, ECN.CE, 0);
  packet.ecn = ECN.CE;
  return true;
}

/** Appends the SEAL descriptors of segments [from, from + count) to the batch; the caller has made room for them. */
export function splitSegments(
  packet: SuperPacket,
  batch: OutboundBatch,
  arena: Arena,
  from: number,
  count: number,
): void {
  if (packet.kind === GSO.NONE) appendSingle(packet, batch, arena);
  else splitSuper(packet, batch, arena, from, count);
}

function appendSingle(packet: SuperPacket, batch: OutboundBatch, arena: Arena): void {
  const words = arena.words;
  const seal = (arena.seals >> 2) + batch.segments * SEAL.WORDS;
  words[seal + SEAL.HEAD_OFFSET] = packet.ip;
  words[seal + SEAL.HEAD_LENGTH] = packet.headerLength;
  words[seal + SEAL.PAYLOAD_OFFSET] = packet.ip;
  words[seal + SEAL.PAYLOAD_LENGTH] = 0;
  words[seal + SEAL.CHECKSUM_START] = packet.checksumStart;
  words[seal + SEAL.CHECKSUM_FIELD] = packet.checksumField;
  words[seal + SEAL.CHECKSUM_SEED] = 0;
  batch.segments += 1;
}

/** One loop for TCP and UDP: headers differ by a few fields, and where the checksum stands. */
function splitSuper(packet: SuperPacket, batch: OutboundBatch, arena: Arena, from: number, count: number): void {
  const { words, view } = arena;
  const { ip, isIpv4, kind, headerLength, segmentPayload, payloadLength, transportStart } = packet;
  const isUdp = kind === GSO.UDP;
  const pseudoSum = pseudoHeaderSum(view, ip, isIpv4, isUdp ? PROTOCOL.UDP : PROTOCOL.TCP);
  const checksumField = transportStart + (isUdp ? UDP.CHECKSUM : TCP.CHECKSUM);
  const ipv4Sum = isIpv4 ? ipv4ConstantSum(view, ip) : 0;
  const ipv4Id = view.getUint16(ip + IPV4.ID);
  const headerStride = (headerLength + 15) & ~15;
  let header = batch.headerEnd;
  let seal = (arena.seals >> 2) + batch.segments * SEAL.WORDS;
  for (let segment = from; segment < from + count; segment += 1) {
    const start = segment * segmentPayload;
    const length = Math.min(segmentPayload, payloadLength - start);
    copyWords(words, header >> 2, ip >> 2, headerStride >> 2);
    if (isIpv4) finishIpv4(view, header, headerLength + length, (ipv4Id + segment) & 0xffff, ipv4Sum);
    else view.setUint16(header + IPV6.PAYLOAD_LENGTH, headerLength - IPV6.HEADER_LENGTH + length);
    if (isUdp) view.setUint16(header + transportStart + UDP.LENGTH, UDP.HEADER_LENGTH + length);
    else finishTcp(view, header + transportStart, packet, segment, start);
    view.setUint16(header + checksumField, 0);
    words[seal + SEAL.HEAD_OFFSET] = header;
    words[seal + SEAL.HEAD_LENGTH] = headerLength;
    words[seal + SEAL.PAYLOAD_OFFSET] = ip + headerLength + start;
    words[seal + SEAL.PAYLOAD_LENGTH] = length;
    words[seal + SEAL.CHECKSUM_START] = transportStart;
    words[seal + SEAL.CHECKSUM_FIELD] = checksumField;
    words[seal + SEAL.CHECKSUM_SEED] = pseudoSum + headerLength - transportStart + length;
    header += headerStride;
    seal += SEAL.WORDS;
  }
  batch.headerEnd = header;
  batch.segments += count;
}

/** Sequence number and flags of a segment: FIN and PSH belong to the last one, CWR to the first (RFC 3168, 6.1.2). */
function finishTcp(view: DataView, tcp: number, packet: SuperPacket, segment: number, start: number): void {
  view.setInt32(tcp + TCP.SEQUENCE, (view.getInt32(tcp + TCP.SEQUENCE) + start) | 0);
  let flags = view.getUint8(tcp + TCP.FLAGS);
  if (segment !== packet.segments - 1) flags &= ~(FLAG.FIN | FLAG.PSH);
  if (segment !== 0) flags &= ~FLAG.CWR;
  view.setUint8(tcp + TCP.FLAGS, flags);
}

/** Headers start at multiples of 16 on both sides, so whole words are copied, a few bytes beyond the header too. */
function copyWords(words: Int32Array, to: number, from: number, count: number): void {
  for (let at = 0; at < count; at += 1) words[to + at] = words[from + at];
}

/** Sum of addresses and protocol; the transport length is added per segment. */
function pseudoHeaderSum(view: DataView, ip: number, isIpv4: boolean, protocol: number): number {
  const addresses = isIpv4 ? sumWords(view, ip + IPV4.SOURCE, 8) : sumWords(view, ip + IPV6.SOURCE, 32);
  return addresses + protocol;
}

/** Sum of an IPv4 header without what differs from segment to segment: length, id and the checksum itself. */
function ipv4ConstantSum(view: DataView, ip: number): number {
  const sum = sumWords(view, ip, (view.getUint8(ip) & 15) * 4);
  return (
    sum - view.getUint16(ip + IPV4.TOTAL_LENGTH) - view.getUint16(ip + IPV4.ID) - view.getUint16(ip + IPV4.CHECKSUM)
  );
}

function finishIpv4(view: DataView, header: number, totalLength: number, id: number, constantSum: number): void {
  view.setUint16(header + IPV4.TOTAL_LENGTH, totalLength);
  view.setUint16(header + IPV4.ID, id);
  view.setUint16(header + IPV4.CHECKSUM, ~foldSmallSum(constantSum + totalLength + id) & 0xffff);
}
