/** What the TX history notes of datagrams that were sealed: for the peer's timers, its transfer figures, and the books. */
import { beforeEach, describe, expect, it } from 'vitest';
import { OutboundPath } from '../../src/outbound/read.ts';
import { type LanePeer, PEER_CELL, watchedWord } from '../../src/tables/peers.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { FakeLane, openMessage, timesOf } from '../support/fake-lane.ts';
import { plainFromTun } from '../support/virtio.ts';

let lane: FakeLane;
let peers: LanePeer[];
let path: OutboundPath;
let startMs: number;

beforeEach(() => {
  lane = new FakeLane();
  startMs = lane.addon.nowMs;
  peers = [0, 1].map((id) => lane.addReadyPeer(id));
  lane.route(peers.map(({ id }) => ({ address: Uint8Array.of(10, 0, 1, id), length: 32, peer: id })));
  path = new OutboundPath(lane.context, 1_500);
});

function sendData(peer: number): void {
  lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, peer, 100)));
  path.turn();
}

describe('data that was sent', () => {
  it('is the newest message, and unanswered since the first of its kind', () => {
    sendData(0);
    lane.addon.nowMs += 40;
    sendData(0);
    expect(timesOf(peers[0])).toEqual({
      unanswered: startMs,
      owed: 0,
      lastData: 0,
      lastSent: startMs + 40,
      lastReceived: 0,
    });
    expect(timesOf(peers[1]).lastSent).toBe(0);
  });

  it('pays what was owed', () => {
    peers[0].cells[PEER_CELL.OWED_SINCE_MS] = 4_000;
    sendData(0);
    expect(timesOf(peers[0]).owed).toBe(0);
  });

  it('has the peer watched, which is asked for once', () => {
    sendData(0);
    sendData(0);
    expect(lane.events).toEqual([{ type: 'watch', peer: 0 }]);
    const watched = watchedWord(peers[0].cells.buffer as SharedArrayBuffer);
    expect(watched[0]).toBe(1);
    watched[0] = 0;
    sendData(0);
    expect(lane.events.length).toBe(2);
  });

  it('is counted for its own peer in bytes of datagrams', () => {
    sendData(0);
    sendData(1);
    sendData(1);
    const length = 112 + 32;
    expect(peers.map(({ cells, sentBytesCell }) => cells[sentBytesCell])).toEqual([length, 2 * length]);
    expect(lane.count('UDP_TX_UNIQ')).toBe(3);
  });
});

describe('a keepalive', () => {
  it('is an empty message of 32 bytes with the next counter', () => {
    sendData(1);
    path.keepalive(peers[1]);
    const [, datagram] = lane.addon.udpSends.flatMap(({ datagrams }) => datagrams);
    expect(datagram.length).toBe(32);
    const message = openMessage(datagram, 1);
    expect(message).toMatchObject({ type: 4, receiver: 2_001, counter: 1, isAuthentic: true });
    expect(message.plaintext.length).toBe(0);
    expect([lane.count('KEEPALIVE_TX'), lane.count('UDP_TX'), lane.count('UDP_TX_UNIQ')]).toEqual([1, 2, 2]);
  });

  it('pays what was owed and is no data that wants an answer', () => {
    peers[0].cells[PEER_CELL.OWED_SINCE_MS] = 4_000;
    path.keepalive(peers[0]);
    expect(timesOf(peers[0])).toMatchObject({ unanswered: 0, owed: 0, lastSent: startMs });
  });

  it('is not sent without a keypair or an endpoint', () => {
    peers[0].current = null;
    peers[1].endpoint.fill(0);
    path.keepalive(peers[0]);
    path.keepalive(peers[1]);
    expect(lane.addon.udpTries).toEqual([]);
    expect(lane.count('KEEPALIVE_TX')).toBe(0);
    expect(lane.drops()).toEqual({});
  });
});
