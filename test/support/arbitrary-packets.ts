/** fast-check arbitraries of IP, TCP and UDP packets, and packets of tests that need only one thing to vary. */
import fc from 'fast-check';
import {
  encodePacket,
  type IpHeader,
  type Packet,
  type TcpHeader,
  type TcpPacket,
  type UdpPacket,
} from '../reference/ip.ts';

const UINT16_MAX = 0xffff;
const UINT32_MAX = 0xffff_ffff;

/** Bytes that follow from a seed: payloads that need no shrinking. */
export function bytesFrom(seed: number, length: number): Uint8Array {
  let state = seed | 1;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}

/** A plain IPv4 header from 10.0.0.`from` to 10.0.1.`to`. */
export function ipv4Header(from: number, to: number): IpHeader {
  return {
    version: 4,
    trafficClass: 0,
    hopLimit: 64,
    source: Uint8Array.of(10, 0, 0, from),
    destination: Uint8Array.of(10, 0, 1, to),
    options: new Uint8Array(0),
    extensionType: 0,
    id: 0,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    flowLabel: 0,
  };
}

/** A plain IPv6 header from fd00::`from` to fd00::1:`to`. */
export function ipv6Header(from: number, to: number): IpHeader {
  const source = Uint8Array.of(0xfd, ...new Uint8Array(14), from);
  const destination = Uint8Array.of(0xfd, ...new Uint8Array(12), 1, 0, to);
  return { ...ipv4Header(from, to), version: 6, source, destination, dontFragment: false };
}

export function tcpHeader(changes: Partial<TcpHeader> = {}): TcpHeader {
  return {
    sourcePort: 40_000,
    destinationPort: 443,
    sequence: 1_000,
    acknowledgement: 5_000,
    reserved: 0,
    flags: 0x10,
    window: 500,
    urgent: 0,
    options: new Uint8Array(0),
    ...changes,
  };
}

/** A UDP packet of `length` bytes in all (28 or more) from 10.0.0.`from` to 10.0.1.`to`. */
export function udpPacketBytes(from: number, to: number, length: number, seed = 1): Uint8Array {
  const payload = bytesFrom(seed, length - 28);
  return encodePacket({ kind: 'udp', ip: ipv4Header(from, to), sourcePort: 1, destinationPort: 2, payload });
}

const options = (unit: number, most: number): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(new Uint8Array(0)) },
    fc
      .tuple(fc.integer({ min: 1, max: most / unit }), fc.integer())
      .map(([units, seed]) => bytesFrom(seed, units * unit)),
  );

const ipv4Arbitrary: fc.Arbitrary<IpHeader> = fc.record({
  version: fc.constant(4 as const),
  trafficClass: fc.nat(255),
  hopLimit: fc.nat(255),
  source: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  destination: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  options: options(4, 40),
  extensionType: fc.constant(0),
  id: fc.oneof(fc.nat(UINT16_MAX), fc.integer({ min: UINT16_MAX - 40, max: UINT16_MAX })),
  dontFragment: fc.boolean(),
  moreFragments: fc.constant(false),
  fragmentOffset: fc.constant(0),
  flowLabel: fc.constant(0),
});

const ipv6Arbitrary: fc.Arbitrary<IpHeader> = fc.record({
  version: fc.constant(6 as const),
  trafficClass: fc.nat(255),
  hopLimit: fc.nat(255),
  source: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  destination: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  options: options(8, 24),
  extensionType: fc.constant(60),
  id: fc.constant(0),
  dontFragment: fc.constant(false),
  moreFragments: fc.constant(false),
  fragmentOffset: fc.constant(0),
  flowLabel: fc.nat(0xfffff),
});

const tcpArbitrary: fc.Arbitrary<TcpHeader> = fc.record({
  sourcePort: fc.nat(UINT16_MAX),
  destinationPort: fc.nat(UINT16_MAX),
  sequence: fc.oneof(fc.nat(UINT32_MAX), fc.integer({ min: UINT32_MAX - 70_000, max: UINT32_MAX })),
  acknowledgement: fc.nat(UINT32_MAX),
  reserved: fc.nat(15),
  flags: fc.nat(255),
  window: fc.nat(UINT16_MAX),
  urgent: fc.nat(UINT16_MAX),
  options: options(4, 40),
});

const payload = (least: number, most: number): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(
      fc.oneof(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: Math.min(most, least + 100) })),
      fc.integer(),
    )
    .map(([length, seed]) => bytesFrom(seed, length));

export const anyIp: fc.Arbitrary<IpHeader> = fc.oneof(ipv4Arbitrary, ipv6Arbitrary);

/** TCP packets with `least` to `most` bytes of payload. */
export function tcpPackets(least: number, most: number): fc.Arbitrary<TcpPacket> {
  return fc.record({ kind: fc.constant('tcp' as const), ip: anyIp, tcp: tcpArbitrary, payload: payload(least, most) });
}

/** UDP packets with `least` to `most` bytes of payload. */
export function udpPackets(least: number, most: number): fc.Arbitrary<UdpPacket> {
  const port = fc.nat(UINT16_MAX);
  return fc.record({
    kind: fc.constant('udp' as const),
    ip: anyIp,
    sourcePort: port,
    destinationPort: port,
    payload: payload(least, most),
  });
}

export function anyPackets(least: number, most: number): fc.Arbitrary<Packet> {
  return fc.oneof(tcpPackets(least, most), udpPackets(least, most));
}
