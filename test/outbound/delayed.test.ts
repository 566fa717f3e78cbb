/** What a lane sends to a peer by the clock: copies after their delay, and the word that a burst has ended. */
import { beforeEach, describe, expect, it } from 'vitest';
import { HISTORY_CELL } from '../../src/history/history-cells.ts';
import type { PeerHistory, SealedWatch } from '../../src/history/peer-history.ts';
import { RING_BYTES_MIN } from '../../src/history/settings.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { giveHistory, type HistoryWish, lanePath, lanePaths } from '../support/fake-history.ts';
import { FakeLane, openMessage } from '../support/fake-lane.ts';
import { plainFromTun } from '../support/virtio.ts';

let lane: FakeLane;
let peer: LanePeer;
let outbound: OutboundPath;
let startMs: number;

beforeEach(() => {
  lane = new FakeLane({ historiesBytes: 8 << 20 });
  peer = lane.addReadyPeer(0);
  lane.routeAllTo(0);
  outbound = new OutboundPath(lane.context, 1_500);
  startMs = lane.addon.nowMs;
});

function give(wish: HistoryWish): PeerHistory {
  return giveHistory(lane, peer, wish);
}

function send(count: number, length = 400): void {
  for (let packet = 0; packet < count; packet += 1)
    lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 0, length)));
  outbound.turn();
}

/** Lets time pass; what is due then is sent. Returns [ms since the start, counters] of each group. */
function pass(ms: number, step = 1): [atMs: number, counters: number[]][] {
  const sent: [number, number[]][] = [];
  for (const end = lane.addon.nowMs + ms; lane.addon.nowMs < end; ) {
    lane.addon.nowMs += step;
    lane.addon.udpSends.length = 0;
    for (const history of lane.context.histories)
      if (history.sendDueMs <= lane.addon.nowMs) outbound.sendDue(history, lane.addon.nowMs);
    for (const { datagrams } of lane.addon.udpSends)
      sent.push([lane.addon.nowMs - startMs, datagrams.map((datagram) => openMessage(datagram, 0).counter)]);
  }
  return sent;
}

describe('copies after a delay', () => {
  it('go once for each that is wanted, each a delay after the one before', () => {
    const history = give({ copies: { count: 3, delayMs: 10, budget: 2 } });
    send(3);
    pass(4);
    send(2);
    expect(lane.context.due.ms).toBe(startMs + 10);
    expect(pass(30)).toEqual([
      [10, [0, 1, 2]],
      [14, [3, 4]],
      [20, [0, 1, 2]],
      [24, [3, 4]],
    ]);
    expect(history.cells[HISTORY_CELL.COPIES_TX]).toBe(10);
    expect(lane.count('COPIES_TX')).toBe(10);
    expect(history.sendDueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('go over the path that is used by then, beside those over other paths at once', () => {
    const history = give({ copies: { count: 3, delayMs: 10, budget: 2 } });
    history.setPaths(lanePaths([lanePath(0, 'first'), lanePath(1, 'copy')]));
    send(1);
    expect(lane.addon.udpSends.map(({ endpoint }) => endpoint?.address[3])).toEqual([1, 2]);
    history.setPaths(lanePaths([lanePath(5, 'first')]));
    pass(10);
    expect(lane.addon.udpSends.map(({ endpoint }) => endpoint?.address[3])).toEqual([6]);
  });

  it('are the same bytes, with the same traffic class', () => {
    give({ copies: { count: 2, delayMs: 5 } });
    const packet = udpPacketBytes(9, 0, 300);
    packet[1] = 1;
    lane.addon.tunQueue.push(plainFromTun(packet));
    outbound.turn();
    const [first] = lane.addon.udpSends;
    pass(5);
    const [copy] = lane.addon.udpSends;
    expect([copy.datagrams, copy.trafficClass]).toEqual([first.datagrams, 1]);
  });

  it('are given up when the ring has come round meanwhile, and counted', () => {
    const history = give({ copies: { count: 2, delayMs: 50 }, ringBytes: RING_BYTES_MIN });
    for (let turn = 0; turn < 20; turn += 1) send(60, 1_400);
    const sent = pass(60).flatMap(([, counters]) => counters);
    expect(sent.at(-1)).toBe(1_199);
    expect(sent.length + history.cells[HISTORY_CELL.COPIES_HELD]).toBe(1_200);
    expect(history.cells[HISTORY_CELL.COPIES_HELD]).toBeGreaterThan(400);
  });

  it('wait no longer when copies are off, or the ring is another', () => {
    const history = give({ copies: { count: 2, delayMs: 5 } });
    send(1);
    giveHistory(lane, peer, { copies: { count: 2, delayMs: 5 }, ringBytes: 2 * RING_BYTES_MIN });
    expect(history.sendDueMs).toBe(Number.POSITIVE_INFINITY);
    send(1);
    giveHistory(lane, peer, {});
    expect(pass(20)).toEqual([]);
    expect(history.cells[HISTORY_CELL.RING_BYTES]).toBe(0);
  });
});

describe('the end of a burst', () => {
  it('is told three times, ever more slowly, and again after more data', () => {
    const history = give({ retransmitMs: 150 });
    history.setPaths(lanePaths([], { rttMs: 40 }));
    send(2);
    expect(pass(5)).toEqual([]);
    send(1);
    expect(pass(100)).toEqual([
      [15, [3]],
      [35, [4]],
      [75, [5]],
    ]);
    expect(lane.count('CONTROL_TX')).toBe(3);
    send(1);
    expect(pass(100)).toHaveLength(3);
  });

  it('is a message of five bytes that is no IP packet', () => {
    give({ retransmitMs: 150 }).setPaths(lanePaths([], { rttMs: 0 }));
    send(1);
    pass(5);
    const [tail] = lane.addon.udpSends.flatMap(({ datagrams }) => datagrams);
    expect([...openMessage(tail, 0).plaintext]).toEqual([1, 9, 0, 1, 0, ...new Uint8Array(11)]);
  });

  it('is no news to a peer that knows no gaps, nor without repeats', () => {
    const history = give({ retransmitMs: 150 });
    const knows = { gaps: false, paths: true, parity: false };
    history.setPaths(lanePaths([], { knows }));
    send(1);
    expect(pass(100)).toEqual([]);
    history.setPaths(lanePaths([]));
    send(1);
    history.setPaths(lanePaths([], { knows }));
    expect(pass(100)).toEqual([]);
    give({ copies: { count: 2, delayMs: 900 } }).setPaths(lanePaths([]));
    send(1);
    expect(pass(100)).toEqual([]);
  });
});

describe('who makes parity', () => {
  it('is shown every data message in order, and may send when the batch is gone', () => {
    const shown: [counter: number, length: number, first: number][] = [];
    const messages: number[] = [];
    const watch: SealedWatch = {
      dueMs: Number.POSITIVE_INFINITY,
      onSealed: (_, counter, offset, length) => shown.push([counter, length, lane.arena.view.getInt32(offset, true)]),
      onSent: () => {
        // Its own message is no data: it is not told of it again.
        if (messages.length < 2)
          messages.push(lane.context.sender?.sendMessage(peer, lane.arena.controlOut, 100, -1) ? 1 : 0);
      },
      onDue: () => {},
    };
    give({ retransmitMs: 150 }).sealedWatch = watch;
    send(2);
    outbound.keepalive(peer);
    outbound.sendControl(peer, [[new Uint8Array(30)]]);
    send(1, 200);
    expect(shown.map(([, length, type]) => [length, type])).toEqual([
      [432, 4],
      [432, 4],
      [240, 4],
    ]);
    expect(messages).toEqual([1, 1]);
    const counters = lane.addon.udpSends.flatMap(({ datagrams }) =>
      datagrams.map((each) => openMessage(each, 0).counter),
    );
    expect(counters).toEqual(Array.from(counters, (_, at) => at));
    expect(counters.length).toBe(7);
  });
});
