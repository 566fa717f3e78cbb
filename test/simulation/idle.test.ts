/** Peers with nothing to say. */
import { describe, expect } from 'vitest';
import { expectNothingLost, expectTunnelWorks, simulate } from './checks.ts';

const HOUR_S = 3600;

describe('An idle peer', () => {
  simulate('never sends anything if it never had traffic', {}, (world) => {
    world.run(24 * HOUR_S);
    expect(world.datagrams).toBe(0);
    expect([world.a.isIdle, world.b.isIdle]).toEqual([true, true]);
  });

  simulate('says at most two keepalives after its last packet, and then nothing', {}, (world) => {
    for (let round = 0; round < 20; round++) {
      world.sendPacket('a');
      world.run(0.5 + world.random());
    }
    world.run(25);
    const datagrams = world.datagrams;
    expect(world.facts.keepalivesOf('b').length).toBeLessThanOrEqual(4);
    world.run(24 * HOUR_S);
    expect(world.datagrams).toBe(datagrams);
    expectNothingLost(world);
  });

  simulate('zeroes its keys 540 s after the last handshake, and wakes up with the next packet', {}, (world) => {
    expectTunnelWorks(world);
    world.run(530);
    expect([world.a.lane.keypairs, world.b.lane.keypairs]).not.toEqual([0, 0]);
    world.run(20);
    expect([world.a.lane.keypairs, world.b.lane.keypairs]).toEqual([0, 0]);
    expect([world.a.isIdle, world.b.isIdle]).toEqual([true, true]);
    world.run(HOUR_S);
    expectTunnelWorks(world);
    expectNothingLost(world);
  });

  simulate('costs nothing between short conversations, all of which get through', {}, (world) => {
    for (let round = 0; round < 60; round++) {
      world.flow('a', 20);
      world.flow('b', 20);
      world.run(10);
      world.settle(world.random() * 1200);
    }
    expect(world.facts.deliveredPackets).toBe(world.facts.packets.length - world.facts.stagedDrops);
    expect(world.facts.lostInTunnel).toEqual({});
    expect(world.facts.longestDebtMs).toBeLessThanOrEqual(10_000);
  });
});

describe('A persistent keepalive', () => {
  const both = { persistentKeepaliveSeconds: 25 };
  simulate('keeps an idle tunnel open for hours, one each 25 s', both, (world) => {
    world.run(20);
    const before = world.datagrams;
    world.run(2 * HOUR_S);
    const { facts } = world;
    const keepalives = facts.keepalivesOf('a').length + facts.keepalivesOf('b').length;
    const handshakes = facts.initiationsOf('a').length + facts.initiationsOf('b').length;
    expect(handshakes).toBeLessThanOrEqual((2 * HOUR_S) / 120 + 2);
    // Each handshake ends with a keepalive. Of the others, each end sends one in 25 s, or one end does for both.
    expect(keepalives - handshakes).toBeGreaterThan((2 * HOUR_S) / 25 - 70);
    expect(keepalives - handshakes).toBeLessThan((2 * (2 * HOUR_S)) / 25 + 5);
    expect(world.datagrams - before).toBeLessThan(keepalives + 3 * handshakes);
    expectTunnelWorks(world);
    expectNothingLost(world);
  });

  simulate('lets a peer that it cannot reach be reached as soon as the network is back', both, (world) => {
    world.setConditions({ loss: 1 });
    world.run(HOUR_S);
    world.setConditions({});
    world.run(32);
    const handshakes = world.facts.handshakes;
    expect(handshakes).toBeGreaterThan(0);
    expectTunnelWorks(world);
    expectNothingLost(world);
  });
});
