/** Hosts that move, restart or lose the network, and clocks that are wrong. */
import { describe, expect } from 'vitest';
import { expectNothingLost, expectTunnelWorks, simulate } from './checks.ts';
import type { World } from './world.ts';

const HOUR_S = 3600;
const DAY_MS = 86_400_000;

describe('A host that moves', () => {
  simulate('keeps the tunnel, with nothing lost but what went to its old address', { seeds: [1, 2] }, (world) => {
    expectTunnelWorks(world);
    world.flow('a', 20);
    world.flow('b', 20);
    for (let move = 0; move < 120; move++) {
      world.run(30);
      (move % 2 === 0 ? world.a : world.b).roam();
    }
    world.run(5);
    world.settle();
    expectNothingLost(world);
    // Each move costs what the other end sends until it hears of the new address: a packet or two of its own, and 40 ms.
    expect(world.facts.packets.length - world.facts.deliveredPackets).toBeLessThan(120 * 5);
    expectTunnelWorks(world);
  });

  simulate('is found again when it speaks first, even after a day of silence', {}, (world) => {
    expectTunnelWorks(world);
    world.a.roam();
    world.run(24 * HOUR_S);
    expectTunnelWorks(world, 'a');
    world.b.roam();
    world.run(60);
    expectTunnelWorks(world, 'b');
    expectNothingLost(world);
  });

  simulate('makes its peer look for it in vain, which stays within its rate and gives up', {}, (world) => {
    expectTunnelWorks(world);
    world.run(30);
    world.b.roam();
    world.sendPacket('a');
    world.run(600);
    const tries = world.facts.initiationsOf('a').length;
    expect(tries).toBeGreaterThanOrEqual(18);
    expect(tries).toBeLessThanOrEqual(20);
    expect(world.a.isHandshakeUnderWay).toBe(false);
    expectTunnelWorks(world, 'b');
  });
});

describe('A host that restarts', () => {
  simulate('is back at once when it speaks itself', { seeds: [1, 2, 3] }, (world) => {
    expectTunnelWorks(world);
    for (const name of ['a', 'b', 'a', 'a', 'b'] as const) {
      world.run(6 + world.random() * 300);
      world.restart(name);
      expectTunnelWorks(world, name);
    }
  });

  simulate('is back within 16 s when only its peer speaks, and misses what was sent with the old keys', {}, (world) => {
    expectTunnelWorks(world);
    world.flow('a', 20);
    world.run(50);
    world.restart('b');
    world.run(16);
    const { length } = world.facts.packets;
    world.run(100);
    world.settle();
    const after = world.facts.packets.slice(length);
    expect(after.length).toBeGreaterThan(1500);
    expect(after.every(({ delivered }) => delivered === 1)).toBe(true);
    expect(Object.keys(world.facts.lostInTunnel)).toEqual(['foreign keypair']);
  });

  simulate('and both at once, again and again, ends in a tunnel', { seeds: [1, 2, 3] }, (world) => {
    for (let round = 0; round < 20; round++) {
      world.restart('a');
      world.restart('b');
      world.flow('a', 5);
      world.flow('b', 5);
      world.run(30);
      world.settle(30);
      expectTunnelWorks(world);
    }
  });
});

describe('An outage of the network', () => {
  simulate('is survived: attempts keep their rate, and traffic is back within 6 s', { seeds: [1, 2] }, (world) => {
    expectTunnelWorks(world);
    world.flow('a', 20);
    for (const seconds of [3, 20, 100, 200, 700, HOUR_S]) {
      outage(world, seconds);
      const { length } = world.facts.packets;
      world.run(60);
      const after = world.facts.packets.slice(length, -20);
      expect(after.every(({ delivered }) => delivered === 1)).toBe(true);
    }
  });

  simulate('drops staged packets 90 s after the last of them, and asks no more', {}, (world) => {
    world.setConditions({ loss: 1 });
    for (let packet = 0; packet < 10; packet++) world.sendPacket('a');
    world.run(85);
    expect(world.facts.stagedDrops).toBe(0);
    world.run(20);
    expect(world.facts.stagedDrops).toBe(10);
    const tries = world.facts.initiationsOf('a').length;
    world.run(HOUR_S);
    expect(world.facts.initiationsOf('a').length).toBe(tries);
    world.setConditions({});
    expectTunnelWorks(world);
  });
});

describe('Clocks', () => {
  simulate('may differ by days', {}, (world) => {
    world.a.clockOffsetMs = 3 * DAY_MS;
    world.b.clockOffsetMs = -3 * DAY_MS;
    for (let round = 0; round < 10; round++) {
      expectTunnelWorks(world, round % 2 === 0 ? 'a' : 'b');
      world.run(1000);
    }
    expectNothingLost(world);
  });

  simulate('may be set back while the tunnel is up', {}, (world) => {
    world.flow('a', 10);
    for (let round = 0; round < 20; round++) {
      world.run(200);
      world.a.clockOffsetMs -= (world.random() * DAY_MS) / 2;
    }
    world.settle();
    expectNothingLost(world);
    expect(world.facts.failures('old timestamp')).toBe(0);
  });

  simulate('may be stepped forth and back by an hour at either end while the tunnel is up', {}, (world) => {
    world.flow('a', 10);
    for (const end of ['a', 'b'] as const) {
      for (const hours of [1, -2, 1]) {
        world[end].clockOffsetMs += hours * HOUR_S * 1_000;
        world.run(200);
      }
    }
    world.settle();
    expectNothingLost(world);
    expect(world.facts.failures('old timestamp')).toBe(0);
  });

  simulate('that were set back over a restart keep a host out, until its peer calls it', {}, (world) => {
    expectTunnelWorks(world);
    world.a.clockOffsetMs = -DAY_MS;
    world.restart('a');
    world.sendPacket('a');
    world.run(20);
    expect(world.facts.failures('old timestamp')).toBeGreaterThanOrEqual(3);
    world.sendPacket('b');
    world.run(20);
    expectTunnelWorks(world, 'b');
  });
});

/** No datagram arrives for a while. */
function outage(world: World, seconds: number): void {
  world.setConditions({ loss: 1 });
  world.run(seconds);
  world.setConditions({});
  world.run(6);
}
