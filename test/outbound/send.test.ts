/** What becomes of groups that the kernel refuses: mended and sent again, or counted as dropped, each datagram once. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ENDPOINT } from '../../src/native/layout.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import { writeEndpoint } from '../../src/packet/endpoint.ts';
import type { LaneEvent } from '../../src/tables/lane-messages.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { bytesFrom, ipv4Header, tcpHeader } from '../support/arbitrary-packets.ts';
import type { UdpSend } from '../support/fake-addon.ts';
import { endpointOf, FakeLane, openMessage } from '../support/fake-lane.ts';
import { superFromTun } from '../support/virtio.ts';

const E = {
  EPERM: 1,
  EIO: 5,
  EAGAIN: 11,
  EINVAL: 22,
  EMSGSIZE: 90,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  EHOSTUNREACH: 113,
} as const;

let lane: FakeLane;
let peers: LanePeer[];
let path: OutboundPath;

beforeEach(() => {
  lane = new FakeLane();
  peers = [0, 1].map((id) => lane.addReadyPeer(id));
  lane.route(peers.map(({ id }) => ({ address: Uint8Array.of(10, 0, 1, id), length: 32, peer: id })));
  path = new OutboundPath(lane.context, 1_500);
});

/** Sends `segments` packets of 100 bytes and a shorter one to a peer, which make one group. */
function sendGroup(peer = 0, segments = 5): void {
  const payload = bytesFrom(1, (segments - 1) * 60 + 20);
  lane.addon.tunQueue.push(superFromTun({ kind: 'tcp', ip: ipv4Header(9, peer), tcp: tcpHeader(), payload }, 60));
  path.turn();
}

/** Refuses groups, lets single datagrams pass. */
function refuseGroups(errno: number): void {
  lane.addon.sendErrno = ({ segmentLength }) => (segmentLength > 0 ? errno : 0);
}

/** Refuses whatever names a local address. */
function refuseSource(errno: number): void {
  lane.addon.sendErrno = ({ endpoint }) => (endpoint?.localAddress === null ? 0 : errno);
}

function giveSource(peer: LanePeer): void {
  writeEndpoint(new Uint8Array(peer.endpoint.buffer), 0, endpointOf(peer.id, 77));
}

function countersOf(sends: readonly UdpSend[]): number[] {
  return sends.flatMap(({ datagrams, peer }) => datagrams.map((datagram) => openMessage(datagram, peer).counter));
}

/** Events whose type starts with a word. */
function toldOf(word: string): LaneEvent[] {
  return lane.events.filter(({ type }) => type.startsWith(word));
}

function expectBooksOfWhatWasSent(): void {
  const datagrams = lane.addon.udpSends.flatMap((send) => send.datagrams);
  expect(lane.count('UDP_TX')).toBe(datagrams.length);
  expect(lane.count('UDP_TX_BYTES')).toBe(datagrams.reduce((sum, { length }) => sum + length, 0));
}

describe('a group that the kernel takes', () => {
  it('is handed over once and counted', () => {
    sendGroup();
    expect(lane.addon.udpTries.length).toBe(1);
    expect(lane.count('UDP_TX')).toBe(5);
    expect(lane.count('UDP_SEND_GROUPS')).toBe(1);
    expectBooksOfWhatWasSent();
  });

  it('leaves the traffic class to the socket', () => {
    sendGroup();
    expect(lane.addon.udpSends.map(({ trafficClass }) => trafficClass)).toEqual([-1]);
  });
});

describe('groups that a path does not carry', () => {
  const sizes = (): number[] => lane.addon.udpSends.map(({ datagrams }) => datagrams.length);

  it('are made no larger than the peer takes them, in both of two runs to it', () => {
    peers[0].groupDatagramsMax = 3;
    sendGroup(0, 8);
    sendGroup(1, 8);
    expect(sizes()).toEqual([3, 3, 2, 8]);
    expectBooksOfWhatWasSent();
  });

  it('end before a shorter datagram where the peer takes no short tail', () => {
    peers[0].groupShortTail = false;
    sendGroup(0, 5);
    sendGroup(1, 5);
    expect(sizes()).toEqual([4, 1, 5]);
    expect(lane.addon.udpSends.map(({ datagramsSaid }) => datagramsSaid)).toEqual(sizes());
  });

  it('are none at all to a peer that takes none', () => {
    peers[0].groupDatagramsMax = 1;
    sendGroup(0, 4);
    expect(sizes()).toEqual([1, 1, 1, 1]);
  });
});

describe('a full socket', () => {
  it.each([
    ['EAGAIN', E.EAGAIN],
    ['ENOBUFS', E.ENOBUFS],
  ])('drops the whole group without another try: %s', (_, errno) => {
    lane.addon.sendErrno = ({ peer }) => (peer === 0 ? errno : 0);
    sendGroup(0, 5);
    sendGroup(1, 3);
    expect(lane.drops()).toEqual({ OUT_SEND_FULL: 5 });
    expect(lane.addon.udpTries.length).toBe(2);
    expect(lane.count('UDP_TX')).toBe(3);
    expectBooksOfWhatWasSent();
  });

  it('is told apart from other failures also for datagrams that are repeated one by one', () => {
    const errnos = [E.EIO, 0, E.EAGAIN, 0, E.ENOBUFS, E.EPERM];
    lane.addon.sendErrno = () => errnos.shift() ?? 0;
    sendGroup(0, 5);
    expect(lane.drops()).toEqual({ OUT_SEND_FULL: 2, OUT_SEND_FAILED: 1 });
    expect(lane.count('UDP_TX')).toBe(2);
  });

  it('is told apart from other failures also when the source address was forgotten', () => {
    giveSource(peers[0]);
    const errnos = [E.EADDRNOTAVAIL, E.EAGAIN];
    lane.addon.sendErrno = () => errnos.shift() ?? 0;
    sendGroup();
    expect(lane.drops()).toEqual({ OUT_SEND_FULL: 5 });
    expect(lane.addon.udpTries.length).toBe(2);
  });
});

describe('a local address that is gone', () => {
  it.each([
    ['EINVAL', E.EINVAL],
    ['EADDRNOTAVAIL', E.EADDRNOTAVAIL],
    ['ENETUNREACH', E.ENETUNREACH],
  ])('is forgotten, and the group goes again without it: %s', (_, errno) => {
    giveSource(peers[0]);
    refuseSource(errno);
    sendGroup();
    expect(lane.addon.udpTries.map((send) => [send.errno, send.endpoint])).toEqual([
      [errno, endpointOf(0, 77)],
      [0, endpointOf(0)],
    ]);
    expect(lane.drops()).toEqual({});
    expectBooksOfWhatWasSent();
    expect(lane.count('UDP_TX')).toBe(5);
    expect([...peers[0].endpoint.slice(ENDPOINT.LOCAL_ADDRESS)]).toEqual([0, 0, 0, 0, 0]);
    sendGroup();
    expect(lane.addon.udpTries.length).toBe(3);
    expect(lane.events.filter(({ type }) => type === 'gsoDemoted')).toEqual([]);
  });

  it('is forgotten for all groups that were on their way to the peer', () => {
    giveSource(peers[0]);
    refuseSource(E.EINVAL);
    const tcp = (payload: number): Uint8Array =>
      superFromTun({ kind: 'tcp', ip: ipv4Header(9, 0), tcp: tcpHeader(), payload: bytesFrom(1, payload) }, 60);
    lane.addon.tunQueue.push(tcp(140), tcp(140), tcp(140));
    path.turn();
    expect(lane.count('UDP_TX')).toBe(9);
    expect(lane.count('UDP_SEND_GROUPS')).toBe(3);
    expectBooksOfWhatWasSent();
  });

  it('is not to blame for a group that fails without it too', () => {
    giveSource(peers[0]);
    lane.addon.sendErrno = () => E.ENETUNREACH;
    sendGroup();
    expect(lane.drops()).toEqual({ OUT_SEND_FAILED: 5 });
    expect(lane.addon.udpTries.length).toBe(2);
  });

  it('stays when the socket is merely full', () => {
    giveSource(peers[0]);
    lane.addon.sendErrno = () => E.EAGAIN;
    sendGroup();
    expect([...peers[0].endpoint.slice(ENDPOINT.LOCAL_ADDRESS)].some((word) => word !== 0)).toBe(true);
  });
});

describe('a group that GSO cannot carry', () => {
  it('for its device goes datagram by datagram, and the lane stops using GSO', () => {
    refuseGroups(E.EIO);
    sendGroup(0, 5);
    expect(countersOf(lane.addon.udpSends)).toEqual([0, 1, 2, 3, 4]);
    expect(lane.addon.udpSends.map(({ datagrams }) => datagrams.length)).toEqual([1, 1, 1, 1, 1]);
    expectBooksOfWhatWasSent();
    expect(lane.drops()).toEqual({});
    sendGroup(0, 4);
    expect(lane.addon.udpTries.length).toBe(6 + 4);
    const offUntilMs = lane.addon.nowMs + 30_000;
    expect(toldOf('gso')).toEqual([{ type: 'gsoDemoted', errno: E.EIO, offUntilMs }]);
  });

  it('for its device is tried again after half a minute, then after a whole one; a group that passes ends that', () => {
    const told = (): (number | string)[] =>
      toldOf('gso').map((event) => (event.type === 'gsoDemoted' ? event.offUntilMs - lane.addon.nowMs : event.type));
    refuseGroups(E.EIO);
    sendGroup(0, 5);
    lane.addon.nowMs += 30_000;
    lane.events.length = 0;
    sendGroup(1, 5);
    expect(told()).toEqual([60_000]);
    lane.addon.sendErrno = () => 0;
    lane.addon.nowMs += 60_000;
    lane.events.length = 0;
    sendGroup(0, 1);
    expect(told()).toEqual([]);
    sendGroup(0, 5);
    expect(told()).toEqual(['gsoPromoted']);
    refuseGroups(E.EIO);
    lane.events.length = 0;
    sendGroup(0, 5);
    expect(told()).toEqual([30_000]);
  });

  it.each([
    ['EINVAL', E.EINVAL],
    ['EMSGSIZE', E.EMSGSIZE],
  ])(
    'for its length (%s) goes datagram by datagram, as do those of its peer for a while, and GSO stays',
    (_, errno) => {
      refuseGroups(errno);
      sendGroup(0, 5);
      expect(countersOf(lane.addon.udpSends)).toEqual([0, 1, 2, 3, 4]);
      expect(lane.context.limits.gsoDatagramsMax).toBe(64);
      expect(lane.events.filter(({ type }) => type === 'gsoDemoted')).toEqual([]);
      expect(toldOf('groups')).toEqual([
        { type: 'groupsRefused', peer: 0, errno, offUntilMs: lane.addon.nowMs + 60_000 },
      ]);
      const tries = lane.addon.udpTries.length;
      sendGroup(0, 3);
      expect(lane.addon.udpTries.length).toBe(tries + 3);
    },
  );

  it('for its length is told once, however many of its peer a batch has', () => {
    refuseGroups(E.EMSGSIZE);
    peers[0].groupDatagramsMax = 3;
    sendGroup(0, 9);
    expect(countersOf(lane.addon.udpSends)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(toldOf('groups').length).toBe(1);
  });

  it('does not switch GSO off when its datagrams fail as well', () => {
    lane.addon.sendErrno = () => E.EIO;
    sendGroup(0, 5);
    expect(lane.drops()).toEqual({ OUT_SEND_FAILED: 5 });
    expect(lane.context.limits.gsoDatagramsMax).toBe(64);
    expect(lane.events.filter(({ type }) => type === 'gsoDemoted')).toEqual([]);
    expectBooksOfWhatWasSent();
  });

  it('is tried without its local address first', () => {
    giveSource(peers[0]);
    lane.addon.sendErrno = ({ endpoint, segmentLength }) =>
      endpoint?.localAddress !== null || segmentLength > 0 ? E.EINVAL : 0;
    sendGroup(0, 3);
    expect(
      lane.addon.udpTries.map(({ datagrams, endpoint }) => [datagrams.length, endpoint?.localAddress === null]),
    ).toEqual([
      [3, false],
      [3, true],
      [1, true],
      [1, true],
      [1, true],
    ]);
    expect(lane.count('UDP_TX')).toBe(3);
  });
});

describe('any other failure', () => {
  it.each([
    ['EPERM', E.EPERM],
    ['EHOSTUNREACH', E.EHOSTUNREACH],
  ])('drops the group at once: %s', (_, errno) => {
    lane.addon.sendErrno = () => errno;
    sendGroup(0, 5);
    expect(lane.drops()).toEqual({ OUT_SEND_FAILED: 5 });
    expect(lane.addon.udpTries.length).toBe(1);
  });

  it('drops a single datagram that is too long', () => {
    lane.addon.sendErrno = () => E.EMSGSIZE;
    sendGroup(0, 1);
    expect(lane.drops()).toEqual({ OUT_SEND_FAILED: 1 });
    expect(lane.addon.udpTries.length).toBe(1);
  });
});

describe('whatever fails', () => {
  it('each datagram is sent once or counted as one drop, and what is counted as sent was sent', () => {
    const errno = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.constantFrom(...Object.values(E)));
    const groups = fc.array(fc.record({ peer: fc.nat(1), segments: fc.integer({ min: 1, max: 70 }) }), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(groups, fc.infiniteStream(errno), (sends, errnos) => {
        lane.reset();
        lane.context.gsoOffUntilMs = 0;
        for (const peer of peers) giveSource(peer);
        for (const { memory } of peers.flatMap(({ current }) => current ?? [])) memory.counters.fill(0);
        lane.addon.sendErrno = () => errnos.next().value ?? 0;
        for (const { peer, segments } of sends) sendGroup(peer, segments);
        const total = sends.reduce((sum, { segments }) => sum + segments, 0);
        expect(lane.count('UDP_TX') + lane.dropsTotal()).toBe(total);
        expect(lane.count('UDP_TX_UNIQ')).toBe(total);
        expectBooksOfWhatWasSent();
        for (const { id } of peers) {
          const counters = countersOf(lane.addon.udpSends.filter(({ peer }) => peer === id));
          expect(new Set(counters).size).toBe(counters.length);
        }
      }),
      { numRuns: 150 },
    );
  });
});
