/**
 * From the TUN to datagrams, whole turns of the outbound path: which datagrams leave, in which groups, with which
 * counters, headers and padding. Grouping is held against a slow twin.
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { OutboundPath } from '../../src/outbound/read.ts';
import { LIMIT } from '../../src/packet/arena.ts';
import { REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES, WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { type Datagram, groupDatagrams } from '../reference/datagram-groups.ts';
import { concat, encodePacket, type Packet } from '../reference/ip.ts';
import { referencePaddedLength } from '../reference/padding.ts';
import { splitSuperPacket } from '../reference/split.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { endpointOf, FakeLane, type OpenedMessage, openMessage } from '../support/fake-lane.ts';
import { plainFromTun, superFromTun } from '../support/virtio.ts';

const PEERS = 3;
const MTU = 1_420;
const OVERHEAD = 32;
const GROUP_BYTES_MAX = 65_408;

/** What the TUN brings: one packet, or a super-packet, for one peer. */
interface FromTun {
  readonly peer: number;
  readonly packet: Packet;
  /** 0 for a single packet. */
  readonly gsoSize: number;
}

const fromTun: fc.Arbitrary<FromTun> = fc
  .record({
    peer: fc.nat(PEERS - 1),
    length: fc.oneof(fc.constantFrom(40, 100, 1_380), fc.integer({ min: 1, max: 9_000 })),
    gsoSize: fc.oneof(fc.constant(0), fc.constantFrom(1_380, 1_368, 600), fc.integer({ min: 500, max: 1_500 })),
    seed: fc.nat(1_000),
    trafficClass: fc.oneof(fc.constant(0), fc.nat(255)),
  })
  .map(({ peer, length, gsoSize, seed, trafficClass }) => {
    const payload = bytesFrom(seed, gsoSize === 0 ? Math.min(length, MTU - 40) : length);
    return {
      peer,
      gsoSize,
      packet: { kind: 'tcp', ip: { ...ipv4Header(9, peer), trafficClass }, tcp: tcpHeader(), payload } as const,
    };
  });

function readOf({ packet, gsoSize }: FromTun): Uint8Array {
  return gsoSize === 0 ? plainFromTun(encodePacket(packet)) : superFromTun(packet, gsoSize);
}

/** Inner packets with their peers, in the order in which they must leave. */
function innerPackets(all: readonly FromTun[]): { peer: number; ecn: number; bytes: Uint8Array }[] {
  return all.flatMap(({ peer, packet, gsoSize }) =>
    (gsoSize === 0 ? [packet] : splitSuperPacket(packet, gsoSize)).map((inner) => ({
      peer,
      ecn: packet.ip.trafficClass & 3,
      bytes: encodePacket(inner),
    })),
  );
}

function openLane(gsoDatagramsMax = 64): { lane: FakeLane; peers: LanePeer[]; path: OutboundPath } {
  const lane = new FakeLane({ gsoDatagramsMax, mtu: MTU });
  const peers = Array.from({ length: PEERS }, (_, id) => lane.addReadyPeer(id));
  lane.route(peers.map(({ id }) => ({ address: Uint8Array.of(10, 0, 1, id), length: 32, peer: id })));
  return { lane, peers, path: new OutboundPath(lane.context, MTU + 64) };
}

/** Every datagram that was sent, taken apart; keypairs have their peers' numbers. */
function sentMessages(lane: FakeLane): (OpenedMessage & { peer: number })[] {
  return lane.addon.udpSends.flatMap(({ peer, datagrams }) =>
    datagrams.map((datagram) => ({ peer, ...openMessage(datagram, peer) })),
  );
}

function expectGroupsLegal(lane: FakeLane, datagramsMax: number): void {
  const { udpOut, udpOutLength } = lane.arena;
  for (const { datagrams, offset, length, endpoint, peer, segmentLength, datagramsSaid } of lane.addon.udpSends) {
    expect(offset).toBeGreaterThanOrEqual(udpOut);
    expect(offset + length).toBeLessThanOrEqual(udpOut + udpOutLength);
    const lengths = datagrams.map((datagram) => datagram.length);
    expect(datagramsSaid).toBe(datagrams.length);
    expect(datagrams.length).toBeLessThanOrEqual(datagramsMax);
    expect(length).toBeLessThanOrEqual(GROUP_BYTES_MAX);
    expect(endpoint).toEqual(endpointOf(peer));
    expect(segmentLength).toBe(datagrams.length > 1 ? lengths[0] : 0);
    expect(lengths.slice(0, -1).every((each) => each === lengths[0])).toBe(true);
    expect(lengths[lengths.length - 1]).toBeLessThanOrEqual(lengths[0]);
  }
}

describe('sealing', () => {
  it('groups datagrams as a slow twin does, in the order of their packets', () => {
    for (const datagramsMax of [1, 2, 64, 128]) {
      const { lane, path } = openLane(datagramsMax);
      fc.assert(
        fc.property(fc.array(fromTun, { maxLength: 12 }), (all) => {
          lane.reset();
          lane.addon.tunQueue.push(...all.map(readOf));
          path.turn();
          const expected = innerPackets(all).map(({ peer, ecn, bytes }): Datagram => {
            const trafficClass = ecn === 0 ? -1 : ecn;
            return { peer, trafficClass, length: referencePaddedLength(bytes.length, MTU) + OVERHEAD };
          });
          const groups = lane.addon.udpSends.map(({ peer, datagrams, trafficClass }) =>
            datagrams.map(({ length }): Datagram => ({ peer, trafficClass, length })),
          );
          expect(groups).toEqual(groupDatagrams(expected, datagramsMax));
          expectGroupsLegal(lane, datagramsMax);
        }),
        { numRuns: 40 },
      );
    }
  });

  it('gives each packet its transport header, its padding of zeros, and the next counter of its keypair', () => {
    const { lane, peers, path } = openLane();
    const next = peers.map(() => 0);
    fc.assert(
      fc.property(fc.array(fromTun, { maxLength: 12 }), (all) => {
        lane.reset();
        lane.addon.tunQueue.push(...all.map(readOf));
        path.turn();
        const sent = sentMessages(lane);
        const inner = innerPackets(all);
        expect(sent.length).toBe(inner.length);
        for (const [index, { peer, bytes }] of inner.entries()) {
          const { plaintext, ...header } = sent[index];
          const padding = new Uint8Array(referencePaddedLength(bytes.length, MTU) - bytes.length);
          expect(header).toEqual({ peer, type: 4, receiver: 2_000 + peer, counter: next[peer], isAuthentic: true });
          expect(Buffer.compare(plaintext, concat([bytes, padding])), `packet ${index}`).toBe(0);
          next[peer] += 1;
        }
      }),
      { numRuns: 40 },
    );
  });

  it('counts inner packets and datagrams, their bytes, and groups', () => {
    const { lane, peers, path } = openLane();
    fc.assert(
      fc.property(fc.array(fromTun, { maxLength: 12 }), (all) => {
        lane.reset();
        for (const peer of peers) peer.cells.fill(0);
        lane.addon.tunQueue.push(...all.map(readOf));
        path.turn();
        const inner = innerPackets(all);
        const datagrams = lane.addon.udpSends.flatMap((send) => send.datagrams);
        const bytesOf = (list: readonly Uint8Array[]): number => list.reduce((sum, { length }) => sum + length, 0);
        expect(lane.count('TUN_RX')).toBe(inner.length);
        expect(lane.count('TUN_RX_BYTES')).toBe(bytesOf(inner.map(({ bytes }) => bytes)));
        expect(lane.count('UDP_TX')).toBe(datagrams.length);
        expect(lane.count('UDP_TX_UNIQ')).toBe(datagrams.length);
        expect(lane.count('UDP_TX_BYTES')).toBe(bytesOf(datagrams));
        expect(lane.count('UDP_SEND_GROUPS')).toBe(lane.addon.udpSends.length);
        expect(lane.drops()).toEqual({});
        for (const { id, cells, sentBytesCell } of peers) {
          const own = lane.addon.udpSends.filter(({ peer }) => peer === id).flatMap((send) => send.datagrams);
          expect(cells[sentBytesCell]).toBe(bytesOf(own));
        }
      }),
      { numRuns: 30 },
    );
  });

  it('cuts a super-packet of tiny segments into as many batches as it needs', () => {
    const { lane, path } = openLane();
    const payload = bytesFrom(1, 3_000);
    const packet = { kind: 'tcp', ip: ipv4Header(9, 1), tcp: tcpHeader({ flags: 0x98 }), payload } as const;
    lane.addon.tunQueue.push(superFromTun(packet, 1));
    path.turn();
    const sent = sentMessages(lane);
    const expected = splitSuperPacket(packet, 1).map(encodePacket);
    expect(sent.map(({ counter }) => counter)).toEqual(Array.from({ length: 3_000 }, (_, counter) => counter));
    expect(
      sent.filter(({ plaintext }, index) => Buffer.compare(plaintext.slice(0, 41), expected[index]) !== 0),
    ).toEqual([]);
    expect(lane.count('UDP_TX')).toBe(3_000);
    expect(lane.addon.udpSends.length).toBeGreaterThan(3_000 / LIMIT.SEALS);
    expectGroupsLegal(lane, 64);
  });

  it('takes full super-packets with the longest headers without leaving its room', () => {
    const { lane, path } = openLane();
    const ip = { ...ipv4Header(9, 2), options: bytesFrom(1, 40) };
    const tcp = tcpHeader({ options: bytesFrom(2, 40) });
    const packet = { kind: 'tcp', ip, tcp, payload: bytesFrom(3, 65_535 - 120) } as const;
    for (const gsoSize of [100, 1_320, 60_000]) {
      lane.reset();
      lane.addon.tunQueue.push(superFromTun(packet, gsoSize), superFromTun(packet, gsoSize));
      path.turn();
      expect(lane.count('UDP_TX')).toBe(2 * Math.ceil(packet.payload.length / gsoSize));
      expectGroupsLegal(lane, 64);
    }
  });

  it('never runs out of room for headers or datagrams, however long the headers of many segments are', () => {
    const { lane, path } = openLane();
    lane.routeAllTo(0);
    const ip = { ...ipv6Header(9, 0), extensionType: 60, options: bytesFrom(1, 192) };
    const packets = [1, 2, 3, 4].map((seed) => {
      return { kind: 'tcp', ip, tcp: tcpHeader(), payload: bytesFrom(seed, 65_280) } as const;
    });
    lane.addon.tunQueue.push(...packets.map((packet) => superFromTun(packet, 512)));
    while (path.turn() > 0);
    const expected = packets.flatMap((packet) => splitSuperPacket(packet, 512)).map(encodePacket);
    const wrong = sentMessages(lane).filter(
      ({ plaintext }, index) => Buffer.compare(plaintext.slice(0, expected[index].length), expected[index]) !== 0,
    );
    expect(wrong).toEqual([]);
    expect(lane.count('UDP_TX')).toBe(expected.length);
    expectGroupsLegal(lane, 64);
  });

  it('fills groups across several reads of the TUN', () => {
    const { lane, path } = openLane();
    for (let read = 0; read < 10; read += 1)
      lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 1, 1_000, read + 1)));
    path.turn();
    expect(lane.addon.udpSends.map(({ datagrams }) => datagrams.length)).toEqual([10]);
  });

  it('keeps to the end what was read last: a turn leaves nothing behind', () => {
    const { lane, path } = openLane();
    for (let read = 0; read < LIMIT.TUN_READS + 5; read += 1)
      lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, read % 3, 200)));
    expect(path.turn()).toBe(LIMIT.TUN_READS);
    expect(lane.count('UDP_TX')).toBe(LIMIT.TUN_READS);
    expect(path.turn()).toBe(5);
    expect(lane.count('UDP_TX')).toBe(LIMIT.TUN_READS + 5);
    expect(path.turn()).toBe(0);
  });

  it('drops what no peer is for, what is not IP, and what has no endpoint, and counts each', () => {
    const { lane, peers, path } = openLane();
    peers[1].endpoint.fill(0);
    const tcp = { kind: 'tcp', ip: ipv4Header(9, 77), tcp: tcpHeader(), payload: bytesFrom(1, 250) } as const;
    lane.addon.tunQueue.push(superFromTun(tcp, 100), plainFromTun(udpPacketBytes(9, 1, 100)), new Uint8Array(30));
    path.turn();
    expect(lane.drops()).toEqual({ OUT_NO_ROUTE: 3, OUT_NO_ENDPOINT: 1, OUT_NOT_IP: 1 });
    expect(lane.count('TUN_RX')).toBe(5);
    expect(lane.count('UDP_TX')).toBe(0);
  });

  it('pads up to the MTU and not beyond it', () => {
    const { lane, path } = openLane();
    for (const length of [1_408, 1_409, 1_420]) lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 1, length)));
    path.turn();
    expect(sentMessages(lane).map(({ plaintext }) => plaintext.length)).toEqual([1_408, 1_420, 1_420]);
  });
});

describe('the counters of a keypair', () => {
  let lane: FakeLane;
  let path: OutboundPath;
  let peer: LanePeer;

  beforeEach(() => {
    ({
      lane,
      path,
      peers: [, peer],
    } = openLane());
  });

  function sendOne(): void {
    lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 1, 100)));
    path.turn();
  }

  function setNextCounter(counter: number): void {
    if (peer.current !== null) peer.current.memory.counters[0] = counter;
  }

  it('are written whole where they pass 32 bits', () => {
    setNextCounter(2 ** 32 - 1);
    sendOne();
    sendOne();
    setNextCounter(2 ** 51 + 1);
    sendOne();
    expect(sentMessages(lane).map(({ counter, isAuthentic }) => [counter, isAuthentic])).toEqual([
      [2 ** 32 - 1, true],
      [2 ** 32, true],
      [2 ** 51 + 1, true],
    ]);
  });

  it('are reserved from memory that other lanes share, a run at a time', () => {
    sendOne();
    peer.current?.memory.reserve(10);
    const packet = { kind: 'tcp', ip: ipv4Header(9, 1), tcp: tcpHeader(), payload: bytesFrom(1, 300) } as const;
    lane.addon.tunQueue.push(superFromTun(packet, 100));
    path.turn();
    expect(sentMessages(lane).map(({ counter }) => counter)).toEqual([0, 11, 12, 13]);
  });

  it('ask for a new handshake from REKEY_AFTER_MESSAGES on', () => {
    setNextCounter(REKEY_AFTER_MESSAGES - 1);
    sendOne();
    expect(lane.events.filter(({ type }) => type === 'want')).toEqual([]);
    sendOne();
    expect(lane.events.filter(({ type }) => type === 'want')).toEqual([{ type: 'want', peer: 1 }]);
  });

  it('end at REJECT_AFTER_MESSAGES: no message has it, and what would is dropped', () => {
    setNextCounter(REJECT_AFTER_MESSAGES - 1);
    sendOne();
    sendOne();
    expect(sentMessages(lane).map(({ counter }) => counter)).toEqual([REJECT_AFTER_MESSAGES - 1]);
    expect(lane.drops()).toEqual({ OUT_COUNTER_LIMIT: 1 });
  });

  it('at their end let no keepalive be counted as sent', () => {
    setNextCounter(REJECT_AFTER_MESSAGES);
    path.keepalive(peer);
    expect(lane.addon.udpSends).toEqual([]);
    expect(lane.count('KEEPALIVE_TX')).toBe(0);
  });
});

describe('the age of a keypair', () => {
  const { REKEY_AFTER_TIME_MS, REJECT_AFTER_TIME_MS } = WIREGUARD_TIMING;

  /** Sends one packet with a keypair of some age; says what was sent and asked for. */
  function sendAtAge(ageMs: number, initiator: boolean): { sent: number; wanted: number; lane: FakeLane } {
    const { lane, peers, path } = openLane();
    peers[1].current = lane.addKeypair(peers[1], { id: 1, initiator, bornMs: lane.addon.nowMs - ageMs });
    lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 1, 100)));
    path.turn();
    return { sent: lane.count('UDP_TX'), wanted: lane.events.filter(({ type }) => type === 'want').length, lane };
  }

  it('makes the initiator ask for a new one from REKEY_AFTER_TIME on, while it goes on sending', () => {
    expect(sendAtAge(REKEY_AFTER_TIME_MS - 1, true)).toMatchObject({ sent: 1, wanted: 0 });
    expect(sendAtAge(REKEY_AFTER_TIME_MS, true)).toMatchObject({ sent: 1, wanted: 1 });
  });

  it('does not make the responder ask', () => {
    expect(sendAtAge(REKEY_AFTER_TIME_MS, false)).toMatchObject({ sent: 1, wanted: 0 });
    expect(sendAtAge(REJECT_AFTER_TIME_MS - 1, false)).toMatchObject({ sent: 1, wanted: 0 });
  });

  it('ends its use at REJECT_AFTER_TIME: packets wait for a new one', () => {
    for (const initiator of [true, false]) {
      const { sent, wanted, lane } = sendAtAge(REJECT_AFTER_TIME_MS, initiator);
      expect({ sent, wanted, staged: lane.count('STAGED') }).toEqual({ sent: 0, wanted: 1, staged: 1 });
    }
  });

  it('is not asked about more often than each 100 ms', () => {
    const { lane, peers, path } = openLane();
    peers[1].current = null;
    for (let turn = 0; turn < 25; turn += 1) {
      lane.addon.nowMs += 10;
      lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 1, 100)));
      path.turn();
    }
    expect(lane.events.filter(({ type }) => type === 'want').length).toBe(3);
  });
});
