/**
 * Two lanes with histories, joined by a link that loses, reorders and doubles datagrams in both directions, those of the lanes'
 * own messages too. Time is simulated; the seed is printed with what fails.
 *
 *     packets -> [ TUN, outbound, ring ] -> link -> [ gaps, order, TUN ] -> delivered
 *                [        repeats      ] <- link <- [     reports      ]
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HISTORY_CELL } from '../../src/history/history-cells.ts';
import type { PeerHistory } from '../../src/history/peer-history.ts';
import { InboundPath } from '../../src/inbound/receive.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { giveHistory, type HistoryWish, lanePaths } from '../support/fake-history.ts';
import { endpointOf, FakeLane } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';
import { plainFromTun } from '../support/virtio.ts';
import { EventQueue } from './event-queue.ts';

const START_MS = 1_000_000;
const ONE_WAY_MS = 10;

interface Link {
  readonly loss: number;
  readonly jitterMs: number;
  readonly double: number;
}

interface End {
  readonly lane: FakeLane;
  readonly history: PeerHistory;
  readonly outbound: OutboundPath;
  readonly inbound: InboundPath;
  plannedMs: number;
}

interface Delivery {
  readonly number: number;
  readonly atMs: number;
}

/** Small and good enough for chance in tests (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function openEnd(side: 0 | 1, wish: HistoryWish): End {
  const lane = new FakeLane({ historiesBytes: 1 << 24, gsoDatagramsMax: 1 });
  const peer = lane.addPeer(0, endpointOf(side));
  lane.routeAllTo(0);
  const history = giveHistory(lane, peer, wish);
  history.setPaths(lanePaths([], { rttMs: 2 * ONE_WAY_MS }));
  peer.current = lane.addKeypair(peer, { id: 0, localIndex: 100 + side, remoteIndex: 101 - side });
  const outbound = new OutboundPath(lane.context, 1_500);
  const inbound = new InboundPath(lane.context, openGate(lane));
  return { lane, history, outbound, inbound, plannedMs: Number.POSITIVE_INFINITY };
}

class Tunnel {
  readonly queue: EventQueue = new EventQueue();
  readonly ends: readonly [End, End];
  readonly delivered: Delivery[] = [];
  readonly sentMs: number[] = [];
  readonly #random: () => number;
  readonly #link: Link;

  constructor(wish: HistoryWish, link: Link, seed: number) {
    this.ends = [openEnd(0, wish), openEnd(1, wish)];
    this.#link = link;
    this.#random = randomFrom(seed);
  }

  /** A numbered packet enters at the first end. */
  send(): void {
    const number = this.sentMs.length;
    this.sentMs.push(this.queue.nowMs);
    const packet = udpPacketBytes(1, 2, 100);
    new DataView(packet.buffer, packet.byteOffset).setUint32(40, number);
    this.ends[0].lane.addon.tunQueue.push(plainFromTun(packet));
    this.#turn(this.ends[0]);
  }

  /** A new keypair on both ends, as after a handshake. */
  rekey(id: number): void {
    for (const [side, { lane, history }] of this.ends.entries()) {
      const indices = { localIndex: 100 + side + 10 * id, remoteIndex: 101 - side + 10 * id };
      history.peer.current = lane.addKeypair(history.peer, { id, ...indices, bornMs: lane.addon.nowMs + 1 });
    }
  }

  #turn(end: End): void {
    const { lane, outbound, inbound } = end;
    lane.addon.nowMs = START_MS + this.queue.nowMs;
    lane.addon.book(lane.context.handle, 0);
    while (inbound.turn(4) > 0);
    while (outbound.turn() > 0);
    const { due, histories } = lane.context;
    const nowMs = lane.context.nowMs();
    if (due.ms <= nowMs) {
      due.clear();
      for (const history of histories) {
        if (history.sendDueMs <= nowMs) outbound.sendDue(history, nowMs);
        if (history.receiveDueMs <= nowMs) inbound.due(history);
        due.expect(history.dueMs);
      }
    }
    this.#carry(end);
    this.#plan(end);
  }

  /** What the end sent goes over the link; what it wrote is delivered. */
  #carry(end: End): void {
    const { addon } = end.lane;
    const other = this.ends[end === this.ends[0] ? 1 : 0];
    for (const { datagrams } of addon.udpSends.splice(0))
      for (const datagram of datagrams) this.#launch(other, datagram);
    for (const { packet } of addon.tunWrites.splice(0)) {
      const number = new DataView(packet.buffer, packet.byteOffset).getUint32(40);
      this.delivered.push({ number, atMs: this.queue.nowMs });
    }
  }

  #launch(to: End, datagram: Uint8Array): void {
    const { loss, jitterMs, double } = this.#link;
    const times = this.#random() < double ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      if (this.#random() < loss) continue;
      this.queue.plan(this.queue.nowMs + ONE_WAY_MS + this.#random() * jitterMs, () => {
        to.lane.arrive([datagram], endpointOf(to === this.ends[0] ? 0 : 1));
        this.#turn(to);
      });
    }
  }

  #plan(end: End): void {
    const atMs = end.lane.context.due.ms - START_MS;
    if (atMs >= end.plannedMs && end.plannedMs > this.queue.nowMs) return;
    if (atMs === Number.POSITIVE_INFINITY) return;
    end.plannedMs = Math.max(atMs, this.queue.nowMs + 0.01);
    this.queue.plan(end.plannedMs, () => this.#turn(end));
  }
}

/** Sends `count` packets, one each `everyMs`, and lets all come to rest. */
function run(tunnel: Tunnel, count: number, everyMs: number, rekeyAt = -1): void {
  for (let number = 0; number < count; number += 1)
    tunnel.queue.plan(number * everyMs, () => {
      if (number === rekeyAt) tunnel.rekey(1);
      tunnel.send();
    });
  tunnel.queue.runUntil(count * everyMs + 2_000);
}

const WISH: HistoryWish = { retransmitMs: 150, retransmitBudget: 1 };
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const isAscending = (numbers: readonly number[]): boolean =>
  numbers.every((number, at) => at === 0 || number > numbers[at - 1]);

describe('a link that loses a tenth in each direction', () => {
  const link: Link = { loss: 0.1, jitterMs: 3, double: 0.05 };

  it('carries numbered packets through repeats: next to none is lost, and none comes twice', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const tunnel = new Tunnel(WISH, link, seed);
        run(tunnel, 1_500, 1, 700);
        const numbers = tunnel.delivered.map(({ number }) => number);
        expect(new Set(numbers).size).toBe(numbers.length);
        expect(numbers.length).toBeGreaterThanOrEqual(1_497);
        const { cells } = tunnel.ends[1].history;
        expect(cells[HISTORY_CELL.FILLED_REPEAT]).toBeGreaterThan(50);
        expect(cells[HISTORY_CELL.MISSED]).toBe(
          cells[HISTORY_CELL.FILLED_LATE] + cells[HISTORY_CELL.FILLED_REPEAT] + cells[HISTORY_CELL.LOST],
        );
      }),
      { numRuns: 8 },
    );
  });

  it('delivers in order, and nothing later than a repeat may be', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const tunnel = new Tunnel({ ...WISH, inOrder: 'all' }, link, seed);
        run(tunnel, 1_000, 1);
        const numbers = tunnel.delivered.map(({ number }) => number);
        expect(isAscending(numbers)).toBe(true);
        expect(numbers.length).toBeGreaterThanOrEqual(997);
        const waits = tunnel.delivered.map(({ number, atMs }) => atMs - tunnel.sentMs[number]);
        expect(Math.max(...waits)).toBeLessThan(ONE_WAY_MS + link.jitterMs + 150 + 10);
        expect(tunnel.ends[1].history.rx.order?.held).toBe(0);
      }),
      { numRuns: 8 },
    );
  });
});

describe('a link that loses one in a hundred', () => {
  it('adds one RTT and little more to what was lost', () => {
    const tunnel = new Tunnel(WISH, { loss: 0.01, jitterMs: 0, double: 0 }, 7);
    run(tunnel, 3_000, 2);
    expect(tunnel.delivered.length).toBe(3_000);
    const added = tunnel.delivered.map(({ number, atMs }) => atMs - tunnel.sentMs[number] - ONE_WAY_MS);
    added.sort((left, right) => left - right);
    expect(added[Math.floor(added.length * 0.995)]).toBeLessThan(1.5 * 2 * ONE_WAY_MS);
    expect(added.at(-1)).toBeLessThan(2.5 * 2 * ONE_WAY_MS);
    const { cells } = tunnel.ends[0].history;
    expect(cells[HISTORY_CELL.REPEATS_TX]).toBeLessThan(3_000 * 0.02);
  });
});

describe('a link that only reorders', () => {
  it('has next to nothing repeated once the wait is learnt, and loses nothing', () => {
    const tunnel = new Tunnel(WISH, { loss: 0, jitterMs: 6, double: 0 }, 11);
    run(tunnel, 3_000, 1);
    expect(tunnel.delivered.length).toBe(3_000);
    expect(tunnel.ends[1].history.cells[HISTORY_CELL.LOST]).toBe(0);
    expect(tunnel.ends[0].history.cells[HISTORY_CELL.REPEATS_TX]).toBeLessThan(30);
  });
});
