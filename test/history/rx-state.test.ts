/** What a lane does about what is missing of a peer's datagrams: reports, repairs, what comes too late, and the books of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LaneKeypair } from '../../src/tables/peers.ts';
import { endpointOf } from '../support/fake-lane.ts';
import { HistoryLane, lanePath } from '../support/history-lane.ts';

function open(options: ConstructorParameters<typeof HistoryLane>[0] = {}): { lane: HistoryLane; keypair: LaneKeypair } {
  const lane = new HistoryLane(options);
  return { lane, keypair: lane.addKeypair(lane.history.peer, { id: 0 }) };
}

describe('what is missing', () => {
  it('is asked for at once when three newer ones came, and again while it is missing', () => {
    const { lane, keypair } = open({ settings: { retransmitMs: 1_000 } });
    const startMs = lane.addon.nowMs;
    lane.record(keypair, [0, 1, 3, 4, 5]);
    lane.pass(25);
    expect(lane.reports.map(({ atMs, index, counters }) => [atMs - startMs, index, counters])).toEqual([
      [0, 1_000, [2]],
      [24, 1_000, [2]],
    ]);
    expect(lane.record(keypair, [2])).toEqual([true]);
    lane.pass(1_000);
    expect(lane.reports.length).toBe(2);
    expect(lane.cells()).toEqual({ EXPECTED: 6, MISSED: 1, FILLED_REPEAT: 1, GAPS_TX: 2, REPAIR_MS: 25 });
    expect(lane.count('REPAIRED_RX')).toBe(1);
  });

  it('is asked for ever more often while nothing comes of it, each 2 ms in the end', () => {
    const { lane, keypair } = open({ settings: { retransmitMs: 1_000 } });
    const startMs = lane.addon.nowMs;
    lane.record(keypair, [0, 1, 3, 4, 5]);
    lane.pass(73);
    const times = lane.reports.map(({ atMs }) => Math.round(atMs - startMs));
    expect(times).toEqual([0, 24, 30, 36, 42, 48, 50, 52, 54, 56, 58, 60, 62, 64, 66, 68, 70, 72]);
  });

  it('is asked for six times at least while a repeat may be of use, if the round trip is long', () => {
    const { lane, keypair } = open({ paths: { rttMs: 90 } });
    lane.record(keypair, [0, 1, 3, 4, 5]);
    lane.pass(60);
    expect(lane.reports.length).toBe(7);
  });

  it('is asked for once a round trip when little comes: more is a share of the bytes that came', () => {
    const { lane, keypair } = open({ settings: { retransmitMs: 10_000 } });
    const startMs = lane.addon.nowMs;
    lane.record(keypair, [0, 1, 3, 4, 5]);
    lane.pass(5_000);
    const many = lane.reports.filter(({ atMs }) => atMs - startMs < 1_000).length;
    const last = lane.reports.slice(-3).map(({ atMs }) => atMs);
    expect(many).toBeGreaterThan(200);
    expect(many).toBeLessThan(500);
    expect(last.slice(1).map((atMs, at) => Math.round(atMs - (last[at] ?? 0)))).toEqual([24, 24]);
  });

  it('is asked for after a millisecond when fewer newer ones came', () => {
    const { lane, keypair } = open();
    lane.record(keypair, [0, 2]);
    expect(lane.history.receiveDueMs).toBe(lane.addon.nowMs + 1);
  });

  it('is asked for in reports that keep their distance', () => {
    const { lane, keypair } = open();
    for (let counter = 1; counter < 40; counter += 2) {
      lane.record(keypair, [counter]);
      lane.pass(0.25);
    }
    lane.pass(2);
    const times = lane.reports.map(({ atMs }) => atMs);
    expect(times.length).toBeGreaterThan(1);
    for (const [at, time] of times.slice(1).entries()) expect(time - times[at]).toBeGreaterThanOrEqual(2);
    expect(lane.reports.flatMap(({ counters }) => counters).length).toBe(20);
  });

  it('is given up when a repeat would come too late, and is dropped when it comes after that', () => {
    const { lane, keypair } = open({ settings: { retransmitMs: 50 } });
    lane.record(keypair, [0, 2, 3, 4]);
    lane.pass(50);
    expect([lane.cell('LOST'), lane.history.receiveDueMs]).toEqual([1, Number.POSITIVE_INFINITY]);
    expect(lane.record(keypair, [1])).toEqual([false]);
    expect(lane.drops()).toEqual({ IN_TOO_LATE: 1 });
    expect([lane.cell('TOO_LATE'), lane.count('UDP_RX_UNIQ')]).toEqual([1, 4]);
    expect(lane.record(keypair, [1])).toEqual([false]);
    expect(lane.drops()).toEqual({ IN_TOO_LATE: 1, IN_REPLAY: 1 });
  });

  it('is not asked for where the peer would not understand, or nothing is repeated; and is delivered whenever it comes', () => {
    const inOrder = 'tcp' as const;
    for (const options of [
      { settings: { retransmitMs: 0, inOrder } },
      { paths: { knows: { gaps: false, paths: true, parity: false } }, settings: { retransmitMs: 0, inOrder } },
    ]) {
      const { lane, keypair } = open(options);
      lane.record(keypair, [0, 2, 3, 4]);
      lane.pass(2_000);
      expect(lane.reports).toEqual([]);
      expect(lane.cell('LOST')).toBe(1);
      expect(lane.record(keypair, [1])).toEqual([true]);
    }
  });

  it('may come by itself, which is waited for from then on', () => {
    const { lane, keypair } = open();
    lane.record(keypair, [0, 2]);
    lane.addon.nowMs += 0.5;
    lane.record(keypair, [1, 3]);
    expect(lane.cells()).toMatchObject({ FILLED_LATE: 1, REORDER_MAX: 1 });
    for (let counter = 5; counter < 200; counter += 2) {
      lane.record(keypair, [counter]);
      lane.addon.nowMs += 8;
      lane.record(keypair, [counter - 1]);
    }
    const before = lane.reports.length;
    lane.record(keypair, [201, 202, 203, 204]);
    lane.pass(7);
    expect(lane.reports.length).toBe(before);
    lane.pass(5);
    expect(lane.reports.at(-1)?.counters).toEqual([200]);
  });

  it('before the first datagram that is seen is missing too', () => {
    const { lane, keypair } = open();
    lane.record(keypair, [3]);
    lane.pass(1);
    expect(lane.reports.map(({ counters }) => counters)).toEqual([[0, 1, 2]]);
  });

  it('from before histories began is none of their business', () => {
    const { lane, keypair } = open();
    lane.history.peer.history = null;
    lane.record(keypair, [10]);
    lane.history.peer.history = lane.history;
    expect(lane.record(keypair, [5, 11])).toEqual([true, true]);
    lane.pass(1_000);
    expect(lane.cells()).toEqual({ EXPECTED: 1 });
  });
});

describe('a change of keypairs', () => {
  it('leaves the previous one watched', () => {
    const { lane, keypair } = open();
    const next = lane.addKeypair(lane.history.peer, { id: 1, bornMs: lane.addon.nowMs + 1 });
    lane.record(keypair, [0, 2, 3, 4]);
    lane.record(next, [1]);
    lane.pass(3);
    expect(lane.reports.map(({ index, counters }) => [index, counters])).toEqual([
      [1_000, [1]],
      [1_001, [0]],
    ]);
    expect([lane.record(keypair, [1]), lane.record(next, [0])]).toEqual([[true], [true]]);
  });

  it('gives up what the one before the previous lacks, and does not watch it again', () => {
    const { lane, keypair } = open();
    const [second, third] = [1, 2].map((id) =>
      lane.addKeypair(lane.history.peer, { id, bornMs: lane.addon.nowMs + id }),
    );
    lane.record(keypair, [4]);
    lane.record(second, [0]);
    lane.record(third, [0]);
    expect(lane.cell('LOST')).toBe(4);
    expect(lane.record(keypair, [2, 9])).toEqual([true, true]);
    lane.pass(1_000);
    expect(lane.reports).toEqual([]);
  });
});

describe('paths', () => {
  const paths = [lanePath(0, endpointOf(0)), lanePath(3, endpointOf(5))];

  it('have their own books of what came', () => {
    const { lane, keypair } = open({ paths: { paths, mode: 'redundant' } });
    lane.record(keypair, [0, 1, 2]);
    lane.record(keypair, [0, 1, 3], endpointOf(5));
    lane.record(keypair, [4], endpointOf(9));
    const figures = [0, 3].map((path) =>
      (['UDP_RX', 'UDP_RX_UNIQ', 'UDP_RX_BYTES', 'LAST_RX_MS'] as const).map((name) => lane.pathCell(path, name)),
    );
    expect(figures).toEqual([
      [3, 3, 300, lane.addon.nowMs],
      [3, 1, 300, lane.addon.nowMs],
    ]);
    expect(lane.cell('DUPLICATES')).toBe(2);
  });

  it('count as late what their own datagrams overtook, not what a quicker path brought before', () => {
    const { lane, keypair } = open({ paths: { paths, mode: 'weighted' } });
    lane.record(keypair, [0, 2, 4]);
    lane.record(keypair, [1, 3], endpointOf(5));
    expect([lane.pathCell(3, 'LATE'), lane.cell('FILLED_LATE')]).toEqual([0, 2]);
    lane.record(keypair, [9]);
    lane.record(keypair, [6]);
    expect([lane.pathCell(0, 'LATE'), lane.pathCell(0, 'REORDER_MAX')]).toEqual([1, 3]);
  });
});

describe('what is missing where one path is slower than another', () => {
  const paths = [lanePath(0, endpointOf(0)), lanePath(3, endpointOf(5))];

  /** Even counters come over the quick path each 2 ms, odd ones 20 ms later over the other; those of `lost` never do. */
  function openUnequal(lost: readonly number[], untilMs: number): HistoryLane {
    const { lane, keypair } = open({ paths: { paths, mode: 'weighted', rttMs: 60 } });
    for (let ms = 0; ms < untilMs; ms += 1) {
      const [quick, slow] = [ms, ms - 19];
      if (quick % 2 === 0 && !lost.includes(quick)) lane.record(keypair, [quick]);
      if (slow > 0 && slow % 2 === 1 && !lost.includes(slow)) lane.record(keypair, [slow], endpointOf(5));
      lane.pass(1);
    }
    return lane;
  }

  it('is not asked for while the slower one may still bring it, once that is known', () => {
    const asked = openUnequal([], 600).reports.flatMap(({ counters }) => counters);
    expect(asked.filter((counter) => counter > 20)).toEqual([]);
  });

  it('is asked for as soon as that one is past it, whichever it was sent over', () => {
    const startMs = new HistoryLane().addon.nowMs;
    const asked = openUnequal([400, 501], 600).reports.filter(({ counters }) => Math.max(...counters) > 100);
    const first = [400, 501].map((lost) => asked.find(({ counters }) => counters.includes(lost)));
    // The slower path brings 401 at 420, and 503 at 522; any counter is waited for a quarter longer than the 20 ms.
    expect(first.map((report) => (report?.atMs ?? 0) - startMs)).toEqual([420, 524]);
  });
});

describe('a lane beside others', () => {
  it('counts, and watches no gaps: they may be filled elsewhere', () => {
    const { lane, keypair } = open({ lanes: 2 });
    expect(lane.record(keypair, [0, 5, 3])).toEqual([true, true, true]);
    lane.pass(1_000);
    expect(lane.reports).toEqual([]);
    expect(lane.cells()).toEqual({ EXPECTED: 6 });
    lane.record(keypair, [8_192 + 63]);
    expect(lane.cell('LOST')).toBe(61);
  });
});

describe('a peer that merely brought paths', () => {
  it('is worth no list of what it lacks: what is lost shows when the replay window leaves it behind', () => {
    const { lane, keypair } = open({ settings: { retransmitMs: 0 } });
    expect(lane.record(keypair, [0, 5, 3])).toEqual([true, true, true]);
    expect(lane.history.rx.watchOf(keypair)).toBeNull();
    lane.record(keypair, [8_192 + 63]);
    expect(lane.cells()).toMatchObject({ EXPECTED: 8_256, LOST: 61 });
  });

  it('is watched from when more is asked for on, and no more when that ends', () => {
    const { lane, keypair } = open({ settings: { retransmitMs: 0 } });
    lane.record(keypair, [0, 5]);
    lane.set({ retransmitMs: 150 });
    lane.record(keypair, [8]);
    expect(lane.history.rx.watchOf(keypair)).toMatchObject({ missing: 2, floor: 6 });
    lane.set({ retransmitMs: 0 });
    expect([lane.cell('LOST'), lane.history.rx.watchOf(keypair)]).toEqual([2, null]);
    lane.record(keypair, [20]);
    lane.set({ retransmitMs: 150 });
    lane.record(keypair, [22]);
    expect(lane.history.rx.watchOf(keypair)?.missing).toBe(1);
  });
});

describe('the books', () => {
  it('balance: what was missed was filled, or lost, or is missing still, whatever comes', () => {
    const arrival = fc.oneof(
      { weight: 8, arbitrary: fc.nat(12).map((ahead) => ({ ahead, count: 1, waitMs: 0 })) },
      fc.record({ ahead: fc.constantFrom(1, 1, 3), count: fc.integer({ min: 2, max: 90 }), waitMs: fc.nat(3) }),
      fc.record({ ahead: fc.integer({ min: -60, max: 20 }), count: fc.constant(1), waitMs: fc.nat(30) }),
      fc.record({ ahead: fc.constantFrom(9_000, 2 ** 40), count: fc.constant(1), waitMs: fc.nat(300) }),
    );
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 120 }), (arrivals) => {
        const { lane, keypair } = open();
        let newest = 0;
        let fresh = 0;
        for (const { ahead, count, waitMs } of arrivals) {
          const first = Math.max(0, newest + ahead);
          const counters = Array.from({ length: count }, (_, place) => first + place);
          fresh += lane.record(keypair, counters).filter(Boolean).length;
          newest = Math.max(newest, first + count - 1);
          lane.pass(waitMs);
        }
        const filled = lane.cell('FILLED_LATE') + lane.cell('FILLED_REPEAT');
        const missing = lane.history.rx.watchOf(keypair)?.missing ?? 0;
        expect(lane.cell('MISSED')).toBe(filled + lane.cell('LOST') + missing);
        expect(lane.cell('EXPECTED') - lane.cell('MISSED') + filled).toBe(fresh);
        expect(lane.count('UDP_RX_UNIQ')).toBe(fresh);
        lane.pass(1_000);
        expect([lane.history.rx.watchOf(keypair)?.missing ?? 0, lane.history.receiveDueMs]).toEqual([
          0,
          Number.POSITIVE_INFINITY,
        ]);
      }),
      { numRuns: 100 },
    );
  });
});
