/**
 * A new keypair every few seconds, under steady traffic in both directions: no packet is lost, repeated or changed.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2      three tunnels like this at once
 *
 * The protocol's times are shortened at the ends run by gigatun. The initiator, `a`, decides when keypairs change;
 * wireguard-go as responder keeps its own, longer times.
 *
 * The long run of the same (ten minutes, a new keypair each 10 s) and its figures:
 *
 *     GIGATUN_REKEY_SECONDS=10 GIGATUN_TRAFFIC_SECONDS=600 npx vitest run test/interop/rekey.test.ts
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import type { Timing } from '../../src/protocol/constants.ts';
import {
  type EndOptions,
  expectGigatun,
  GigatunEnd,
  lossReport,
  openTunnel,
  outerSocketDrops,
  type Tunnel,
  widenQueues,
} from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { type Outcome, Stream } from '../support/tunnel-traffic.ts';

const REKEY_SECONDS = Number(process.env.GIGATUN_REKEY_SECONDS ?? 2);
const TRAFFIC_SECONDS = Number(process.env.GIGATUN_TRAFFIC_SECONDS ?? 6.5 * REKEY_SECONDS);
const PACKETS_PER_SECOND = 800;
const POLL_MS = 300;

/**
 * WireGuard's times, shortened with the interval. A second initiation replaces the keypair that the first one led to, so
 * REKEY_TIMEOUT stays longer than a handshake takes on a busy machine.
 */
const TIMING: Partial<Timing> = {
  REKEY_AFTER_TIME_MS: REKEY_SECONDS * 1_000,
  REJECT_AFTER_TIME_MS: REKEY_SECONDS * 3_000,
  REKEY_TIMEOUT_MS: Math.min(5_000, REKEY_SECONDS * 750),
  REKEY_TIMEOUT_JITTER_MS_MAX: 50,
  KEEPALIVE_TIMEOUT_MS: REKEY_SECONDS * 500,
};

interface Case {
  readonly a: EndOptions;
  readonly b: EndOptions;
  /** What the initiator, `a`, has as REKEY_AFTER_TIME. */
  readonly rekeySeconds: number;
}
const GIGATUN: EndOptions = { timing: TIMING };
const TWO_LANES: EndOptions = { timing: TIMING, lanes: 2 };
const WIREGUARD_GO: EndOptions = { program: 'wireguard-go' };
const CASES: Readonly<Record<string, Case>> = {
  'gigatun and gigatun': { a: GIGATUN, b: GIGATUN, rekeySeconds: REKEY_SECONDS },
  'gigatun and gigatun with two lanes each': { a: TWO_LANES, b: TWO_LANES, rekeySeconds: REKEY_SECONDS },
  'gigatun and wireguard-go': { a: GIGATUN, b: WIREGUARD_GO, rekeySeconds: REKEY_SECONDS },
  // Its times cannot be shortened, so this needs a long run.
  ...(TRAFFIC_SECONDS < 300 ? {} : { 'wireguard-go and gigatun': { a: WIREGUARD_GO, b: {}, rekeySeconds: 120 } }),
};

tunnelSuite(`keypairs that change every ${REKEY_SECONDS} s under traffic`, ['ping', 'wg', 'wireguard-go'], () => {
  const tunnels = new Map<string, Tunnel>();
  beforeAll(async () => {
    for (const [name, { a, b }] of Object.entries(CASES)) {
      const tunnel = await openTunnel({}, a, { ...b, knowsEndpoint: false });
      tunnels.set(name, tunnel);
      widenQueues(tunnel);
    }
  }, 30_000);
  afterAll(async () => {
    await Promise.all([...tunnels.values()].map((tunnel) => tunnel.close()));
  });

  it.concurrent.for(Object.entries(CASES))(
    '%s lose, repeat and change nothing, in either direction',
    { timeout: TRAFFIC_SECONDS * 1_000 + 30_000 },
    async ([name, { rekeySeconds }]) => {
      const tunnel = tunnels.get(name);
      if (tunnel === undefined) throw new Error(`no tunnel for ${name}`);
      await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
      const { rekeys, outcomes } = await runTraffic(tunnel);
      print(name, rekeys, outcomes);
      const report = await lossReport(tunnel);
      // A keypair lives as long as it should, a handshake, and a little; the last one may not be over.
      expect(rekeys).toBeGreaterThanOrEqual(Math.floor(TRAFFIC_SECONDS / (rekeySeconds + 0.25)) - 1);
      for (const [outcome, receiver] of [[outcomes[0], tunnel.b] as const, [outcomes[1], tunnel.a] as const]) {
        expect(outcome.sent).toBeGreaterThan(TRAFFIC_SECONDS * PACKETS_PER_SECOND * 0.8);
        expect(outcome, report).toMatchObject({ refused: 0, repeated: 0, corrupted: 0 });
        // Only wireguard-go's small socket buffer may have lost anything.
        const lostMost = receiver instanceof GigatunEnd ? 0 : outerSocketDrops(receiver);
        expect(outcome.lost, report).toBeLessThanOrEqual(lostMost);
        if (isGigatun(tunnel)) expect(outcome.reordered).toBe(0);
      }
    },
  );
});

function isGigatun({ a, b }: Tunnel): boolean {
  return a instanceof GigatunEnd && b instanceof GigatunEnd;
}

/** Streams both ways for TRAFFIC_SECONDS; counts the keypairs that come meanwhile. */
async function runTraffic({ a, b, pair }: Tunnel): Promise<{ rekeys: number; outcomes: readonly [Outcome, Outcome] }> {
  const witness = expectGigatun(a instanceof GigatunEnd ? a : b);
  const load = { packetsPerSecond: PACKETS_PER_SECOND, lengths: [8, 1_372] } as const;
  const forth = await Stream.start(innerRoute(pair, 4), load);
  const back = await Stream.start(reverseRoute(pair, 4), load);
  const handshakesMs = new Set<number>();
  const deadline = performance.now() + TRAFFIC_SECONDS * 1_000;
  while (performance.now() < deadline) {
    const { peers } = await witness.status();
    handshakesMs.add(peers[0]?.latestHandshakeMs ?? 0);
    await delay(POLL_MS);
  }
  const outcomes = await Promise.all([forth.finish(true), back.finish(true)]);
  return { rekeys: handshakesMs.size - 1, outcomes };
}

function print(name: string, rekeys: number, outcomes: readonly Outcome[]): void {
  for (const [direction, { sent, received, lost, repeated, corrupted, overflowed }] of outcomes.entries())
    console.log(
      `${name}, ${direction === 0 ? 'a to b' : 'b to a'}: ${rekeys} rekeys, ${sent} sent, ${received} received, ${lost} lost, ` +
        `${repeated} repeated, ${corrupted} corrupted (and ${overflowed} had no room at the test's own receiver)`,
    );
}
