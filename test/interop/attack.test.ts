/**
 * Floods of every kind against one end of a tunnel, 20,000 datagrams a second: what goes on, who still gets in, what is
 * counted, and that memory stays as it is. `npm run attack` measures the same with more.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]
 *     attacker: 100.64.0.0/10 --[10.99.1.1]== veth ==[10.99.1.2]-- b: 10.77.0.2, UDP port 51820
 *     newcomer N: 10.77.1.N --TUN--[10.97.1.N]== veth ==[10.99.2.2]
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AttackLab } from '../../src/lab/attack/attack-lab.ts';
import { FLOOD_KINDS } from '../../src/lab/attack/flood-kinds.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import type { DropName } from '../../src/packet/drop-reason.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

/** What the datagrams of each kind are dropped for. */
const REASONS: Readonly<Record<string, readonly DropName[]>> = {
  'random-initiations': ['IN_HANDSHAKE_BAD'],
  'mac1-initiations': ['IN_HANDSHAKE_RATE', 'IN_HANDSHAKE_BAD'],
  'mac1-many': ['IN_HANDSHAKE_RATE', 'IN_HANDSHAKE_BAD', 'IN_HANDSHAKE_QUEUE'],
  'mac1-spoofed': ['IN_HANDSHAKE_RATE', 'IN_HANDSHAKE_BAD', 'IN_HANDSHAKE_QUEUE'],
  replayed: ['IN_HANDSHAKE_RATE', 'IN_HANDSHAKE_BAD'],
  responses: ['IN_HANDSHAKE_BAD'],
  'cookie-replies': ['IN_HANDSHAKE_BAD'],
  transport: ['IN_UNKNOWN_INDEX'],
  truncated: ['IN_TOO_SHORT', 'IN_BAD_LENGTH', 'IN_UNKNOWN_INDEX'],
  oversized: ['IN_BAD_LENGTH'],
  random: ['IN_TOO_SHORT', 'IN_BAD_TYPE'],
};
const RATE = 20_000;
/** The longest that a flood lasts; it ends as soon as all is seen. */
const SECONDS = 25;
/** So long before anybody knocks: by then each of 16,384 addresses has been heard of. */
const LEAD_MS = 1_000;
/** A newcomer gets in with its first initiation, well before it would send the next. */
const KNOCK_MS = 5_000;
/** Or with one that bears a cookie: WireGuard sends the next 5 s to 5 1/3 s after the one before, and one may be lost. */
const COOKIE_KNOCK_MS = 15_000;
/** That a newcomer sends in that time. */
const INITIATIONS_MAX = 3;
const KNOCK_MS_OF: Readonly<Record<string, number>> = { 'mac1-spoofed': COOKIE_KNOCK_MS };
const GROWTH_BYTES_MAX = 24 * 2 ** 20;

tunnelSuite('a flood', ['ping', 'nft'], () => {
  let lab: AttackLab;
  let residentAtFirst = 0;

  beforeAll(async () => {
    lab = await AttackLab.open(FLOOD_KINDS.length);
    await waitForEcho(lab.route, 5_000);
    residentAtFirst = lab.b.usage().residentBytes;
  }, 30_000);

  afterAll(() => lab?.close());

  /** Drops of `reasons` that were counted from `before` on. */
  async function droppedSince(before: Readonly<Record<string, number>>, reasons: readonly string[]): Promise<number> {
    const now = await lab.drops();
    return reasons.reduce((sum, reason) => sum + (now[reason] ?? 0) - (before[reason] ?? 0), 0);
  }

  it.each(FLOOD_KINDS)(
    'of $name stops nobody who has a tunnel, keeps no newcomer out, and is dropped for what it is',
    async (kind) => {
      const reasons = REASONS[kind.name] ?? [];
      const knockMs = KNOCK_MS_OF[kind.name] ?? KNOCK_MS;
      const before = await lab.drops();
      const newcomer = await lab.nextNewcomer();
      try {
        const { report, stop } = await lab.flood(kind, { rate: RATE, seconds: SECONDS });
        await delay(LEAD_MS);
        await waitForEcho(lab.route, 5_000);
        expect(await newcomer.knock(knockMs)).toBeLessThan(knockMs);
        stop();
        const { sent } = await report;
        const dropped = await droppedSince(before, reasons);
        expect(sent).toBeGreaterThan(0);
        // A newcomer's own initiations are among them, where a cookie was the answer.
        expect(dropped).toBeLessThanOrEqual(sent + INITIATIONS_MAX);
        // Nothing else becomes of them, but for the few that are worth an answer and those that the kernel had no room for.
        expect(dropped, JSON.stringify(await lab.drops())).toBeGreaterThan(sent / 4);
      } finally {
        await newcomer.close();
      }
    },
    45_000,
  );

  it('of all these kinds leaves memory as it was', () => {
    const growth = lab.b.usage().residentBytes - residentAtFirst;
    console.log(`resident memory grew by ${(growth / 2 ** 20).toFixed(1)} MB`);
    expect(growth).toBeLessThan(GROWTH_BYTES_MAX);
  });
});
