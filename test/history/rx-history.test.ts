/** The RX history over batches: each transport counter of a keypair is new once, whichever batch or lane brings it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordReceived } from '../../src/history/rx-history.ts';
import { InboundBatch } from '../../src/inbound/batch.ts';
import { UNSEAL } from '../../src/native/layout.ts';
import { KeypairMemory } from '../../src/tables/keypair-memory.ts';
import type { LaneKeypair } from '../../src/tables/peers.ts';
import { ReferenceReplayWindow } from '../reference/replay-window.ts';
import { FakeLane } from '../support/fake-lane.ts';

interface Message {
  readonly keypair: number;
  readonly counter: number;
  /** Whether its tag was right. */
  readonly isAuthentic: boolean;
}

/** Authentic messages one behind the other. */
function sequenceOf(keypair: number, first: number, count: number): Message[] {
  return Array.from({ length: count }, (_, place) => ({ keypair, counter: first + place, isAuthentic: true }));
}

/** Records a batch; says which messages were fresh. */
function record(lane: FakeLane, keypairs: readonly LaneKeypair[], messages: readonly Message[]): boolean[] {
  const batch = new InboundBatch();
  for (const [index, { keypair, counter, isAuthentic }] of messages.entries()) {
    batch.counters[index] = counter;
    batch.append(keypairs[keypair], 0);
    batch.fresh[index] = 1;
    lane.arena.words[(lane.arena.unseals >> 2) + index * UNSEAL.WORDS + UNSEAL.RESULT] = isAuthentic ? 100 : -1;
  }
  recordReceived(lane.context, batch);
  return messages.map((_, index) => batch.fresh[index] === 1);
}

function openLanes(count: number): { lanes: FakeLane[]; keypairs: LaneKeypair[][] } {
  const memories = [KeypairMemory.allocate(), KeypairMemory.allocate()];
  const lanes = Array.from({ length: count }, () => new FakeLane());
  const keypairs = lanes.map((lane) => {
    const peer = lane.addPeer(0);
    return memories.map((memory, id) => lane.addKeypair(peer, { id, memory }));
  });
  return { lanes, keypairs };
}

describe('the RX history', () => {
  it('finds fresh what a slow twin does, in batches on two lanes that share the keypairs', () => {
    const counter = fc.oneof(fc.nat(20), fc.nat(30_000), fc.integer({ min: 2 ** 40, max: 2 ** 40 + 100 }));
    const message = fc.record({ keypair: fc.nat(1), counter, isAuthentic: fc.boolean() });
    const some = fc.array(message, { maxLength: 30 });
    const sequence = fc
      .tuple(fc.nat(1), fc.nat(8), fc.constantFrom(20, 40))
      .map(([keypair, start, count]) => sequenceOf(keypair, start * 20, count));
    const batches = fc.array(fc.tuple(fc.nat(1), fc.oneof(some, sequence)), { maxLength: 12 });
    fc.assert(
      fc.property(batches, (all) => {
        const { lanes, keypairs } = openLanes(2);
        const windows = [new ReferenceReplayWindow(), new ReferenceReplayWindow()];
        const verdicts = [0, 0, 0];
        for (const [lane, messages] of all) {
          const expected = messages.map(({ keypair, counter: number, isAuthentic }) => {
            if (!isAuthentic) return false;
            const verdict = windows[keypair].accept(number);
            verdicts[verdict] += 1;
            return verdict === 0;
          });
          expect(record(lanes[lane], keypairs[lane], messages)).toEqual(expected);
        }
        const sum = (of: (lane: FakeLane) => number): number => lanes.reduce((total, lane) => total + of(lane), 0);
        expect(sum((lane) => lane.count('UDP_RX_UNIQ'))).toBe(verdicts[0]);
        expect(sum((lane) => lane.drop('IN_REPLAY'))).toBe(verdicts[1]);
        expect(sum((lane) => lane.drop('IN_TOO_OLD'))).toBe(verdicts[2]);
        expect(sum((lane) => lane.dropsTotal())).toBe(verdicts[1] + verdicts[2]);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves the lock of each keypair free', () => {
    const { lanes, keypairs } = openLanes(1);
    record(lanes[0], keypairs[0], [
      { keypair: 0, counter: 0, isAuthentic: true },
      { keypair: 1, counter: 0, isAuthentic: false },
    ]);
    for (const { memory } of keypairs[0]) {
      memory.lock();
      memory.unlock();
    }
    expect(lanes[0].count('UDP_RX_UNIQ')).toBe(1);
  });

  it('remembers 8,128 counters behind the newest one', () => {
    const { lanes, keypairs } = openLanes(1);
    const one = (counter: number): boolean[] =>
      record(lanes[0], keypairs[0], [{ keypair: 0, counter, isAuthentic: true }]);
    expect([one(10_000), one(10_000 - 8_128), one(10_000 - 8_129)]).toEqual([[true], [true], [false]]);
    expect(lanes[0].drops()).toEqual({ IN_TOO_OLD: 1 });
  });
});
