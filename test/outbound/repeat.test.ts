/** What a peer reports as missing is sent again: the very same bytes, to the peer and nobody else, and no more than the budget. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { HISTORY_CELL } from '../../src/history/history-cells.ts';
import type { PeerHistory } from '../../src/history/peer-history.ts';
import { REPEATS_MAX } from '../../src/history/repeats.ts';
import { SENT_DATAGRAMS_MAX } from '../../src/history/sent-ring.ts';
import { RING_BYTES_MIN } from '../../src/history/settings.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { bytesFrom, ipv4Header, tcpHeader, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { giveHistory, type HistoryWish, lanePath, lanePaths } from '../support/fake-history.ts';
import { FakeLane, openMessage } from '../support/fake-lane.ts';
import { type Gap, gapsMessage, goneGaps, reportGaps, takeMessage } from '../support/gap-report.ts';
import { plainFromTun, superFromTun } from '../support/virtio.ts';

const REPEATING: HistoryWish = { retransmitMs: 150, ringBytes: RING_BYTES_MIN };

let lane: FakeLane;
let peer: LanePeer;
let outbound: OutboundPath;
/** What the peer was told that it will not get, since it was last asked. */
let gone: Gap[];

function open(): void {
  lane = new FakeLane({ historiesBytes: 4 << 20 });
  [peer] = [0, 1].map((id) => lane.addReadyPeer(id));
  lane.route([0, 1].map((id) => ({ address: Uint8Array.of(10, 0, 1, id), length: 32, peer: id })));
  outbound = new OutboundPath(lane.context, 1_500);
  gone = [];
}

beforeEach(open);

function give(wish: HistoryWish = {}): PeerHistory {
  const history = giveHistory(lane, peer, { ...REPEATING, ...wish });
  history.setPaths(lanePaths([], { rttMs: 20 }));
  return history;
}

/** Sends packets of equal length to the peer, in one turn. */
function send(count: number, length = 400): void {
  for (let packet = 0; packet < count; packet += 1)
    lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, 0, length, packet)));
  outbound.turn();
}

/** Counters that are sent by what follows, in groups; but for what tells of others that are not. */
function countersOf(act: () => void): number[][] {
  lane.addon.udpSends.length = 0;
  gone = [];
  act();
  const groups = lane.addon.udpSends.map(({ datagrams }) => datagrams.map((datagram) => openMessage(datagram, 0)));
  gone = groups.flat().flatMap(({ plaintext }) => goneGaps(plaintext) ?? []);
  const repeats = groups.filter(([first]) => first === undefined || goneGaps(first.plaintext) === null);
  return repeats.map((group) => group.map(({ counter }) => counter));
}

function report(...gaps: [number, number][]): number[][] {
  return countersOf(() => reportGaps(lane, peer, gaps));
}

describe('what is missing', () => {
  it('is sent again, in groups where it lies together', () => {
    give();
    send(20);
    expect(report([3, 1], [7, 4], [19, 1])).toEqual([[3], [7, 8, 9, 10], [19]]);
    expect(lane.count('REPEATS_TX')).toBe(6);
    expect(lane.count('UDP_TX')).toBe(26);
    expect(lane.count('UDP_TX_UNIQ')).toBe(20);
  });

  it('is sent in groups no larger than the peer takes, equal in length but for a shorter last', () => {
    give();
    lane.addon.tunQueue.push(...[600, 600, 600, 300, 600, 600].map((n) => plainFromTun(udpPacketBytes(9, 0, n))));
    outbound.turn();
    expect(report([0, 6])).toEqual([
      [0, 1, 2, 3],
      [4, 5],
    ]);
    lane.addon.nowMs += 20;
    peer.groupDatagramsMax = 2;
    peer.groupShortTail = false;
    expect(report([0, 6])).toEqual([[0, 1], [2], [3], [4, 5]]);
  });

  it('is found where another lane took counters in between', () => {
    give();
    const memory = peer.current?.memory;
    const reserve = memory?.reserve.bind(memory);
    if (memory === undefined || reserve === undefined) throw new Error('expected a keypair');
    memory.reserve = (count) => reserve(1) * 0 + reserve(count);
    send(3);
    expect(lane.addon.udpSends.map(({ datagrams }) => datagrams.length)).toEqual([3]);
    expect(report([0, 6])).toEqual([[1, 3, 5]]);
  });

  it('goes over the soonest other path that may carry data', () => {
    const history = give();
    const paths = [
      lanePath(0, 'first'),
      lanePath(1, 'copy', { delayMs: 30 }),
      lanePath(2, 'copy', { delayMs: 5 }),
      lanePath(3, 'idle', { delayMs: 1 }),
    ];
    history.setPaths(lanePaths(paths));
    send(1);
    report([0, 1]);
    expect(lane.addon.udpSends.map(({ endpoint }) => endpoint?.address[3])).toEqual([3]);
    lane.addon.nowMs += 20;
    report([0, 1]);
    expect(lane.addon.udpSends.map(({ endpoint }) => endpoint?.address[3])).toEqual([1]);
  });

  it('is not sent again a moment later, and not for ever', () => {
    const history = give({ retransmitBudget: 100 });
    history.setPaths(lanePaths([], { rttMs: 16 }));
    send(1);
    const sent = Array.from({ length: 40 }, () => {
      lane.addon.nowMs += 4;
      return report([0, 1]).length;
    });
    expect(sent.slice(0, 5)).toEqual([1, 0, 0, 0, 1]);
    expect(sent.reduce((sum, each) => sum + each, 0)).toBe(REPEATS_MAX);
  });

  it('is not sent more often to who asks for one range and another in turns, on either keypair', () => {
    give({ retransmitBudget: 100 });
    send(8);
    peer.current = lane.addKeypair(peer, { id: 8, localIndex: 1_008, remoteIndex: 2_008 });
    send(8);
    for (let step = 0; step < 140; step += 1) {
      lane.addon.nowMs += 1;
      reportGaps(lane, peer, [[step % 4 < 2 ? 0 : 4, 4]], step % 2 === 0 ? 2_008 : 2_000);
    }
    // Sixteen datagrams, each once in 0.9 round trips of 20 ms: on every fourth step, so after 20 ms.
    expect(lane.count('REPEATS_TX')).toBe(16 * 7);
  });

  it('is not sent again when it would come too late', () => {
    const history = give();
    send(1);
    lane.addon.nowMs += 151;
    expect(report([0, 1])).toEqual([]);
    expect(history.cells[HISTORY_CELL.REPEATS_GONE]).toBe(1);
  });

  it('is nothing that was never sent, nor what is no longer kept', () => {
    const history = give();
    send(5);
    expect(report([5, 3])).toEqual([]);
    expect(gone).toEqual([]);
    for (let turn = 0; turn < 9; turn += 1) send(100, 1_400);
    expect(report([0, 5])).toEqual([]);
    expect(gone).toEqual([[0, 5]]);
    expect(history.cells[HISTORY_CELL.REPEATS_GONE]).toBe(5);
    expect(report([904, 1])).toEqual([[904]]);
  });

  it('is known of the keypair before, and of none that is older', () => {
    give();
    send(2);
    for (const [id, expected] of [
      [5, [[0]]],
      [6, []],
    ] as const) {
      peer.current = lane.addKeypair(peer, { id });
      send(2);
      expect(countersOf(() => reportGaps(lane, peer, [[0, 1]], 2_000))).toEqual(expected);
      lane.addon.nowMs += 20;
    }
    expect(countersOf(() => reportGaps(lane, peer, [[0, 1]], 2_005))).toHaveLength(1);
  });

  it('is no control message of the control lane, which may be a probe', () => {
    give();
    outbound.sendControl(peer, [[new Uint8Array(40)]]);
    send(1);
    expect(report([0, 2])).toEqual([[1]]);
    expect(gone).toEqual([[0, 1]]);
  });

  it('may be a message of the histories themselves', () => {
    give();
    lane.context.sender?.sendMessage(peer, lane.arena.controlOut, 30, -1);
    expect(report([0, 1])).toEqual([[0]]);
  });
});

describe('what will never be repeated', () => {
  const probe = (): void => outbound.sendControl(peer, [[new Uint8Array(40)]]);

  it('is told at once, by ranges, and again as often as it is asked for', () => {
    give();
    for (const act of [probe, probe, () => send(1), probe, () => send(2)]) act();
    for (let asked = 0; asked < 3; asked += 1) {
      lane.addon.nowMs += 20;
      report([0, 2], [3, 2]);
      expect(gone).toEqual([
        [0, 2],
        [3, 1],
      ]);
    }
    expect(lane.addon.udpSends.map(({ endpoint }) => endpoint?.address)).toEqual(
      Array(2).fill(Uint8Array.of(203, 0, 113, 1)),
    );
  });

  it('is told of in no more bytes than were asked in', () => {
    give();
    for (let each = 0; each < 30; each += 1) {
      probe();
      send(1);
    }
    report([0, 60]);
    expect(gone).toEqual([[0, 1]]);
    report([0, 30], [31, 29]);
    expect(gone).toEqual([
      [0, 1],
      [2, 1],
    ]);
  });

  it('is not told of what is too late, or waits for a budget, or of a keypair that is gone', () => {
    const history = give({ retransmitBudget: 0 });
    send(60, 1_400);
    report([0, 60]);
    expect(history.cells[HISTORY_CELL.REPEATS_HELD]).toBeGreaterThan(0);
    lane.addon.nowMs += 151;
    report([0, 60]);
    expect(gone).toEqual([]);
    expect(countersOf(() => reportGaps(lane, peer, [[0, 1]], 77))).toEqual([]);
    expect(gone).toEqual([]);
  });

  it('is told within the budget of repeats', () => {
    give({ retransmitBudget: 0 });
    probe();
    send(1);
    let told = 0;
    for (let asked = 0; asked < 2_000; asked += 1) {
      lane.addon.nowMs += 1;
      report([0, 1]);
      told += lane.addon.udpSends.reduce((sum, { length }) => sum + length, 0);
    }
    expect(told).toBeGreaterThan(32_768);
    expect(told).toBeLessThanOrEqual(65_536);
  });
});

describe('what was sent over a path that died', () => {
  const first = (path: number): void => {
    const history = peer.history;
    history?.setPaths(lanePaths([0, 1].map((each) => lanePath(each, each === path ? 'first' : 'idle'))));
    if (history !== null) outbound.pathsChanged(history);
  };

  it('is sent again over the one that is used now, as far as it is young, and once', () => {
    give();
    first(0);
    send(2);
    lane.addon.nowMs += 160;
    send(3);
    expect(countersOf(() => first(1))).toEqual([[2, 3, 4]]);
    expect(lane.addon.udpSends[0].endpoint?.address[3]).toBe(2);
    expect(countersOf(() => first(1))).toEqual([]);
    lane.addon.nowMs += 20;
    expect(countersOf(() => first(0))).toEqual([[2, 3, 4]]);
    expect(lane.count('REPEATS_TX')).toBe(6);
  });

  it('is no more than a burst, the newest of it', () => {
    give();
    first(0);
    for (let turn = 0; turn < 6; turn += 1) send(50, 1_400);
    const again = countersOf(() => first(1)).flat();
    expect(again.at(-1)).toBe(299);
    expect(again.length).toBe(Math.floor(262_144 / 1_440));
  });

  it('is within the budget, however often the peer changes its path', () => {
    give();
    let firstBytes = 0;
    let againBytes = 0;
    for (let turn = 0; turn < 400; turn += 1) {
      first(turn & 1);
      againBytes += lane.addon.udpSends.splice(0).reduce((sum, { length }) => sum + length, 0);
      send(10, 1_300);
      firstBytes += lane.addon.udpSends.splice(0).reduce((sum, { length }) => sum + length, 0);
      lane.addon.nowMs += 10;
    }
    expect(againBytes).toBeLessThanOrEqual(0.25 * firstBytes + 65_536 + 262_144);
    expect(againBytes).toBeGreaterThan(0.2 * firstBytes);
  });

  it('is not sent again while the path may still be used, or to a peer that knows no gaps', () => {
    const history = give();
    first(0);
    send(2);
    history.setPaths(lanePaths([lanePath(1, 'first'), lanePath(0, 'copy')], { mode: 'redundant' }));
    expect(countersOf(() => outbound.pathsChanged(history))).toEqual([]);
    first(1);
    send(2);
    const knows = { gaps: false, paths: false, parity: false };
    history.setPaths(lanePaths([lanePath(0, 'first')], { knows }));
    expect(countersOf(() => outbound.pathsChanged(history))).toEqual([]);
  });
});

describe('a peer that lies', () => {
  it('gets no more than the budget', () => {
    const history = give();
    let firstBytes = 0;
    let repeatBytes = 0;
    for (let turn = 0; turn < 300; turn += 1) {
      lane.addon.udpSends.length = 0;
      send(10, 1_300);
      firstBytes += 10 * (1_312 + 32);
      lane.addon.udpSends.length = 0;
      for (let again = 0; again < 3; again += 1) reportGaps(lane, peer, [[turn * 10, 10]]);
      repeatBytes += lane.addon.udpSends.reduce((sum, { length }) => sum + length, 0);
      lane.addon.nowMs += 10;
    }
    expect(repeatBytes).toBeLessThanOrEqual(0.25 * firstBytes + 65_536);
    expect(repeatBytes).toBeGreaterThan(0.2 * firstBytes);
    expect(history.cells[HISTORY_CELL.REPEATS_HELD]).toBeGreaterThan(1_000);
  });

  it('makes the lane look at no more counters than a keypair keeps, in some reports each millisecond', () => {
    const history = give({ retransmitBudget: 0 });
    send(1);
    peer.current?.memory.reserve(100_000);
    send(1);
    for (let times = 0; times < 100; times += 1) takeMessage(lane, peer, gapsMessage(2_000, 99_000, [[99_000, 8_192]]));
    expect(history.cells[HISTORY_CELL.REPEATS_ASKED]).toBeLessThanOrEqual(16 * SENT_DATAGRAMS_MAX);
    expect(history.cells[HISTORY_CELL.REPEATS_ASKED]).toBeGreaterThan(0);
  });

  it('makes the lane look up a bounded number of counters in the long run, and the others are booked as held', () => {
    // Fewer than are kept: each answer takes a counter, too.
    const ASKED = 8_000;
    const history = give({ retransmitBudget: 0 });
    send(1);
    peer.current?.memory.reserve(100_000);
    send(1);
    lane.addon.nowMs += 1_000;
    send(0);
    const gone = (): number => history.cells[HISTORY_CELL.REPEATS_GONE];
    for (let times = 0; times < 16; times += 1) takeMessage(lane, peer, gapsMessage(2_000, 92_000, [[92_000, ASKED]]));
    expect(gone()).toBe(16 * ASKED);
    const before = gone();
    for (let ms = 0; ms < 20; ms += 1) {
      lane.addon.nowMs += 1;
      send(0);
      takeMessage(lane, peer, gapsMessage(2_000, 92_000, [[92_000, ASKED]]));
    }
    const left = 16 * (SENT_DATAGRAMS_MAX - ASKED);
    expect(gone() - before).toBe(20 * 512 + left);
    expect(history.cells[HISTORY_CELL.REPEATS_ASKED]).toBe(36 * ASKED);
    expect(history.cells[HISTORY_CELL.REPEATS_HELD]).toBe(20 * (ASKED - 512) - left);
  });

  it('sends whatever bytes it likes: they ask for nothing that was not sent', () => {
    const history = give({ retransmitBudget: 1 });
    send(30);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (noise, isOurs) => {
        lane.addon.nowMs += 1;
        const body = Uint8Array.from(noise);
        if (isOurs && body.length > 24) body.set(gapsMessage(2_000, 0, [[noise[5] % 40, 1 + (noise[6] % 9)]]));
        const sent = countersOf(() => takeMessage(lane, peer, body)).flat();
        expect(sent.every((counter) => counter < 30)).toBe(true);
      }),
      { numRuns: 500 },
    );
    expect(lane.addon.udpTries.every(({ peer: to }) => to === 0)).toBe(true);
    expect(history.cells[HISTORY_CELL.REPEATS_TX]).toBe(lane.count('REPEATS_TX'));
  });

  it('gets nothing where nothing is kept', () => {
    giveHistory(lane, peer, {});
    send(3);
    expect(report([0, 3])).toEqual([]);
  });
});

describe('every sending of a counter', () => {
  /** What may happen, each with a number that shapes it. */
  const step = fc.tuple(
    fc.constantFrom(
      'super',
      'super',
      'super',
      'packets',
      'keepalive',
      'rekey',
      'message',
      'control',
      'report',
      'report',
      'staged',
    ),
    fc.nat({ max: 0xffff }),
  );

  /** Bytes of each datagram that was sent first, by receiver index and counter. */
  let first: Map<string, Uint8Array>;
  let keypairs: number;

  function act([kind, number]: readonly [string, number]): void {
    const to = number & 1;
    const other = lane.context.peers[to];
    if (other === undefined) return;
    if (kind === 'super') {
      const payload = bytesFrom(number, 1 + ((number * 17) % 65_000));
      const packet = { kind: 'tcp', ip: ipv4Header(9, to), tcp: tcpHeader(), payload } as const;
      lane.addon.tunQueue.push(superFromTun(packet, 200 + (number % 1_200)));
    } else if (kind === 'packets')
      for (let packet = 0; packet < number % 40; packet += 1)
        lane.addon.tunQueue.push(plainFromTun(udpPacketBytes(9, packet & 1, 40 + ((number * packet) % 1_380))));
    else if (kind === 'keepalive') outbound.keepalive(other);
    else if (kind === 'message') lane.context.sender?.sendMessage(other, lane.arena.controlOut, number % 1_000, -1);
    else if (kind === 'control') outbound.sendControl(other, [[bytesFrom(number, 1 + (number % 900))]]);
    else if (kind === 'rekey') {
      keypairs += 1;
      other.current = lane.addKeypair(other, { id: keypairs });
    } else if (kind === 'staged') {
      const { current } = other;
      other.current = null;
      act(['packets', number]);
      outbound.turn();
      other.current = current;
      outbound.release(other);
    } else reportSome(to, number);
    if (number % 3 !== 0 || lane.addon.tunQueue.length > 6) while (outbound.turn() > 0);
  }

  function reportSome(to: number, number: number): void {
    const other = lane.context.peers[to];
    const next = other?.current?.memory.counters[0] ?? 0;
    if (other === undefined || next === 0) return;
    const from = Math.max(0, Math.floor(next - (number % 3_000)));
    lane.addon.nowMs += 8;
    reportGaps(
      lane,
      other,
      [[from, 1 + (number % 90)]],
      (other.current?.remoteIndex ?? 0) - (number % 7 === 0 ? 1 : 0),
    );
  }

  function checkSends(): number {
    let again = 0;
    for (const { datagrams } of lane.addon.udpSends.splice(0))
      for (const datagram of datagrams) {
        const key = Buffer.from(datagram.subarray(0, 16)).toString('hex');
        const before = first.get(key);
        if (before === undefined) first.set(key, datagram);
        else if (Buffer.compare(before, datagram) !== 0) throw new Error(`other bytes for ${key}`);
        else again += 1;
      }
    return again;
  }

  it('is the same bytes, however the ring comes round', { timeout: 60_000 }, () => {
    let again = 0;
    let rounds = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 40, maxLength: 160, size: 'max' }), (steps) => {
        open();
        first = new Map();
        keypairs = 10;
        const histories = [0, 1].map((id) => {
          const copies = id === 0 ? { count: 2, delayMs: 10, budget: 1 } : { count: 1 };
          const wish = { ...REPEATING, retransmitMs: 1_000, retransmitBudget: 1, copies };
          return giveHistory(lane, lane.context.peers[id] ?? peer, wish);
        });
        for (const each of steps) {
          act(each);
          again += checkSends();
          for (const history of histories)
            if (history.sendDueMs <= lane.addon.nowMs) outbound.sendDue(history, lane.addon.nowMs);
          again += checkSends();
        }
        rounds += [...first.values()].reduce((sum, { length }) => sum + length, 0) / (2 * RING_BYTES_MIN);
      }),
      { numRuns: 25 },
    );
    expect(again).toBeGreaterThan(1_000);
    expect(rounds).toBeGreaterThan(3);
  });
});
