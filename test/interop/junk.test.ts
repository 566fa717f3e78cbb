/**
 * A hundred thousand datagrams of junk against a tunnel's port while it carries traffic: each is dropped for its reason
 * and counted, the traffic does not notice, memory does not grow.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *     junk from 10.99.0.66 -----------^
 *
 * The junk: too short, unknown types, reserved bytes set, wrong lengths, forged handshakes, unknown receivers, a receiver
 * that is known with a wrong tag or an impossible counter, and datagrams as long as UDP allows.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { innerRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import {
  expectGigatun,
  lossReport,
  openTunnel,
  outerSocketDrops,
  type Tunnel,
  widenQueues,
} from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { type Relay, shoot, startRelay } from '../support/tunnel-relayed.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const STRANGER = '10.99.0.66';
const JUNK = 100_000;
/** A first part of the junk lets memory find its shape. */
const FIRST_JUNK = 50_000;
const GROWTH_BYTES_MAX = 12 * 1024 * 1024;

tunnelSuite('junk from the network', ['ping'], () => {
  let tunnel: Tunnel;
  let relay: Relay;
  beforeAll(async () => {
    tunnel = await openTunnel({}, { endpoint: '10.99.0.1:6000' }, { knowsEndpoint: false });
    widenQueues(tunnel);
    relay = await startRelay(tunnel);
    const { namespace, device } = tunnel.pair.link[0];
    namespace.ip(`addr add ${STRANGER}/32 dev ${device}`);
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
  }, 20_000);
  afterAll(async () => {
    await relay?.[Symbol.asyncDispose]();
    await tunnel?.close();
  });

  it('is dropped and counted by reason, under traffic that does not notice, in memory that does not grow', async () => {
    const b = expectGigatun(tunnel.b);
    const stream = await Stream.start(innerRoute(tunnel.pair, 4), { packetsPerSecond: 200, lengths: [8, 1_372] });
    await shoot(tunnel, 'junk', STRANGER, String(FIRST_JUNK), 'first');
    const before = { residentBytes: b.residentBytes(), drops: await b.drops() };
    const sent = await shoot(tunnel, 'junk', STRANGER, String(JUNK), 'second');
    const outcome = await stream.finish(true);
    const drops = await b.drops();
    const dropped = Object.keys(sent).map((name) => [name, (drops[name] ?? 0) - (before.drops[name] ?? 0)]);
    const growth = b.residentBytes() - before.residentBytes;
    console.log(`${JSON.stringify(sent)}; resident memory grew by ${(growth / 2 ** 20).toFixed(1)} MB`);
    expect(outerSocketDrops(b)).toBe(0);
    expect(Object.fromEntries(dropped)).toEqual(sent);
    expect(outcome, await lossReport(tunnel)).toMatchObject({ lost: 0, repeated: 0, corrupted: 0 });
    expect(growth).toBeLessThan(GROWTH_BYTES_MAX);
    await waitForEcho(innerRoute(tunnel.pair, 6), 5_000);
  });
});
