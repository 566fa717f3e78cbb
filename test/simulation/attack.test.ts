/** Somebody records what passes and sends it again, and somebody floods a host so that it is under load. */
import { describe, expect } from 'vitest';
import { expectNothingLost, expectTunnelWorks, REKEY_EACH_10_S, simulate } from './checks.ts';

const HOUR_S = 3600;

describe('Replayed datagrams', () => {
  simulate(
    'deliver nothing, move no endpoint and start no handshake',
    { timing: REKEY_EACH_10_S, seeds: [1, 2] },
    (world) => {
      world.network.replayed = 0.5;
      expectTunnelWorks(world);
      world.flow('a', 20);
      world.flow('b', 20);
      world.run(HOUR_S / 2);
      world.settle(700);
      expectNothingLost(world);
      const { facts, a, b } = world;
      expect(facts.failures('old timestamp')).toBeGreaterThan(50);
      expect(facts.failures('unexpected response')).toBeGreaterThan(50);
      expect(facts.handshakes).toBe(facts.initiationsOf('a').length + facts.initiationsOf('b').length);
      expect([a.peerEndpoint, b.peerEndpoint]).toEqual([b.endpoint, a.endpoint]);
    },
  );
});

describe('A host under load', () => {
  simulate('is reached with a cookie, one retransmission later', { seeds: [1, 2, 3] }, (world) => {
    world.b.isUnderLoad = true;
    const packet = world.sendPacket('a');
    world.run(6);
    expect(world.facts.packets[packet].delivered).toBe(1);
    expect(world.facts.failures('bad mac2')).toBe(1);
  });

  simulate('keeps its tunnel, whichever end it is, and the rekeys in time', { timing: REKEY_EACH_10_S }, (world) => {
    world.a.isUnderLoad = true;
    world.b.isUnderLoad = true;
    world.sendPacket('a');
    world.run(20);
    world.flow('a', 20);
    world.flow('b', 20);
    world.run(HOUR_S / 2);
    world.settle();
    expectNothingLost(world);
    // A cookie is used for 115 s, so about each twelfth handshake of 10 s takes one retransmission more, or two.
    expect(world.facts.failures('bad mac2')).toBeGreaterThan(20);
    expect(world.facts.failures('bad mac2')).toBeLessThan(80);
    expect(world.facts.handshakes).toBeGreaterThan(140);
  });
});
