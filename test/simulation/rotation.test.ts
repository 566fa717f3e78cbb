/**
 * Keys change under traffic: hours of simulated time over networks that lose, delay, reorder and double. One end starts,
 * so that it stays the initiator; what happens when both start is told in crossing.test.ts.
 */
import { describe, expect } from 'vitest';
import { expectNothingLost, REKEY_EACH_10_S, simulate } from './checks.ts';
import type { HostName, World } from './world.ts';

const HOUR_S = 3600;
const POOR = { loss: 0.01, duplication: 0.01, delayMsMin: 5, delayMsMax: 300 };
const BAD = { loss: 0.2, duplication: 0.05, delayMsMin: 10, delayMsMax: 1500 };

/** Lets one end shake hands before traffic begins, whatever the network loses. */
function start(world: World, initiator: HostName): void {
  for (let round = 0; round < 4; round++) {
    world.sendPacket(initiator);
    world.run(10);
  }
}

/** Traffic for a while, then quiet until all has arrived. */
function traffic(world: World, seconds: number, rates: { a: number; b: number }): void {
  world.flow('a', rates.a);
  world.flow('b', rates.b);
  world.run(seconds);
  world.settle();
}

describe('Rotation of keys', () => {
  simulate('loses nothing in an hour with a rekey each 10 s', { timing: REKEY_EACH_10_S }, (world) => {
    start(world, 'a');
    traffic(world, HOUR_S, { a: 100, b: 100 });
    expectNothingLost(world);
    expect(world.facts.deliveredPackets).toBe(world.facts.packets.length);
    expect(world.facts.handshakes).toBeGreaterThanOrEqual(355);
    expect(world.facts.longestDebtMs).toBeLessThanOrEqual(10_000);
  });

  const poor = { timing: REKEY_EACH_10_S, conditions: POOR, seeds: [1, 2] };
  simulate('loses only what a poor network lost in an hour with a rekey each 10 s', poor, (world) => {
    start(world, 'a');
    traffic(world, HOUR_S, { a: 100, b: 100 });
    expectNothingLost(world);
    expect(world.facts.deliveredPackets).toBeGreaterThan(world.facts.packets.length * 0.985);
    expect(world.facts.handshakes).toBeGreaterThanOrEqual(330);
  });

  const bad = { conditions: BAD, seeds: [1, 2, 3] };
  simulate('loses only what a bad network lost in two hours with real times', bad, (world) => {
    start(world, 'b');
    traffic(world, 2 * HOUR_S, { a: 20, b: 20 });
    expectNothingLost(world);
    expect(world.facts.handshakes).toBeGreaterThanOrEqual(55);
    expect(world.facts.initiationsOf('a')).toEqual([]);
  });

  simulate('takes place each 120 s, and only then', {}, (world) => {
    start(world, 'a');
    traffic(world, 3 * HOUR_S, { a: 10, b: 10 });
    expectNothingLost(world);
    const moments = world.facts.initiationsOf('a');
    const pauses = moments.slice(1).map((atMs, place) => atMs - moments[place]);
    expect(Math.min(...pauses)).toBeGreaterThan(120_000);
    expect(Math.max(...pauses)).toBeLessThan(121_000);
    expect(world.facts.initiationsOf('b')).toEqual([]);
  });
});

describe('Traffic one way', () => {
  for (const [title, rates] of [
    ['from the initiator is answered by keepalives', { a: 10, b: 0 }],
    ['from the responder is answered by keepalives', { a: 0, b: 10 }],
  ] as const) {
    simulate(title, {}, (world) => {
      start(world, 'a');
      traffic(world, HOUR_S, rates);
      expectNothingLost(world);
      const silent = rates.a === 0 ? 'a' : 'b';
      expect(world.facts.longestDebtMs).toBeGreaterThan(9990);
      expect(world.facts.longestDebtMs).toBeLessThanOrEqual(10_000);
      expect(world.facts.keepalivesOf(silent).length).toBeGreaterThanOrEqual(HOUR_S / 10 - 40);
      expect(world.facts.initiationsOf('a').length).toBeGreaterThanOrEqual(27);
      expect(world.facts.initiationsOf('a').length).toBeLessThanOrEqual(31);
      expect(world.facts.initiationsOf('b')).toEqual([]);
    });
  }

  simulate('in packets that are rare is answered, and makes no handshake but those due', {}, (world) => {
    start(world, 'a');
    traffic(world, HOUR_S, { a: 0.05, b: 0 });
    expectNothingLost(world);
    expect(world.facts.longestDebtMs).toBeLessThanOrEqual(10_000);
    expect(world.facts.initiationsOf('a').length).toBeLessThanOrEqual(31);
    expect(world.facts.initiationsOf('b')).toEqual([]);
  });
});
