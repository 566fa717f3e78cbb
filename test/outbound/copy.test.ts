/** Over which path datagrams go, which are copied, and how often: what a lane does with what it was told of a peer's paths. */
import { beforeEach, describe, expect, it } from 'vitest';
import { HISTORY_CELL, PATH_CELL } from '../../src/history/history-cells.ts';
import type { PeerHistory } from '../../src/history/peer-history.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import { encodeControlMessage } from '../../src/protocol/control-message.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { bytesFrom, ipv4Header, tcpHeader, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { giveHistory, type HistoryWish, lanePath, lanePaths } from '../support/fake-history.ts';
import { FakeLane, openMessage } from '../support/fake-lane.ts';
import { plainFromTun, superFromTun } from '../support/virtio.ts';

let lane: FakeLane;
let peers: LanePeer[];
let outbound: OutboundPath;

beforeEach(() => {
  lane = new FakeLane({ historiesBytes: 4 << 20 });
  peers = [0, 1].map((id) => lane.addReadyPeer(id));
  lane.route(peers.map(({ id }) => ({ address: Uint8Array.of(10, 0, 1, id), length: 32, peer: id })));
  outbound = new OutboundPath(lane.context, 1_500);
});

function give(wish: HistoryWish = {}): PeerHistory {
  return giveHistory(lane, peers[0], wish);
}

/** One packet to each of the peers named. */
function send(...to: number[]): void {
  for (const peer of to) lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, peer, 400)));
  outbound.turn();
}

function sendPacket(packet: Uint8Array): void {
  lane.addon.tunQueue.push(plainFromTun(packet));
  outbound.turn();
}

/** Last byte of the address that each group went to, and the counters that it held. */
function groups(): [to: number, counters: number[]][] {
  return lane.addon.udpSends.map(({ endpoint, datagrams, peer }) => [
    endpoint?.address[3] ?? 0,
    datagrams.map((datagram) => openMessage(datagram, peer).counter),
  ]);
}

function expectBooks(): void {
  const sent = lane.addon.udpSends.flatMap(({ datagrams }) => datagrams);
  expect(lane.count('UDP_TX')).toBe(sent.length);
  expect(lane.count('UDP_TX_BYTES')).toBe(sent.reduce((sum, { length }) => sum + length, 0));
  expect(lane.count('UDP_TX')).toBe(lane.count('UDP_TX_UNIQ') + lane.count('COPIES_TX') + lane.count('REPEATS_TX'));
}

describe('a peer with paths', () => {
  it('is sent to over the first, and the path has that in its books', () => {
    const history = give();
    history.setPaths(lanePaths([lanePath(3, 'idle'), lanePath(5, 'first')]));
    send(0, 0, 1);
    expect(groups()).toEqual([
      [6, [0, 1]],
      [2, [0]],
    ]);
    const at = history.cellsOf(5);
    const { UDP_TX, UDP_TX_UNIQ, UDP_TX_BYTES } = PATH_CELL;
    expect([UDP_TX, UDP_TX_UNIQ, UDP_TX_BYTES].map((cell) => history.cells[at + cell])).toEqual([2, 2, 864]);
    expectBooks();
  });

  it('needs no endpoint of its own', () => {
    peers[0].endpoint.fill(0);
    give().setPaths(lanePaths([lanePath(0, 'first')]));
    send(0);
    outbound.keepalive(peers[0]);
    expect(groups()).toEqual([
      [1, [0]],
      [1, [1]],
    ]);
  });

  it('is sent to at its endpoint while none of its paths is to be used', () => {
    give().setPaths(lanePaths([lanePath(0, 'idle')]));
    send(0);
    expect(groups()).toEqual([[1, [0]]]);
    expect(lane.addon.udpSends[0].endpoint?.port).toBe(51_820);
  });

  it('is followed where it was heard, until that path is gone', () => {
    const history = give();
    const paths = [lanePath(1, 'first'), lanePath(2, 'copy')];
    history.setPaths(lanePaths(paths, { mode: 'follow' }));
    history.choice.first = 2;
    history.setPaths(lanePaths(paths, { mode: 'follow' }));
    expect(history.choice.first).toBe(2);
    history.setPaths(lanePaths(paths.slice(0, 1), { mode: 'follow' }));
    expect(history.choice.first).toBe(1);
  });

  it('keeps a local address that is gone: without it the path is another', () => {
    const history = give();
    history.setPaths(lanePaths([lanePath(0, 'first')]));
    lane.addon.sendErrno = () => 99;
    send(0);
    expect(lane.addon.udpTries.length).toBe(1);
    expect(lane.drops()).toEqual({ OUT_SEND_FAILED: 1 });
    expect(history.cells[history.cellsOf(0) + PATH_CELL.UDP_TX_FAILED]).toBe(1);
  });
});

describe('control messages over a path that is named', () => {
  const message = encodeControlMessage({ kind: 'ask', round: 7 });

  it('go there and nowhere else, and are never copied', () => {
    give({ copies: { count: 3 } }).setPaths(lanePaths([lanePath(0, 'first'), lanePath(4, 'idle')]));
    outbound.sendControl(peers[0], [[message], [message, message]], 4);
    expect(groups()).toEqual([
      [5, [0]],
      [5, [1, 2]],
    ]);
    expect(lane.count('CONTROL_TX')).toBe(3);
    lane.addon.udpSends.length = 0;
    send(0);
    expect(groups().map(([to]) => to)).toEqual([1, 1, 1]);
  });

  it('are whole groups where data goes in small ones: a probe is to find out about such groups', () => {
    const paths = [lanePath(0, 'first'), lanePath(1, 'first')];
    give().setPaths(lanePaths(paths, { mode: 'weighted' }));
    outbound.sendControl(peers[0], [new Array<Uint8Array>(20).fill(message)], 1);
    expect(groups().map(([to, counters]) => [to, counters.length])).toEqual([[2, 20]]);
  });

  it('go as data goes where none is named', () => {
    give({ copies: { count: 2 } }).setPaths(lanePaths([lanePath(3, 'first')]));
    outbound.sendControl(peers[0], [[message]]);
    expect(groups()).toEqual([[4, [0]]]);
  });

  it.each([1, 8, -2, 1e9])('are left out when there is no such path: %d', (path) => {
    give().setPaths(lanePaths([lanePath(0, 'first')]));
    outbound.sendControl(peers[0], [[message]], path);
    outbound.sendControl(peers[1], [[message]], path);
    expect(lane.addon.udpTries).toEqual([]);
  });
});

describe('copies at once', () => {
  it('go to the same place where there is one', () => {
    const history = give({ copies: { count: 3, budget: 2 } });
    send(0, 0, 1, 0);
    expect(groups()).toEqual([
      [1, [0, 1]],
      [2, [0]],
      [1, [2]],
      [1, [0, 1]],
      [1, [2]],
      [1, [0, 1]],
      [1, [2]],
    ]);
    expect(history.cells[HISTORY_CELL.COPIES_TX]).toBe(6);
    expectBooks();
  });

  it('are the very same bytes', () => {
    give({ copies: { count: 2 } });
    const payload = bytesFrom(1, 900);
    lane.addon.tunQueue.push(superFromTun({ kind: 'tcp', ip: ipv4Header(9, 0), tcp: tcpHeader(), payload }, 250));
    outbound.turn();
    const [first, copy] = lane.addon.udpSends;
    expect(copy.datagrams).toEqual(first.datagrams);
  });

  it('go over the other paths, each once', () => {
    const history = give();
    history.setPaths(
      lanePaths([lanePath(0, 'first'), lanePath(1, 'copy'), lanePath(2, 'copy')], { mode: 'redundant' }),
    );
    send(0, 0);
    expect(groups()).toEqual([
      [1, [0, 1]],
      [2, [0, 1]],
      [3, [0, 1]],
    ]);
    const { UDP_TX, UDP_TX_UNIQ } = PATH_CELL;
    expect([0, 1, 2].map((path) => history.cells[history.cellsOf(path) + UDP_TX])).toEqual([2, 2, 2]);
    expect([0, 1, 2].map((path) => history.cells[history.cellsOf(path) + UDP_TX_UNIQ])).toEqual([2, 0, 0]);
    expectBooks();
  });

  it('go over every path that is left when one of them fails, also the first', () => {
    const history = give();
    history.setPaths(lanePaths([lanePath(0, 'first'), lanePath(1, 'copy')], { mode: 'redundant' }));
    lane.addon.sendErrno = ({ endpoint }) => (endpoint?.address[3] === 1 ? 101 : 0);
    send(0, 0);
    expect(groups()).toEqual([[2, [0, 1]]]);
    expect(lane.drops()).toEqual({ OUT_SEND_FAILED: 2 });
    lane.addon.sendErrno = ({ endpoint }) => (endpoint?.address[3] === 2 ? 101 : 0);
    send(0);
    expect(history.cells[HISTORY_CELL.AGAIN_FAILED]).toBe(1);
    expect(lane.drops()).toEqual({ OUT_SEND_FAILED: 2 });
  });

  it('are whole groups also where the first sending had to go datagram by datagram', () => {
    give().setPaths(lanePaths([lanePath(0, 'first'), lanePath(1, 'copy')], { mode: 'redundant' }));
    lane.addon.sendErrno = ({ endpoint, segmentLength }) => (endpoint?.address[3] === 1 && segmentLength > 0 ? 90 : 0);
    send(0, 0, 0);
    expect(groups()).toEqual([
      [1, [0]],
      [1, [1]],
      [1, [2]],
      [2, [0, 1, 2]],
    ]);
  });

  it('are no more than their budget', () => {
    const history = give({ copies: { count: 2, budget: 0.25 } });
    for (let turn = 0; turn < 4_000; turn += 1) send(0);
    const [copies, held] = [history.cells[HISTORY_CELL.COPIES_TX], history.cells[HISTORY_CELL.COPIES_HELD]];
    expect(copies * 432).toBeLessThanOrEqual(4_000 * 432 * 0.25 + 262_144);
    expect(copies).toBeGreaterThan(1_000);
    expect(copies + held).toBe(4_000);
    expectBooks();
  });

  it('that adapt are sent while loss asks for them', () => {
    const history = give({ copies: { count: 2, when: 'loss' } });
    const copiesAt = (loss: number): number => {
      history.setPaths(lanePaths([], { loss }));
      lane.addon.udpSends.length = 0;
      send(0);
      return lane.addon.udpSends.length - 1;
    };
    expect([0, 0.002, 0.003, 0.001, 0.0004, 0.001].map(copiesAt)).toEqual([0, 0, 1, 1, 0, 0]);
  });
});

describe('copies of some', () => {
  const only = { small: false, handshake: false, dscps: [] };

  it('are of short datagrams', () => {
    give({ copies: { count: 2, only: { ...only, small: true } } });
    sendPacket(udpPacketBytes(9, 0, 300));
    sendPacket(udpPacketBytes(9, 0, 200));
    expect(groups().map(([, counters]) => counters)).toEqual([[0], [1], [1]]);
  });

  it('are of keepalives', () => {
    give({ copies: { count: 2, only: { ...only, handshake: true } } });
    sendPacket(udpPacketBytes(9, 0, 50));
    outbound.keepalive(peers[0]);
    expect(groups().map(([, counters]) => counters)).toEqual([[0], [1], [1]]);
  });

  it('are of packets with a DSCP, which part groups from others', () => {
    give({ copies: { count: 2, only: { ...only, dscps: [46] } } });
    for (const dscp of [0, 46, 46, 10]) {
      const packet = udpPacketBytes(9, 0, 500);
      packet[1] = dscp << 2;
      lane.addon.tunQueue.push(plainFromTun(packet));
    }
    outbound.turn();
    expect(groups().map(([, counters]) => counters)).toEqual([[0], [1, 2], [3], [1, 2]]);
  });
});
