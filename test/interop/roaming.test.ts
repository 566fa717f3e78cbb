/**
 * An end changes its outer address or port under traffic, and the other follows; nobody else can make it follow.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1, later 10.99.0.11]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *
 * Ports change in a relay at a's side, as in a NAT that forgot: a speaks to 10.99.0.1:6000, which speaks to b.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { type EndOptions, GigatunEnd, openTunnel, type Tunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { relayedFrom, shoot, startRelay } from '../support/tunnel-relayed.ts';
import { type Outcome, Stream } from '../support/tunnel-traffic.ts';

const LOAD = { packetsPerSecond: 400, lengths: [8, 1_372] } as const;
/** Neither end needs a timer to notice: the next packet tells. Room for a busy machine, and for what was under way. */
const SILENCE_MS_MAX = 1_500;
/** Where a looks for b in the tests with a NAT. */
const RELAY = '10.99.0.1:6000';
/** Where recorded and forged datagrams come from. */
const STRANGER = '10.99.0.66';

type Program = NonNullable<EndOptions['program']>;
const PAIRS: readonly (readonly [Program, Program])[] = [
  ['gigatun', 'gigatun'],
  ['gigatun', 'wireguard-go'],
  ['wireguard-go', 'gigatun'],
];

tunnelSuite('roaming', ['ping', 'wg', 'wireguard-go'], () => {
  it.concurrent.for(PAIRS)('a NAT before %s forgets its port, %s follows, but never a stranger', async ([a, b]) => {
    await using tunnel = await openTunnel({}, { program: a, endpoint: RELAY }, { program: b, knowsEndpoint: false });
    await using relay = await startRelay(tunnel);
    const outcomes = await moveUnderTraffic(tunnel, () => relay.program.signal('SIGUSR2'));
    const endpoint = relayedFrom(relay.program);
    expect(await tunnel.b.peerEndpoint()).toBe(endpoint);
    expectGoneOn(outcomes);

    const { namespace, device } = tunnel.pair.link[0];
    namespace.ip(`addr add ${STRANGER}/32 dev ${device}`);
    await expectReplayIsRefused(tunnel);
    expect(await tunnel.b.peerEndpoint()).toBe(endpoint);
    await shoot(tunnel, 'junk', STRANGER, '2000', 'forged');
    expect(await tunnel.b.peerEndpoint()).toBe(endpoint);
    await waitForEcho(reverseRoute(tunnel.pair, 4), 2_000);
  });

  it.concurrent.for(['gigatun', 'wireguard-go'] as const)(
    'gigatun moves to another address, %s follows, and traffic goes on both ways',
    async (program) => {
      await using tunnel = await openTunnel({}, {}, { program });
      const { namespace, device, address4 } = tunnel.pair.link[0];
      const outcomes = await moveUnderTraffic(tunnel, () => {
        namespace.ip(`addr del ${address4}/24 dev ${device}`, `addr add 10.99.0.11/24 dev ${device}`);
      });
      expect(await tunnel.b.peerEndpoint()).toBe(`10.99.0.11:${tunnel.pair.a.listenPort}`);
      expectGoneOn(outcomes);
    },
  );

  // wireguard-go itself keeps to a source address that is gone until its next handshake; so it moves by its port.
  it.concurrent('wireguard-go moves to another port, gigatun follows, and traffic goes on both ways', async () => {
    await using tunnel = await openTunnel({}, { program: 'wireguard-go' });
    const { namespace, device } = tunnel.pair.a;
    const outcomes = await moveUnderTraffic(tunnel, () => {
      namespace.runSync(['wg', 'set', device, 'listen-port', '51999']);
    });
    expect(await tunnel.b.peerEndpoint()).toBe('10.99.0.1:51999');
    expectGoneOn(outcomes);
  });
});

/** Streams both ways, a move in the middle, and on until both have gone on for a second. */
async function moveUnderTraffic({ pair }: Tunnel, move: () => void): Promise<Outcome[]> {
  await waitForEcho(innerRoute(pair, 4), 5_000);
  const streams = [await Stream.start(innerRoute(pair, 4), LOAD), await Stream.start(reverseRoute(pair, 4), LOAD)];
  await Promise.all(streams.map((stream) => stream.arrivals(LOAD.packetsPerSecond / 4, 5_000)));
  move();
  await delay(100);
  await Promise.all(streams.map((stream) => stream.arrivals(LOAD.packetsPerSecond, 10_000)));
  return await Promise.all(streams.map((stream) => stream.finish(true)));
}

/** Some packets were under way to where nobody was any more; the rest came, each once. */
function expectGoneOn(outcomes: readonly Outcome[]): void {
  for (const outcome of outcomes) {
    expect(outcome.silenceMsMax).toBeLessThan(SILENCE_MS_MAX);
    expect(outcome.lost).toBeLessThan((SILENCE_MS_MAX / 1_000) * LOAD.packetsPerSecond);
    expect(outcome).toMatchObject({ repeated: 0, corrupted: 0 });
  }
}

/** Everything that a sent comes once more, from elsewhere: seen before or too old, or with a timestamp that is not newer. */
async function expectReplayIsRefused(tunnel: Tunnel): Promise<void> {
  const { b } = tunnel;
  const before = b instanceof GigatunEnd ? await b.drops() : {};
  const sent = await shoot(tunnel, 'replay', STRANGER);
  expect(sent.IN_REPLAY).toBeGreaterThan(LOAD.packetsPerSecond);
  expect(sent.IN_HANDSHAKE_BAD).toBeGreaterThan(0);
  await delay(100);
  if (!(b instanceof GigatunEnd)) return;
  const drops = await b.drops();
  const more = (name: string): number => (drops[name] ?? 0) - (before[name] ?? 0);
  expect(more('IN_REPLAY') + more('IN_TOO_OLD')).toBe(sent.IN_REPLAY);
  expect(more('IN_HANDSHAKE_BAD')).toBe(sent.IN_HANDSHAKE_BAD);
}
