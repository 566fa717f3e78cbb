/** Packets that wait for a keypair: against a model of lists, over random sequences, also when the pool runs out. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutboundPath } from '../../src/outbound/read.ts';
import { STAGED_PER_PEER } from '../../src/outbound/stage.ts';
import { REJECT_AFTER_MESSAGES, WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { encodePacket } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, tcpHeader, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { FakeLane, openMessage } from '../support/fake-lane.ts';
import { plainFromTun, superFromTun, unsummedFromTun } from '../support/virtio.ts';

const PEERS = 3;
const SLOT_BYTES = 256;

interface Setup {
  readonly lane: FakeLane;
  readonly path: OutboundPath;
  readonly peers: LanePeer[];
}

/** Peers without keypairs, and room for `slots` packets. */
function openLane(slots: number, mtu = 1_420): Setup {
  const lane = new FakeLane({ stagedBytes: slots * SLOT_BYTES, mtu });
  const peers = Array.from({ length: PEERS }, (_, id) => lane.addPeer(id));
  lane.route(peers.map(({ id }) => ({ address: Uint8Array.of(10, 0, 1, id), length: 32, peer: id })));
  return { lane, peers, path: new OutboundPath(lane.context, SLOT_BYTES) };
}

/** A packet whose content tells its number. */
function numbered(peer: number, number: number): Uint8Array {
  return udpPacketBytes(9, peer, 30 + (number % 200), number + 1);
}

function stage({ lane, path }: Setup, peer: number, numbers: readonly number[]): void {
  for (const number of numbers) {
    lane.addon.tunQueue.push(plainFromTun(numbered(peer, number)));
    path.turn();
  }
}

/** Gives the peer a keypair for as long as it takes to release its packets. */
function release({ lane, path }: Setup, peer: LanePeer): boolean {
  peer.current = lane.addKeypair(peer, { id: peer.id });
  const released = path.release(peer);
  peer.current = null;
  return released;
}

/** Inner packets that were sent to a peer, in order, padding included. */
function sentTo({ lane }: Setup, peer: number): Uint8Array[] {
  const own = lane.addon.udpSends.filter((send) => send.peer === peer);
  return own.flatMap(({ datagrams }) => datagrams.map((datagram) => openMessage(datagram, peer).plaintext));
}

function expectSent(setup: Setup, peer: number, numbers: readonly number[]): void {
  const sent = sentTo(setup, peer);
  expect(sent.length).toBe(numbers.length);
  for (const [index, number] of numbers.entries()) {
    const expected = numbered(peer, number);
    expect(Buffer.compare(sent[index].slice(0, expected.length), expected), `packet ${number}`).toBe(0);
  }
}

function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

describe('a packet without a keypair', () => {
  it('waits, asks for a handshake, and goes out when the keypair is there', () => {
    const setup = openLane(200);
    stage(setup, 1, range(5));
    expect(setup.lane.addon.udpSends).toEqual([]);
    expect(setup.lane.count('STAGED')).toBe(5);
    expect(setup.lane.events).toEqual([{ type: 'want', peer: 1 }]);
    expect(release(setup, setup.peers[1])).toBe(true);
    expectSent(setup, 1, range(5));
    expect(setup.lane.drops()).toEqual({});
  });

  it('waits as segments when it came as a super-packet, checksums still to be made', () => {
    const setup = openLane(200);
    const { lane, path, peers } = setup;
    const packet = { kind: 'tcp', ip: ipv4Header(9, 2), tcp: tcpHeader(), payload: bytesFrom(4, 350) } as const;
    const single = {
      kind: 'udp',
      ip: ipv4Header(9, 2),
      sourcePort: 1,
      destinationPort: 2,
      payload: bytesFrom(5, 99),
    } as const;
    lane.addon.tunQueue.push(superFromTun(packet, 100), unsummedFromTun(single));
    path.turn();
    const waited = ((): Uint8Array[] => {
      release(setup, peers[2]);
      return sentTo(setup, 2);
    })();
    lane.reset();
    peers[2].current = lane.addKeypair(peers[2], { id: 2 });
    lane.addon.tunQueue.push(superFromTun(packet, 100), unsummedFromTun(single));
    path.turn();
    expect(waited.length).toBe(5);
    expect(waited).toEqual(sentTo(setup, 2));
    expect(Buffer.compare(waited[4].slice(0, 127), encodePacket(single))).toBe(0);
  });

  it('is kept in order with 127 others at most: the oldest makes room', () => {
    const setup = openLane(200);
    stage(setup, 0, range(STAGED_PER_PEER + 7));
    expect(setup.lane.drops()).toEqual({ OUT_STAGED_OVERFLOW: 7 });
    release(setup, setup.peers[0]);
    expectSent(setup, 0, range(STAGED_PER_PEER, 7));
  });

  it('takes the place of its own peer’s oldest when the pool is full, never of another’s', () => {
    const setup = openLane(10);
    stage(setup, 0, range(6));
    stage(setup, 1, range(4));
    stage(setup, 0, [100, 101]);
    stage(setup, 2, [7]);
    expect(setup.lane.drops()).toEqual({ OUT_STAGED_OVERFLOW: 3 });
    for (const peer of setup.peers) release(setup, peer);
    expectSent(setup, 0, [2, 3, 4, 5, 100, 101]);
    expectSent(setup, 1, range(4));
    expectSent(setup, 2, []);
  });

  it('is dropped when it is longer than a slot', () => {
    const setup = openLane(10);
    const { lane, path, peers } = setup;
    lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 0, SLOT_BYTES)));
    lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 0, SLOT_BYTES + 1)));
    path.turn();
    expect(lane.drops()).toEqual({ OUT_TOO_LONG: 1 });
    release(setup, peers[0]);
    expect(sentTo(setup, 0).map(({ length }) => length)).toEqual([SLOT_BYTES]);
  });

  it('is given up when its handshake is, and its room is free again', () => {
    const setup = openLane(10);
    stage(setup, 0, range(10));
    setup.path.dropStaged(setup.peers[0]);
    expect(setup.lane.drops()).toEqual({ OUT_STAGED_EXPIRED: 10 });
    stage(setup, 1, range(10));
    release(setup, setup.peers[0]);
    release(setup, setup.peers[1]);
    expectSent(setup, 0, []);
    expectSent(setup, 1, range(10));
  });
});

describe('a release', () => {
  it('of nothing says so and sends nothing', () => {
    const setup = openLane(10);
    expect(release(setup, setup.peers[0])).toBe(false);
    expect(setup.lane.addon.udpTries).toEqual([]);
  });

  it('goes out in several batches when one cannot hold all', () => {
    const lane = new FakeLane({ stagedBytes: 1 << 19, mtu: 9_000 });
    const peer = lane.addPeer(0);
    lane.routeAllTo(0);
    const setup = { lane, peers: [peer], path: new OutboundPath(lane.context, 9_064) };
    const numbers = range(50);
    for (const number of numbers) lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 0, 8_900, number + 1)));
    while (setup.path.turn() > 0);
    release(setup, peer);
    const expected = numbers.map((number) => udpPacketBytes(9, 0, 8_900, number + 1));
    const sent = sentTo(setup, 0).map((packet) => packet.slice(0, 8_900));
    expect(sent.map((packet, index) => Buffer.compare(packet, expected[index]))).toEqual(numbers.map(() => 0));
  });

  it('with a keypair that is too old leaves every packet waiting, whole and in order', () => {
    const setup = openLane(10);
    const { lane, path, peers } = setup;
    stage(setup, 0, range(6));
    const bornMs = lane.addon.nowMs - WIREGUARD_TIMING.REJECT_AFTER_TIME_MS;
    peers[0].current = lane.addKeypair(peers[0], { id: 0, bornMs });
    expect(path.release(peers[0])).toBe(false);
    expect(lane.addon.udpSends).toEqual([]);
    release(setup, peers[0]);
    expectSent(setup, 0, range(6));
    expect(lane.drops()).toEqual({});
    expect(lane.count('STAGED')).toBe(6);
  });

  it('without an endpoint, or with a keypair whose counters are used up, counts each packet as dropped', () => {
    const setup = openLane(10);
    const { lane, path, peers } = setup;
    stage(setup, 0, range(3));
    stage(setup, 1, range(4));
    peers[0].endpoint.fill(0);
    release(setup, peers[0]);
    const current = lane.addKeypair(peers[1], { id: 1 });
    current.memory.counters[0] = REJECT_AFTER_MESSAGES;
    peers[1].current = current;
    path.release(peers[1]);
    expect(lane.drops()).toEqual({ OUT_NO_ENDPOINT: 3, OUT_COUNTER_LIMIT: 4 });
    expect(lane.addon.udpSends).toEqual([]);
  });
});

describe('over any sequence of staging, releasing and giving up', () => {
  type Step = { readonly what: 'stage' | 'release' | 'drop'; readonly peer: number; readonly count: number };
  const step: fc.Arbitrary<Step> = fc.record({
    what: fc.constantFrom('stage', 'stage', 'stage', 'release', 'drop'),
    peer: fc.nat(PEERS - 1),
    count: fc.integer({ min: 1, max: 60 }),
  });

  it('packets leave in order, none twice, and each that does not is one drop', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.array(step, { maxLength: 25 }), (slots, steps) => {
        const setup = openLane(slots);
        const model = new StagedModel(slots);
        let number = 0;
        for (const { what, peer, count } of steps) {
          if (what === 'drop') {
            model.drop(peer);
            setup.path.dropStaged(setup.peers[peer]);
          } else if (what === 'release') {
            model.release(peer);
            release(setup, setup.peers[peer]);
          } else {
            const numbers = range(count, number);
            number += count;
            for (const each of numbers) model.stage(peer, each);
            setup.lane.addon.tunQueue.push(...numbers.map((each) => plainFromTun(numbered(peer, each))));
            setup.path.turn();
          }
          for (const each of setup.peers) expect(each.stagedCount).toBe(model.waiting[each.id].length);
        }
        for (const { id } of setup.peers) expectSent(setup, id, model.sent[id]);
        expect(setup.lane.drop('OUT_STAGED_OVERFLOW')).toBe(model.overflowed);
        expect(setup.lane.drop('OUT_STAGED_EXPIRED')).toBe(model.expired);
        expect(setup.lane.count('STAGED')).toBe(model.staged);
      }),
      { numRuns: 100 },
    );
  });
});

/** Staged packets as plain lists. */
class StagedModel {
  readonly waiting: number[][] = Array.from({ length: PEERS }, () => []);
  readonly sent: number[][] = Array.from({ length: PEERS }, () => []);
  overflowed = 0;
  expired = 0;
  staged = 0;
  readonly #slots: number;

  constructor(slots: number) {
    this.#slots = slots;
  }

  stage(peer: number, number: number): void {
    const own = this.waiting[peer];
    const isFull = this.waiting.flat().length === this.#slots;
    if (isFull && own.length === 0) {
      this.overflowed += 1;
      return;
    }
    if (isFull || own.length === STAGED_PER_PEER) {
      own.shift();
      this.overflowed += 1;
    }
    own.push(number);
    this.staged += 1;
  }

  release(peer: number): void {
    this.sent[peer].push(...this.waiting[peer].splice(0));
  }

  drop(peer: number): void {
    this.expired += this.waiting[peer].splice(0).length;
  }
}
