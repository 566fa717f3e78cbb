/**
 * Floods of every kind against one end of a tunnel, 10,000 datagrams a second: what goes on, who still gets in, what is
 * counted, and that memory stays as it is. `npm run attack` measures the same with more.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]
 *     attacker: 10.98.0.0/16 --[10.99.1.1]== veth ==[10.99.1.2]-- b: 10.77.0.2, UDP port 51820
 *     newcomer N: 10.77.1.N --TUN--[10.99.2.1]== veth ==[10.99.2.2]
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AttackLab } from '../../src/lab/attack/attack-lab.ts';
import { FLOOD_KINDS, floodKind } from '../../src/lab/attack/flood-kinds.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import type { DropName } from '../../src/packet/drop-reason.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

/** What the datagrams of each kind are dropped for. */
const REASONS: Readonly<Record<string, readonly DropName[]>> = {
  'random-initiations': ['IN_HANDSHAKE_BAD'],
  'mac1-initiations': ['IN_HANDSHAKE_RATE', 'IN_HANDSHAKE_BAD'],
  'mac1-many': ['IN_HANDSHAKE_RATE', 'IN_HANDSHAKE_BAD', 'IN_HANDSHAKE_QUEUE'],
  replayed: ['IN_HANDSHAKE_RATE', 'IN_HANDSHAKE_BAD'],
  responses: ['IN_HANDSHAKE_BAD'],
  'cookie-replies': ['IN_HANDSHAKE_BAD'],
  transport: ['IN_UNKNOWN_INDEX'],
  truncated: ['IN_TOO_SHORT', 'IN_BAD_LENGTH', 'IN_UNKNOWN_INDEX'],
  oversized: ['IN_BAD_LENGTH'],
  random: ['IN_TOO_SHORT', 'IN_BAD_TYPE'],
};
const RATE = 10_000;
const SECONDS = 1;
/** Under these a newcomer knocks; they ask the most of whoever lets it in. */
const KNOCKED = ['mac1-initiations', 'mac1-many', 'replayed'];
const KNOCK_SECONDS = 8;
/** Before the flood is over: one retry of a handshake is allowed for. */
const KNOCK_MS = 7_000;
const GROWTH_BYTES_MAX = 24 * 2 ** 20;

tunnelSuite('a flood', ['ping', 'nft'], () => {
  let lab: AttackLab;
  let residentAtFirst = 0;

  beforeAll(async () => {
    lab = await AttackLab.open(KNOCKED.length);
    await waitForEcho(lab.route, 5_000);
    residentAtFirst = lab.b.usage().residentBytes;
  }, 30_000);

  afterAll(() => lab?.close());

  /** Drops of `reasons` that were counted from `before` on. */
  async function droppedSince(before: Readonly<Record<string, number>>, reasons: readonly string[]): Promise<number> {
    const now = await lab.drops();
    return reasons.reduce((sum, reason) => sum + (now[reason] ?? 0) - (before[reason] ?? 0), 0);
  }

  it.each(FLOOD_KINDS.filter(({ hitsDevice }) => hitsDevice))(
    'of $name stops nobody who has a tunnel, and is dropped for what it is',
    async (kind) => {
      const reasons = REASONS[kind.name] ?? [];
      const before = await lab.drops();
      const { report } = await lab.flood(kind, { rate: RATE, seconds: SECONDS });
      await waitForEcho(lab.route, 10_000);
      const { sent } = await report;
      const dropped = await droppedSince(before, reasons);
      expect(sent).toBeGreaterThan(0);
      expect(dropped).toBeLessThanOrEqual(sent);
      // Nothing else becomes of them, but for the few that are worth an answer and those that the kernel had no room for.
      expect(dropped, JSON.stringify(await lab.drops())).toBeGreaterThan(sent / 4);
    },
  );

  it.each(KNOCKED)('of %s lets a peer in that was never heard of', async (name) => {
    const kind = floodKind(name);
    if (kind === undefined) throw new Error(`expected a kind of flood, got ${name}`);
    const newcomer = await lab.nextNewcomer();
    try {
      const { report } = await lab.flood(kind, { rate: RATE, seconds: KNOCK_SECONDS });
      expect(await newcomer.knock(KNOCK_MS)).toBeLessThan(KNOCK_MS);
      await report;
    } finally {
      await newcomer.close();
    }
  });

  it('of all these kinds leaves memory as it was', () => {
    const growth = lab.b.usage().residentBytes - residentAtFirst;
    console.log(`resident memory grew by ${(growth / 2 ** 20).toFixed(1)} MB`);
    expect(growth).toBeLessThan(GROWTH_BYTES_MAX);
  });
});
