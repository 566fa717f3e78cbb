/** What holds in every simulation, and times that tests shorten. */
import { expect, it } from 'vitest';
import { type Timing, WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { type HostName, World, type WorldOptions } from './world.ts';

/** A rekey each 10 s, all else as it is. */
export const REKEY_EACH_10_S: Timing = {
  ...WIREGUARD_TIMING,
  REKEY_AFTER_TIME_MS: 10_000,
  REJECT_AFTER_TIME_MS: 60_000,
};

/** GIGATUN_SEEDS=17,18 runs every simulation with these seeds instead of its own; GIGATUN_SEEDS=1-200 with all of them. */
const SEEDS_ASKED = seedsAsked(process.env.GIGATUN_SEEDS);

/** A test over a world for each seed. The title names the seed, so that a failure can be run again. */
export function simulate(
  title: string,
  options: WorldOptions & { readonly seeds?: readonly number[] },
  story: (world: World) => void,
): void {
  for (const seed of SEEDS_ASKED ?? options.seeds ?? [1]) {
    it(`${title} (seed ${seed})`, { timeout: 60_000 }, () => {
      const world = new World(seed, options);
      story(world);
      expectDecency(world);
    });
  }
}

/** No packet twice, no wrong key, no handshake message too soon, no keypair too many: whatever the network did. */
export function expectDecency({ facts, a, b, timing }: World): void {
  expect(facts.deliveredTwice).toBe(0);
  expect(facts.lostInTunnel).not.toHaveProperty('bad key');
  expect(facts.lostInTunnel).not.toHaveProperty('too old');
  expect(facts.lostInTunnel).not.toHaveProperty('duplicate');
  for (const host of [a, b]) {
    expect(facts.shortestPauseMs(host.options.name)).toBeGreaterThanOrEqual(timing.REKEY_TIMEOUT_MS);
    expect(host.lane.keypairsMost).toBeLessThanOrEqual(3);
  }
}

/** Everything that the network brought came out of the tunnel. */
export function expectNothingLost({ facts }: World): void {
  expect(facts.lostInTunnel).toEqual({});
  expect(facts.stagedDrops).toBe(0);
  expect(facts.deliveredPackets).toBe(facts.broughtPackets);
}

/** The tunnel works: a packet of one end, and then one of the other, comes out within a second. */
export function expectTunnelWorks(world: World, first: HostName = 'a'): void {
  for (const from of first === 'a' ? (['a', 'b'] as const) : (['b', 'a'] as const)) {
    const packet = world.sendPacket(from);
    world.run(1);
    expect(world.facts.packets[packet].delivered).toBe(1);
  }
}

function seedsAsked(text: string | undefined): number[] | null {
  if (text === undefined) return null;
  return text.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, place) => first + place);
  });
}
