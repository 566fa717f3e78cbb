/**
 * Copies towards wireguard-go, behind whose back the link loses datagrams: what gets through once is delivered once. a sits behind
 * a NAT, as a phone does: it speaks to 10.99.0.1:6000, which speaks to b.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1:6000 NAT]== veth, nftables drops a share ==[10.99.0.2]--TUN-- b: 10.77.0.2
 */
import { expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { eventually } from '../support/netns-traffic.ts';
import { OuterCapture } from '../support/outer-capture.ts';
import { type EndOptions, expectGigatun, openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { relayedFrom, startRelay } from '../support/tunnel-relayed.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const LOAD = { packetsPerSecond: 400, lengths: [100, 1_200] } as const;
const WAIT_MS = 20_000;
const RELAY = '10.99.0.1:6000';
const LINK = { offloads: false } as const;
const A = '10.99.0.1';

function withCopies(...settings: string[]): EndOptions {
  const lines = ['Copies = 2', ...settings].map((setting) => `#gigatun: ${setting}\n`).join('');
  return { edit: (config) => `${config}${lines}` };
}

tunnelSuite('copies to a stock peer', ['nft', 'ethtool', 'ping', 'tcpdump', 'wg', 'wireguard-go'], () => {
  it.concurrent('from behind a NAT, which forgets its port, bring what the link loses', async () => {
    const a = { ...withCopies('CopyDelay = 20ms'), endpoint: RELAY };
    await using tunnel = await openTunnel(LINK, a, { program: 'wireguard-go', knowsEndpoint: false });
    await using relay = await startRelay(tunnel);
    await waitForEcho(innerRoute(tunnel.pair, 4), WAIT_MS);
    const { namespace, device } = tunnel.pair.link[1];
    namespace.loseIncoming(device, 0.1);
    const stream = await Stream.start(innerRoute(tunnel.pair, 4), LOAD);
    await stream.arrivals(800, WAIT_MS);
    relay.program.signal('SIGUSR2');
    await stream.arrivals(800, WAIT_MS);
    const { lost, repeated, corrupted } = await stream.finish(true);
    expect({ repeated, corrupted }).toEqual({ repeated: 0, corrupted: 0 });
    // A tenth of 3,200 datagrams and more; of the packets, of which each has two, a hundredth: 16, with a deviation of 4.
    expect(namespace.lostIncoming()).toBeGreaterThan(200);
    expect(lost).toBeLessThan(50);
    expect(await tunnel.b.peerEndpoint()).toBe(relayedFrom(relay.program));
  });

  it.concurrent('of handshakes alone are of these, and the peer takes one of them', async () => {
    await using tunnel = await openTunnel({}, withCopies('CopyOnly = handshake'), { program: 'wireguard-go' });
    await using capture = await OuterCapture.start(tunnel.pair.link[1]);
    await waitForEcho(innerRoute(tunnel.pair, 4), WAIT_MS);
    const stream = await Stream.start(innerRoute(tunnel.pair, 4), LOAD);
    await stream.arrivals(200, WAIT_MS);
    expect(await stream.finish(true)).toMatchObject({ repeated: 0, corrupted: 0 });
    // Of what lanes send, keepalives.
    expect((await expectGigatun(tunnel.a).snapshot()).total.counts.COPIES_TX).toBeLessThan(10);
    expect(capture.sent('initiation', A)).toHaveLength(2);
    expect(capture.sent('response', '10.99.0.2')).toHaveLength(1);
  });

  it.concurrent('that adapt begin when datagrams of the peer get lost', async () => {
    await using tunnel = await openTunnel(LINK, withCopies('CopyWhen = loss'), { program: 'wireguard-go' });
    const a = expectGigatun(tunnel.a);
    const copies = async (): Promise<number> => (await a.snapshot()).total.counts.COPIES_TX;
    const routes = [innerRoute(tunnel.pair, 4), reverseRoute(tunnel.pair, 4)];
    const streams = await Promise.all(routes.map((route) => Stream.start(route, LOAD)));
    await Promise.all(streams.map((stream) => stream.arrivals(400, WAIT_MS)));
    expect(await copies()).toBe(0);
    const { namespace, device } = tunnel.pair.link[0];
    namespace.loseIncoming(device, 0.1);
    await eventually('copies', async () => (await copies()) > 100);
    for (const stream of streams) expect(await stream.finish(true)).toMatchObject({ repeated: 0, corrupted: 0 });
  });
});
