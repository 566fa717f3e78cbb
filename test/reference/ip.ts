/**
 * IP, TCP and UDP packets as readable values, and their way to bytes and back, field by field (RFC 791, 8200, 9293,
 * 768). Slow, and shares nothing with the code under test. What is encoded has all its checksums.
 */
import { checksumField, onesSum } from './internet-checksum.ts';

export const TCP_PROTOCOL = 6;
export const UDP_PROTOCOL = 17;

export interface IpHeader {
  readonly version: 4 | 6;
  readonly trafficClass: number;
  readonly hopLimit: number;
  /** 4 or 16 bytes. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** IPv4: options, a multiple of 4 bytes. IPv6: an extension header, a multiple of 8 bytes, or nothing. */
  readonly options: Uint8Array;
  /** IPv6: type of the extension header in `options`. */
  readonly extensionType: number;
  /** IPv4 only. */
  readonly id: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  readonly fragmentOffset: number;
  /** IPv6 only. */
  readonly flowLabel: number;
}

export interface TcpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  /** The four bits behind the data offset. */
  readonly reserved: number;
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  /** A multiple of 4 bytes, at most 40. */
  readonly options: Uint8Array;
}

export interface TcpPacket {
  readonly kind: 'tcp';
  readonly ip: IpHeader;
  readonly tcp: TcpHeader;
  readonly payload: Uint8Array;
}

export interface UdpPacket {
  readonly kind: 'udp';
  readonly ip: IpHeader;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

export type Packet = TcpPacket | UdpPacket;

/** Bytes of an IP packet around a transport part that is complete. */
export function encodeIp(ip: IpHeader, protocol: number, transport: Uint8Array): Uint8Array {
  return ip.version === 4 ? encodeIpv4(ip, protocol, transport) : encodeIpv6(ip, protocol, transport);
}

export function encodePacket(packet: Packet): Uint8Array {
  return packet.kind === 'tcp'
    ? encodeIp(packet.ip, TCP_PROTOCOL, encodeTcp(packet))
    : encodeIp(packet.ip, UDP_PROTOCOL, encodeUdp(packet));
}

/** Sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1), 0 to 65,535. */
export function pseudoHeaderSum(ip: IpHeader, protocol: number, transportLength: number): number {
  const rest = [...be16(transportLength), 0, protocol];
  return onesSum(concat([ip.source, ip.destination, Uint8Array.from(rest)]));
}

/** Bytes before TCP or UDP. */
export function ipHeaderLength(ip: IpHeader): number {
  return (ip.version === 4 ? 20 : 40) + ip.options.length;
}

/** TCP header and payload. `checksum`: what to write there instead of the right one. */
export function encodeTcp({ ip, tcp, payload }: TcpPacket, checksum?: number): Uint8Array {
  const dataOffset = 5 + tcp.options.length / 4;
  const header = [
    ...be16(tcp.sourcePort),
    ...be16(tcp.destinationPort),
    ...be32(tcp.sequence),
    ...be32(tcp.acknowledgement),
    dataOffset * 16 + tcp.reserved,
    tcp.flags,
    ...be16(tcp.window),
    ...be16(0),
    ...be16(tcp.urgent),
  ];
  return withChecksum(concat([Uint8Array.from(header), tcp.options, payload]), 16, ip, TCP_PROTOCOL, checksum);
}

/** UDP header and payload. `checksum`: what to write there instead of the right one. */
export function encodeUdp({ ip, sourcePort, destinationPort, payload }: UdpPacket, checksum?: number): Uint8Array {
  const header = [...be16(sourcePort), ...be16(destinationPort), ...be16(8 + payload.length), ...be16(0)];
  return withChecksum(concat([Uint8Array.from(header), payload]), 6, ip, UDP_PROTOCOL, checksum);
}

/** Reads a TCP packet without extension headers; its checksums are not looked at. */
export function decodeTcpPacket(bytes: Uint8Array): TcpPacket {
  const ip = decodeIpHeader(bytes);
  const at = ipHeaderLength(ip);
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const headerLength = (view.getUint8(12) >> 4) * 4;
  const tcp = {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    reserved: view.getUint8(12) & 15,
    flags: view.getUint8(13),
    window: view.getUint16(14),
    urgent: view.getUint16(18),
    options: bytes.slice(at + 20, at + headerLength),
  };
  return { kind: 'tcp', ip, tcp, payload: bytes.slice(at + headerLength) };
}

/** Reads a UDP packet without extension headers; its checksums and its length field are not looked at. */
export function decodeUdpPacket(bytes: Uint8Array): UdpPacket {
  const ip = decodeIpHeader(bytes);
  const at = ipHeaderLength(ip);
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  return {
    kind: 'udp',
    ip,
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    payload: bytes.slice(at + 8),
  };
}

/** Reads an IPv4 header with its options, or an IPv6 header without extension headers. */
export function decodeIpHeader(bytes: Uint8Array): IpHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const none = { options: new Uint8Array(0), extensionType: 0, id: 0, dontFragment: false, moreFragments: false };
  const first = view.getUint32(0);
  if (bytes[0] >> 4 === 6)
    return {
      ...none,
      version: 6,
      trafficClass: (first >>> 20) & 0xff,
      flowLabel: first & 0xfffff,
      hopLimit: bytes[7],
      fragmentOffset: 0,
      source: bytes.slice(8, 24),
      destination: bytes.slice(24, 40),
    };
  const fragment = view.getUint16(6);
  return {
    ...none,
    version: 4,
    trafficClass: bytes[1],
    flowLabel: 0,
    hopLimit: bytes[8],
    id: view.getUint16(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: fragment & 0x1fff,
    source: bytes.slice(12, 16),
    destination: bytes.slice(16, 20),
    options: bytes.slice(20, (bytes[0] & 15) * 4),
  };
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function encodeIpv4(ip: IpHeader, protocol: number, transport: Uint8Array): Uint8Array {
  const fragment = (ip.dontFragment ? 0x4000 : 0) + (ip.moreFragments ? 0x2000 : 0) + ip.fragmentOffset;
  const header = Uint8Array.from([
    0x40 + 5 + ip.options.length / 4,
    ip.trafficClass,
    ...be16(ipHeaderLength(ip) + transport.length),
    ...be16(ip.id),
    ...be16(fragment),
    ip.hopLimit,
    protocol,
    ...be16(0),
    ...ip.source,
    ...ip.destination,
    ...ip.options,
  ]);
  header.set(be16(0xffff - onesSum(header)), 10);
  return concat([header, transport]);
}

function encodeIpv6(ip: IpHeader, protocol: number, transport: Uint8Array): Uint8Array {
  const extension = Uint8Array.from(ip.options);
  if (extension.length > 0) extension.set([protocol, extension.length / 8 - 1]);
  const header = [
    ...be32(0x6000_0000 + ip.trafficClass * 2 ** 20 + ip.flowLabel),
    ...be16(extension.length + transport.length),
    extension.length > 0 ? ip.extensionType : protocol,
    ip.hopLimit,
    ...ip.source,
    ...ip.destination,
  ];
  return concat([Uint8Array.from(header), extension, transport]);
}

function withChecksum(
  bytes: Uint8Array,
  field: number,
  ip: IpHeader,
  protocol: number,
  checksum: number | undefined,
): Uint8Array {
  const pseudo = Uint8Array.from(be16(pseudoHeaderSum(ip, protocol, bytes.length)));
  bytes.set(be16(checksum ?? checksumField(concat([pseudo, bytes]))), field);
  return bytes;
}

function be16(value: number): number[] {
  return [Math.floor(value / 256) % 256, value % 256];
}

function be32(value: number): number[] {
  return [...be16(Math.floor(value / 65_536) % 65_536), ...be16(value % 65_536)];
}
