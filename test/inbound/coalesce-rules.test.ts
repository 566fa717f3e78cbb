/** Coalescing, rule by rule: two or three segments that would be merged but for one thing. */
import { describe, expect, it } from 'vitest';
import { RUN_PACKETS_MAX } from '../reference/coalesce.ts';
import {
  concat,
  encodeIp,
  encodePacket,
  encodeTcp,
  type IpHeader,
  TCP_PROTOCOL,
  type TcpHeader,
} from '../reference/ip.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { Coalescing } from '../support/coalescing.ts';
import { packetsOf } from '../support/tun-writes.ts';

const coalescing = new Coalescing();
const LENGTH = 100;

interface Changes {
  readonly ip?: Partial<IpHeader>;
  readonly tcp?: Partial<TcpHeader>;
  readonly length?: number;
}

/** Segment number `position` of a flow over IPv4 or IPv6, but for some changes. */
function segment(version: 4 | 6, position: number, changes: Changes = {}): Uint8Array {
  const { length = LENGTH } = changes;
  const ip = { ...(version === 4 ? ipv4Header(1, 2) : ipv6Header(1, 2)), id: 100 + position, ...changes.ip };
  const tcp = tcpHeader({ sequence: 1_000 + position * LENGTH, ...changes.tcp });
  return encodePacket({ kind: 'tcp', ip, tcp, payload: bytesFrom(position + 1, length) });
}

/** Packets in each write. */
function runsOf(packets: readonly Uint8Array[]): number[] {
  const writes = coalescing.take(packets);
  expect(writes.flatMap(packetsOf).length).toBe(packets.length);
  return writes.map((write) => write.packets);
}

/** Whether the second of two segments is merged with the first when it has these changes. */
function isMerged(version: 4 | 6, changes: Changes): boolean {
  return runsOf([segment(version, 0), segment(version, 1, changes)]).length === 1;
}

/** The same for the third of three, of which it is known how it must look. */
function isContinued(version: 4 | 6, changes: Changes): boolean {
  return runsOf([segment(version, 0), segment(version, 1), segment(version, 2, changes)]).length === 1;
}

const bothVersions = [4, 6] as const;

describe('two segments in a row', () => {
  it.each(bothVersions)('are merged (IPv%i)', (version) => {
    expect(isMerged(version, {})).toBe(true);
    expect(isMerged(version, { length: 1 })).toBe(true);
    expect(isMerged(version, { tcp: { flags: 0x18 } })).toBe(true);
    expect(isMerged(version, { tcp: { flags: 0x11 } })).toBe(true);
  });

  const differences: [string, Changes][] = [
    ['traffic class', { ip: { trafficClass: 1 } }],
    ['hop limit', { ip: { hopLimit: 63 } }],
    ['sequence that leaves a gap', { tcp: { sequence: 1_101 } }],
    ['sequence that overlaps', { tcp: { sequence: 1_099 } }],
    ['acknowledgement', { tcp: { acknowledgement: 5_001 } }],
    ['window', { tcp: { window: 501 } }],
    ['reserved bit (AccECN’s AE)', { tcp: { reserved: 1 } }],
    ['number of options', { tcp: { options: new Uint8Array(4) } }],
    ['ECE flag', { tcp: { flags: 0x50 } }],
    ['CWR flag', { tcp: { flags: 0x90 } }],
    ['URG flag', { tcp: { flags: 0x30 } }],
    ['SYN flag', { tcp: { flags: 0x12 } }],
    ['RST flag', { tcp: { flags: 0x14 } }],
    ['lack of ACK', { tcp: { flags: 0x00 } }],
    ['greater length', { length: LENGTH + 1 }],
    ['lack of payload', { length: 0 }],
    ['source port', { tcp: { sourcePort: 40_001 } }],
    ['destination port', { tcp: { destinationPort: 444 } }],
  ];
  for (const version of bothVersions) {
    it.each(differences)(`are not merged over IPv${version} with another %s`, (_, changes) => {
      expect(isMerged(version, changes)).toBe(false);
      expect(isContinued(version, changes)).toBe(false);
    });
  }

  it('are not merged with other bytes in their options', () => {
    const options = bytesFrom(1, 12);
    const other = options.map((byte, at) => (at === 11 ? byte ^ 1 : byte));
    const first = segment(4, 0, { tcp: { options } });
    expect(runsOf([first, segment(4, 1, { tcp: { options } })])).toEqual([2]);
    expect(runsOf([first, segment(4, 1, { tcp: { options: other } })])).toEqual([1, 1]);
  });

  it('are not merged over IPv4 with another DF, or an id that does not go on', () => {
    const free = { dontFragment: false };
    expect(isMerged(4, { ip: free })).toBe(false);
    const first = segment(4, 0, { ip: free });
    expect(runsOf([first, segment(4, 1, { ip: free })])).toEqual([2]);
    expect(runsOf([first, segment(4, 1, { ip: { ...free, id: 100 } })])).toEqual([1, 1]);
    expect(runsOf([first, segment(4, 1, { ip: { ...free, id: 102 } })])).toEqual([1, 1]);
    expect(isMerged(4, { ip: { id: 99 } })).toBe(false);
  });

  it('are merged over IPv4 with DF when the id stands still: it is never read', () => {
    expect(isMerged(4, { ip: { id: 100 } })).toBe(true);
  });

  it('are not merged over IPv6 with another flow label', () => {
    expect(isMerged(6, { ip: { flowLabel: 1 } })).toBe(false);
  });

  it('are not merged with other addresses', () => {
    expect(isMerged(4, { ip: { source: Uint8Array.of(10, 0, 0, 3) } })).toBe(false);
    expect(isMerged(4, { ip: { destination: Uint8Array.of(10, 0, 1, 3) } })).toBe(false);
    expect(isMerged(6, { ip: { source: ipv6Header(3, 2).source } })).toBe(false);
    expect(isMerged(6, { ip: { destination: ipv6Header(1, 3).destination } })).toBe(false);
  });
});

describe('a checksum that is wrong', () => {
  it.each(bothVersions)('keeps its segment from being merged, and is written as it came (IPv%i)', (version) => {
    const ip = version === 4 ? { ...ipv4Header(1, 2), id: 101 } : ipv6Header(1, 2);
    const tcp = tcpHeader({ sequence: 1_000 + LENGTH });
    const packet = { kind: 'tcp', ip, tcp, payload: bytesFrom(2, LENGTH) } as const;
    const bad = encodeIp(ip, TCP_PROTOCOL, encodeTcp(packet, 1));
    const all = [segment(version, 0), bad, segment(version, 2)];
    const writes = coalescing.take(all);
    expect(writes.map(({ packets }) => packets)).toEqual([1, 1, 1]);
    expect(writes.map((write) => write.packet)).toEqual(all);
  });

  it('in an IPv4 header keeps its packet from being merged', () => {
    const bad = segment(4, 1);
    bad[11] ^= 1;
    expect(runsOf([segment(4, 0), bad, segment(4, 2)])).toEqual([1, 1, 1]);
  });
});

describe('a run', () => {
  it('ends with PSH or FIN: what follows starts another', () => {
    for (const flags of [0x18, 0x11, 0x19])
      expect(
        runsOf([0, 1, 2, 3].map((position) => segment(4, position, position === 1 ? { tcp: { flags } } : {}))),
      ).toEqual([2, 2]);
  });

  it('ends with a shorter segment', () => {
    const shorter = segment(4, 1, { length: 60 });
    const rest = [2, 3].map((position) => segment(4, position, { tcp: { sequence: 1_060 + (position - 1) * LENGTH } }));
    expect(runsOf([segment(4, 0), shorter, ...rest])).toEqual([2, 2]);
  });

  it('shows PSH of its last segment, and none that it did not have', () => {
    const [write] = coalescing.take([segment(6, 0), segment(6, 1), segment(6, 2, { tcp: { flags: 0x18 } })]);
    expect(write.packet[40 + 13]).toBe(0x18);
    const [without] = coalescing.take([segment(6, 0), segment(6, 1)]);
    expect(without.packet[40 + 13]).toBe(0x10);
  });

  it('goes on over sequence numbers and ids that wrap', () => {
    const wrapping = [0, 1, 2].map((position) =>
      segment(4, position, {
        ip: { id: (65_535 + position) % 65_536, dontFragment: false },
        tcp: { sequence: (2 ** 32 - 100 + position * LENGTH) % 2 ** 32 },
      }),
    );
    expect(runsOf(wrapping)).toEqual([3]);
  });

  it('has at most 128 segments', () => {
    const all = Array.from({ length: RUN_PACKETS_MAX + 2 }, (_, position) => segment(4, position));
    expect(runsOf(all)).toEqual([RUN_PACKETS_MAX, 2]);
  });

  it.each(bothVersions)('has at most 65,535 bytes, IP header included (IPv%i)', (version) => {
    const headers = version === 4 ? 40 : 60;
    const length = Math.floor((65_535 - headers) / 5);
    const all = [0, 1, 2, 3, 4, 5].map((position) =>
      segment(version, position, { length, tcp: { sequence: 1_000 + position * length } }),
    );
    const writes = coalescing.take(all);
    expect(writes.map(({ packets }) => packets)).toEqual([5, 1]);
    expect(writes[0].packet.length).toBe(headers + 5 * length);
    expect(writes.flatMap(packetsOf).map((packet, index) => Buffer.compare(packet, all[index]))).toEqual([
      0, 0, 0, 0, 0, 0,
    ]);
  });

  it('is written with one piece per segment: nothing is copied', () => {
    const writes = coalescing.take([0, 1, 2].map((position) => segment(4, position)));
    expect(writes.map(({ pieces }) => pieces)).toEqual([3]);
  });

  it('is not interrupted by other flows and other protocols', () => {
    const packets = [0, 1, 2].flatMap((position) => [
      segment(4, position),
      segment(6, position),
      udpPacketBytes(1, 2, 60),
      segment(4, position, { tcp: { sourcePort: 7, sequence: 1_000 + position * LENGTH } }),
    ]);
    expect(runsOf(packets).toSorted()).toEqual([1, 1, 1, 3, 3, 3]);
  });
});

describe('UDP datagrams in a row, where the TUN takes UDP super-packets,', () => {
  const coalescingUdp = new Coalescing(true);
  const datagram = encodePacket({
    kind: 'udp',
    ip: ipv4Header(1, 2),
    sourcePort: 40_000,
    destinationPort: 443,
    payload: bytesFrom(1, LENGTH),
  });

  it('are not merged with TCP of the same addresses and ports', () => {
    const packets = [segment(4, 0), datagram, segment(4, 1), datagram];
    const writes = coalescingUdp.take(packets);
    expect(writes.map(({ packets: count }) => count)).toEqual([2, 2]);
    expect(writes.map(({ packet }) => packet[9])).toEqual([6, 17]);
  });

  it('are not merged when one is shorter by its length field than by IP', () => {
    const view = new DataView(datagram.slice().buffer);
    view.setUint16(24, view.getUint16(24) - 1);
    view.setUint16(26, view.getUint16(26) + 1);
    const odd = new Uint8Array(view.buffer);
    expect(coalescingUdp.take([datagram, odd, datagram]).map(({ packets }) => packets)).toEqual([1, 1, 1]);
    expect(coalescingUdp.take([datagram, datagram, datagram]).map(({ packets }) => packets)).toEqual([3]);
  });
});

describe('what is not plain TCP', () => {
  it('passes as it came', () => {
    const others = [
      udpPacketBytes(1, 2, 77),
      encodeIp(ipv4Header(1, 2), 1, bytesFrom(1, 40)),
      encodeIp(ipv6Header(1, 2), 58, bytesFrom(2, 40)),
      encodeIp(ipv6Header(1, 2), 59, new Uint8Array(0)),
      encodeIp(ipv4Header(1, 2), TCP_PROTOCOL, bytesFrom(3, 19)),
      encodeIp(ipv4Header(1, 2), TCP_PROTOCOL, new Uint8Array(0)),
      encodeIp(ipv6Header(1, 2), TCP_PROTOCOL, bytesFrom(4, 19)),
    ];
    expect(coalescing.take(others).map(({ packet }) => packet)).toEqual(others);
  });

  it('is not read beyond its end: a TCP header that says more than there is', () => {
    for (const dataOffset of [0x00, 0x40, 0xf0]) {
      const packet = segment(4, 1);
      packet[20 + 12] = dataOffset;
      expect(coalescing.take([segment(4, 0), packet]).map((write) => write.packet)).toEqual([segment(4, 0), packet]);
    }
  });

  const late = segment(4, 2);
  const surrounding = [segment(4, 0), segment(4, 1)];

  it.each([
    ['a first fragment', { moreFragments: true }],
    ['a later fragment', { fragmentOffset: 100 }],
    ['a packet with IPv4 options', { options: Uint8Array.of(1, 1, 1, 1) }],
  ])('keeps its place in its flow: %s', (_, ip: Partial<IpHeader>) => {
    const special = segment(4, 9, { ip: { dontFragment: false, ...ip } });
    const writes = coalescing.take([...surrounding, special, late]);
    expect(writes.map(({ packets }) => packets)).toEqual([2, 1, 1]);
    expect(writes[1].packet).toEqual(special);
  });

  it.each([
    ['a hop-by-hop header', 0],
    ['a routing header', 43],
    ['a fragment header', 44],
    ['a destination options header', 60],
  ])('keeps its place in its flow over IPv6: %s', (_, extensionType) => {
    const special = segment(6, 9, { ip: { extensionType, options: new Uint8Array(8) } });
    const writes = coalescing.take([segment(6, 0), segment(6, 1), special, segment(6, 2)]);
    expect(writes.map(({ packet }) => Buffer.compare(packet, special) === 0)).toEqual([false, true, false]);
    expect(writes.map(({ packets }) => packets)).toEqual([2, 1, 1]);
  });

  it('is told from TCP by its own protocol field, also behind its end', () => {
    const packet = concat([udpPacketBytes(1, 2, 60), segment(4, 1)]).slice(0, 60);
    expect(coalescing.take([packet, segment(4, 0)]).map((write) => write.packets)).toEqual([1, 1]);
  });
});

describe('segments after the second', () => {
  const many = (version: 4 | 6, changes: Changes = {}): Uint8Array[] =>
    Array.from({ length: 40 }, (_, position) => segment(version, position, changes));

  it.each(bothVersions)('are told by how they must look (IPv%i)', (version) => {
    const before = coalescing.continued;
    expect(runsOf(many(version))).toEqual([40]);
    expect(coalescing.continued - before).toBe(38);
  });

  it('are so too where ids stand still or pass 65,535', () => {
    const before = coalescing.continued;
    expect(runsOf(many(4, { ip: { id: 7 } }))).toEqual([40]);
    const wrapping = Array.from({ length: 40 }, (_, position) =>
      segment(4, position, { ip: { id: (65_520 + position) & 0xffff } }),
    );
    expect(runsOf(wrapping)).toEqual([40]);
    expect(coalescing.continued - before).toBe(76);
  });

  it.each(bothVersions)('are not merged when a bit of theirs differs (IPv%i)', (version) => {
    const header = version === 4 ? 40 : 60;
    for (let bit = 0; bit < (header + 1) * 8; bit += 1) {
      const third = segment(version, 2);
      third[bit >> 3] = (third[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const writes = coalescing.takeAsIs([segment(version, 0), segment(version, 1), third], segment(version, 2).length);
      expect(writes.length, `bit ${bit}`).toBeGreaterThan(1);
    }
  });

  it('of another peer are never taken for the next ones', () => {
    const before = coalescing.continued;
    expect(coalescing.isExpected(segment(4, 0), segment(4, 1), segment(4, 2), { samePeer: true })).toBe(true);
    expect(coalescing.isExpected(segment(4, 0), segment(4, 1), segment(4, 2), { samePeer: false })).toBe(false);
    expect(coalescing.continued).toBe(before);
  });

  it('take the long way where they lie at no multiple of 4', () => {
    expect(coalescing.isExpected(segment(4, 0), segment(4, 1), segment(4, 2), { shift: 2 })).toBe(false);
  });
});
