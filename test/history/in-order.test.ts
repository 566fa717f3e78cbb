/** Packets wait for those before them: the order they leave in is a slow twin's, and what they carry is what came. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HELD_MAX, InOrder, waitsForTurn } from '../../src/history/in-order.ts';
import type { LaneKeypair } from '../../src/tables/peers.ts';
import { ReferenceInOrder } from '../reference/in-order.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { FakeLane } from '../support/fake-lane.ts';

/** Where packets come in, of an arena that is nothing else; and where they wait. */
const ARRIVAL = 64;
const HOLD = 4_096;

function openKeypair(id: number): LaneKeypair {
  const lane = new FakeLane();
  return lane.addKeypair(lane.addPeer(0), { id });
}

interface Held {
  readonly arena: Uint8Array;
  readonly order: InOrder;
  readonly delivered: number[];
}

function open(bytes = 1 << 20, next = 0): Held {
  const arena = new Uint8Array(HOLD + bytes);
  const order = new InOrder(HOLD, bytes);
  order.begin(openKeypair(0), next);
  return { arena, order, delivered: [] };
}

/** A packet of `length` bytes that carries its counter in all of them. */
function take({ arena, order }: Held, counter: number, nowMs: number, length = 40): void {
  arena.fill((counter % 65_536) % 251, ARRIVAL, ARRIVAL + length);
  order.take(arena, counter, ARRIVAL, length, counter % 65_536, 3, nowMs);
}

/** Takes out what may be delivered; what waited must be unharmed, with room before it. */
function drain({ arena, order, delivered }: Held, lengthOf: (counter: number) => number = () => 40): void {
  for (let at = 0; at < order.outCount; at += 1) {
    const offset = order.outOffsets[at];
    const byte = arena[offset];
    const sum = order.outSums[at];
    delivered.push(sum);
    expect(byte).toBe(sum % 251);
    expect(order.outLengths[at]).toBe(lengthOf(sum));
    expect(order.outClasses[at]).toBe(3);
    expect(arena.subarray(offset, offset + order.outLengths[at]).every((each) => each === byte)).toBe(true);
    if (offset !== ARRIVAL) {
      expect(offset).toBeGreaterThanOrEqual(HOLD + 16);
      // A virtio header is written there.
      arena.fill(255, offset - 12, offset);
    }
  }
  order.recycle();
}

const arrivals = fc.array(
  fc.record({
    ahead: fc.oneof({ weight: 8, arbitrary: fc.nat(6) }, fc.nat(60), fc.constant(8_300)),
    waits: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.boolean()),
    waitMs: fc.nat(12),
    step: fc.constantFrom('none', 'none', 'none', 'expire', 'lost'),
  }),
  { maxLength: 150 },
);

describe('in-order delivery', () => {
  it('delivers in the order of a slow twin, whatever comes late, not at all, or ahead', () => {
    fc.assert(
      fc.property(arrivals, fc.constantFrom(0, 2 ** 32 - 5), (all, start) => {
        const held = open(1 << 20, start);
        const twin = new ReferenceInOrder(start, HELD_MAX);
        const seen = new Set<number>();
        let nowMs = 0;
        let expected: number[] = [];
        for (const { ahead, waits, waitMs, step } of all) {
          const counter = held.order.next + ahead - (ahead % 5 === 4 ? 5 : 0);
          nowMs += waitMs;
          if (counter >= start && !seen.has(counter)) {
            seen.add(counter);
            if (waits) take(held, counter, nowMs);
            else held.order.pass(counter);
            twin.take(counter, waits, nowMs);
          }
          // What came too long ago, or is known to be lost, is waited for no more.
          if (step === 'expire') for (const each of [held.order, twin]) each.expire(nowMs - 20);
          const lost = held.order.next + (ahead % 4);
          if (step === 'lost') for (const each of [held.order, twin]) each.passTo(lost);
          drain(held);
          expected = twin.out;
          expect(held.delivered).toEqual(expected.map((each) => each % 65_536));
          expect([held.order.next, held.order.held, held.order.expiredSince]).toEqual([
            twin.next,
            twin.held.length,
            twin.expired,
          ]);
          expect(held.order.heldSinceMs).toBe(twin.heldSinceMs);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('never delivers a packet twice and loses none, in a hold that is often full', () => {
    const lengthOf = (counter: number): number => 20 + ((counter * 37) % 180);
    fc.assert(
      fc.property(fc.array(fc.nat(40), { minLength: 50, maxLength: 400 }), (aheads) => {
        const held = open(2_048);
        const seen = new Set<number>();
        for (const ahead of aheads) {
          const counter = held.order.next + ahead;
          if (seen.has(counter)) continue;
          seen.add(counter);
          take(held, counter, 0, lengthOf(counter));
          drain(held, lengthOf);
        }
        held.order.releaseAll();
        drain(held, lengthOf);
        expect([...held.delivered].sort((left, right) => left - right)).toEqual(
          [...seen].sort((left, right) => left - right),
        );
      }),
      { numRuns: 150 },
    );
  });

  it('lets all go when there is no more room, in order', () => {
    const held = open(1_024);
    for (let counter = 1; counter < 40; counter += 1) take(held, counter, 0, 100);
    expect(held.order.outCount).toBeGreaterThan(0);
    expect(Array.from(held.order.outSums.subarray(0, held.order.outCount))).toEqual(
      Array.from({ length: held.order.outCount }, (_, at) => at + 1),
    );
  });

  it('holds HELD_MAX packets at most', () => {
    const held = open();
    for (let counter = 1; counter <= HELD_MAX; counter += 1) take(held, counter, 0, 20);
    expect([held.order.held, held.order.outCount]).toEqual([HELD_MAX, 0]);
    take(held, HELD_MAX + 1, 0, 20);
    expect([held.order.held, held.order.outCount]).toEqual([0, HELD_MAX + 1]);
  });

  it('takes a leap of 2^40 counters in one step', () => {
    const held = open();
    take(held, 3, 0);
    take(held, 2 ** 40, 0);
    drain(held);
    expect([held.delivered, held.order.held]).toEqual([[3], 1]);
    take(held, 2 ** 40 + 1, 0);
    held.order.releaseAll();
    drain(held);
    expect(held.delivered).toEqual([3, 0, 1]);
  });

  it('lets all of a keypair go before the next one is in order', () => {
    const held = open();
    take(held, 4, 0);
    held.order.begin(openKeypair(1), 0);
    take(held, 0, 0);
    drain(held);
    expect([held.delivered, held.order.next]).toEqual([[4, 0], 1]);
  });
});

describe('what waits', () => {
  const udp = udpPacketBytes(1, 2, 60);
  const tcp = Uint8Array.from(udp);
  tcp[9] = 6;
  const tcp6 = new Uint8Array(60);
  tcp6.set([0x60, 0, 0, 0, 0, 20, 6]);
  const control = Uint8Array.of(1, 9, 0, 1, ...new Uint8Array(40));
  const waits = (packet: Uint8Array, isTcpOnly: boolean): boolean =>
    waitsForTurn(new DataView(packet.buffer, packet.byteOffset, packet.length), 0, packet.length, isTcpOnly);

  it('is TCP alone, or all that is IP', () => {
    expect([udp, tcp, tcp6, control].map((packet) => waits(packet, true))).toEqual([false, true, true, false]);
    expect([udp, tcp, tcp6, control].map((packet) => waits(packet, false))).toEqual([true, true, true, false]);
  });

  it('is nothing that is shorter than its header', () => {
    expect([tcp.slice(0, 19), tcp6.slice(0, 39), new Uint8Array(0)].map((packet) => waits(packet, false))).toEqual([
      false,
      false,
      false,
    ]);
  });
});
