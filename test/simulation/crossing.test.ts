/**
 * Both ends start a handshake at once. WireGuard keeps one handshake per peer, so initiations that cross drop each other
 * and the jitter of the retransmission decides; a keypair that nobody confirms may be left over, for which the initiator
 * gives up its current one at the next rekey. What is on its way on that one is lost: a few packets, once, and never
 * without a crossing.
 */
import { describe, expect } from 'vitest';
import { expectTunnelWorks, REKEY_EACH_10_S, simulate } from './checks.ts';

const SEEDS = [1, 2, 3, 4, 5, 6];

describe('Initiations that cross', () => {
  simulate('lead to one tunnel within a few retransmissions', { seeds: SEEDS }, (world) => {
    const packets = [world.sendPacket('a'), world.sendPacket('b')];
    world.run(17);
    expect(packets.map((packet) => world.facts.packets[packet].delivered)).toEqual([1, 1]);
    expectTunnelWorks(world);
    expect(world.facts.crossings).toBeGreaterThan(0);
    expect(world.facts.stagedDrops).toBe(0);
  });

  const poor = { loss: 0.02, duplication: 0.02, delayMsMin: 5, delayMsMax: 300 };
  simulate(
    'cost no more than what was on its way',
    { seeds: SEEDS, timing: REKEY_EACH_10_S, conditions: poor },
    (world) => {
      world.flow('a', 20);
      world.flow('b', 20);
      world.run(600);
      world.settle();
      const { facts } = world;
      const lost = facts.lostInTunnel['retired keypair'] ?? 0;
      // 300 ms at 20 packets a second, which are sent at random moments.
      expect(lost).toBeLessThanOrEqual(facts.crossings * 15);
      expect(Object.keys(facts.lostInTunnel).filter((reason) => reason !== 'retired keypair')).toEqual([]);
      expect(facts.deliveredPackets + lost).toBe(facts.broughtPackets);
    },
  );
});
