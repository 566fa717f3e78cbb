/**
 * Everything at once: phases of random traffic, loss, outages, moves, restarts and wrong clocks. Whatever happens, the
 * tunnel stays decent, what it loses has a reason, and when the network is good again it works.
 */
import { describe, expect } from 'vitest';
import { expectTunnelWorks, REKEY_EACH_10_S, simulate } from './checks.ts';
import type { HostName, World } from './world.ts';

const SEEDS = Array.from({ length: 8 }, (_, number) => 100 + number);
const RATES = [0, 0, 0.02, 0.5, 10, 30];
const PHASES = 40;

interface Troubles {
  moves: number;
  restarts: number;
}

/** One phase of up to three minutes. */
function phase(world: World, troubles: Troubles): void {
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(world.random() * choices.length)];
  const name = pick<HostName>(['a', 'b']);
  world.setConditions({
    loss: pick([0, 0, 0.01, 0.1, 0.4, 1]),
    duplication: pick([0, 0.1]),
    delayMsMin: pick([1, 50]),
    delayMsMax: pick([50, 400, 2000]),
  });
  world.flow('a', pick(RATES));
  world.flow('b', pick(RATES));
  if (world.random() < 0.2) {
    world[name].roam();
    troubles.moves++;
  }
  if (world.random() < 0.1) {
    world.restart(name);
    troubles.restarts++;
  }
  if (world.random() < 0.1) world[name].clockOffsetMs += (world.random() - 0.2) * 100_000;
  world.run(world.random() ** 2 * 180);
}

for (const [title, timing] of [
  ['with real times', {}],
  ['with a rekey each 10 s', { timing: REKEY_EACH_10_S }],
] as const) {
  describe(`Chaos ${title}`, () => {
    simulate(
      'ends in a tunnel that works, and loses nothing without a reason',
      { seeds: SEEDS, ...timing },
      (world) => {
        const troubles: Troubles = { moves: 0, restarts: 0 };
        for (let number = 0; number < PHASES; number++) phase(world, troubles);
        const { facts } = world;
        const lost = facts.lostInTunnel;
        if (troubles.restarts === 0) expect(lost).not.toHaveProperty('foreign keypair');
        if (facts.crossings === 0) expect(lost).not.toHaveProperty('retired keypair');
        expect(facts.packets.length).toBeGreaterThan(1000);

        world.setConditions({});
        world.settle(60);
        meetAgain(world);
        expectTunnelWorks(world);
        expect(world.facts.keepalivesOf('a').length + world.facts.keepalivesOf('b').length).toBeGreaterThan(0);
      },
    );
  });
}

/** Each end learns where the other is: both may have moved while nothing got through, which only configuration mends. */
function meetAgain(world: World): void {
  world.a.peerEndpoint = world.b.endpoint;
  world.b.peerEndpoint = world.a.endpoint;
  world.a.clockOffsetMs = 0;
  world.b.clockOffsetMs = 0;
  world.sendPacket('a');
  world.sendPacket('b');
  world.run(200);
}
