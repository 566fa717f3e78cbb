/** A peer that may be at several places, of which one initiation asks all: at most one of its copies counts. */
import { describe, expect } from 'vitest';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { expectNothingLost, expectTunnelWorks, REKEY_EACH_10_S, simulate } from './checks.ts';
import type { World } from './world.ts';

const SEEDS = [1, 2, 3];
const NOWHERE: readonly Endpoint[] = [1, 2, 3, 4].map((host) => ({
  ...{ family: 4, address: Uint8Array.of(192, 0, 2, host), port: 51_820, scope: 0, localAddress: null },
  localInterface: 0,
}));

describe('A peer that may be at several places', () => {
  for (const before of [1, 2, 3]) {
    const title = `is found within a second where ${before} dead ${before === 1 ? 'place comes' : 'places come'} first`;
    simulate(title, { seeds: SEEDS }, (world) => {
      places(world, [...NOWHERE.slice(0, before), world.b.endpoint]);
      const packet = world.sendPacket('a');
      world.run(1);
      expect(world.facts.packets[packet].delivered).toBe(1);
      expect(world.a.peerEndpoint).toEqual(world.b.endpoint);
      expect(world.a.initiationCopies).toBe(before + 1);
    });
  }

  simulate('gets one copy where it answers at once', { seeds: SEEDS }, (world) => {
    places(world, [world.b.endpoint, ...NOWHERE]);
    expectTunnelWorks(world);
    world.run(5);
    expect(world.a.initiationCopies).toBe(1);
  });

  simulate('takes one copy of those that reach it, and drops the others as replays', { seeds: SEEDS }, (world) => {
    world.setConditions({ delayMsMin: 400, delayMsMax: 400 });
    const { a, b } = world;
    places(world, [b.endpoint, world.network.attach(b), world.network.attach(b)]);
    const packet = world.sendPacket('a');
    world.run(4);
    expect(world.facts.packets[packet].delivered).toBe(1);
    expect(a.initiationCopies).toBe(3);
    expect(world.facts.failures('old timestamp') + world.facts.failures('flood')).toBe(2);
    expect(world.facts.handshakes).toBe(1);
  });

  simulate('that is nowhere costs four datagrams a try', { seeds: SEEDS }, (world) => {
    places(world, NOWHERE.concat(NOWHERE.map((each) => ({ ...each, port: 1 }))));
    world.sendPacket('a');
    world.run(60);
    expect(world.a.initiationCopies).toBe(4 * world.facts.initiationsOf('a').length);
    expect(world.datagrams).toBe(world.a.initiationCopies);
  });

  const poor = { loss: 0.05, duplication: 0.05, delayMsMin: 5, delayMsMax: 600 };
  simulate(
    'keeps its tunnel over a poor network, rekeys under way',
    { seeds: SEEDS, timing: REKEY_EACH_10_S, conditions: poor },
    (world) => {
      world.a.otherEndpoints = [world.network.attach(world.b), ...NOWHERE];
      world.b.otherEndpoints = [world.network.attach(world.a)];
      world.flow('a', 10);
      world.flow('b', 10);
      world.run(600);
      world.setConditions({});
      world.settle();
      expectTunnelWorks(world);
      const { facts } = world;
      expect(Object.keys(facts.lostInTunnel).filter((reason) => reason !== 'retired keypair')).toEqual([]);
    },
  );

  simulate('loses nothing over a good one', { seeds: SEEDS, timing: REKEY_EACH_10_S }, (world) => {
    places(world, [...NOWHERE.slice(0, 2), world.b.endpoint]);
    world.flow('a', 10);
    world.run(300);
    world.settle();
    expectNothingLost(world);
  });
});

/** What a knows of b: nothing but these places. */
function places({ a }: World, endpoints: readonly Endpoint[]): void {
  a.peerEndpoint = endpoints[0] ?? null;
  a.otherEndpoints = endpoints.slice(1);
}
