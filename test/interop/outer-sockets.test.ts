/**
 * How the outer sockets send: from the address that was addressed (sticky source), with the firewall mark, and in whichever
 * family the peer speaks.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1 fd99::1]== veth ==[10.99.0.2 fd99::2, and .7, ::7]--TUN-- b: 10.77.0.2
 */
import { expect, it, vi } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { OuterCapture } from '../support/outer-capture.ts';
import { countPackets } from '../support/packet-counters.ts';
import { type End, type EndOptions, openTunnel, type Tunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const NEEDS = ['nft', 'ping', 'tcpdump', 'wg', 'wireguard-go'] as const;
type Program = NonNullable<EndOptions['program']>;

const FAMILIES = {
  4: { first: '10.99.0.2', second: '10.99.0.7', prefix: '/24', endpoint: (address: string) => `${address}:51820` },
  6: { first: 'fd99::2', second: 'fd99::7', prefix: '/64 nodad', endpoint: (address: string) => `[${address}]:51820` },
} as const;

tunnelSuite('the source address', NEEDS, () => {
  it.concurrent.for<[4 | 6, Program]>([
    [4, 'gigatun'],
    [6, 'gigatun'],
    [4, 'wireguard-go'],
  ])('over IPv%i is the one that %s addressed, for handshakes and data, while it lasts', async ([outer, program]) => {
    const { second, prefix, endpoint } = FAMILIES[outer];
    await using tunnel = await openTunnel({ outer }, { program, endpoint: endpoint(second) }, { knowsEndpoint: false });
    const { namespace, device } = tunnel.pair.link[1];
    namespace.ip(`addr add ${second}${prefix} dev ${device}`);
    await using capture = await OuterCapture.start(tunnel.pair.link[0]);
    await waitForEcho(innerRoute(tunnel.pair, 4), 10_000);
    await waitForEcho(reverseRoute(tunnel.pair, 4), 5_000);
    // a would have followed b to another address.
    expect(await tunnel.a.peerEndpoint()).toBe(endpoint(second));
    const [response] = await capture.waitFor('response', second, 1, 2_000);
    expect(response?.from).toBe(`${second}.51820`);
    const ofB = capture.messages().filter(({ from }) => from.startsWith(`${FAMILIES[outer].first}.`));
    expect(ofB).toEqual([]);

    // Gone without a word: the kernel refuses it, and the next datagram has another.
    namespace.ip(`addr del ${second}${prefix.replace(' nodad', '')} dev ${device}`);
    await waitForEcho(reverseRoute(tunnel.pair, 4), 5_000);
    await waitForEndpoint(tunnel.a, (at) => at !== endpoint(second));
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
  });
});

tunnelSuite('the firewall mark', NEEDS, () => {
  it.concurrent.for([4, 6] as const)('is on all that leaves over IPv%i, handshakes and data', async (outer) => {
    const edit = (config: string): string => config.replace('[Interface]', '[Interface]\nFwMark = 0x1234');
    await using tunnel = await openTunnel({ outer }, { edit }, { program: 'wireguard-go' });
    const { namespace } = tunnel.pair.a;
    const sent = countPackets(namespace, 'output', {
      all: 'udp dport 51820',
      marked: 'udp dport 51820 meta mark 0x1234',
      initiation: 'udp dport 51820 meta mark 0x1234 udp length 156',
    });
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
    const { all, marked, initiation } = sent.read();
    expect(all).toBeGreaterThan(1);
    expect(marked).toBe(all);
    // The first of them may have left before the rules stood.
    expect(initiation).toBeGreaterThanOrEqual(1);
  });
});

tunnelSuite('a peer that changes its family', NEEDS, () => {
  it.concurrent('is followed from IPv4 to IPv6 and back, without a handshake', async () => {
    await using tunnel = await openTunnel({}, { program: 'wireguard-go' }, { knowsEndpoint: false });
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
    await using capture = await OuterCapture.start(tunnel.pair.link[0]);
    const port = tunnel.pair.a.listenPort;
    const places = { 4: `10.99.0.1:${port}`, 6: `[fd99::1]:${port}` } as const;
    expect(await tunnel.b.peerEndpoint()).toBe(places[4]);
    for (const family of [6, 4] as const) {
      speakTo(tunnel, FAMILIES[family].endpoint(FAMILIES[family].first));
      await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
      await waitForEndpoint(tunnel.b, (endpoint) => endpoint === places[family]);
      await waitForEcho(reverseRoute(tunnel.pair, 6), 5_000);
    }
    expect(capture.messages().filter(({ kind }) => kind === 'initiation')).toEqual([]);
    const families = capture.messages().map(({ from }) => (from.startsWith('10.') ? 4 : 6));
    expect(new Set(families)).toEqual(new Set([4, 6]));
  });
});

/** a, run by wireguard-go, looks for b elsewhere from now on. */
function speakTo({ pair: { a, b } }: Tunnel, endpoint: string): void {
  a.namespace.runSync(['wg', 'set', a.device, 'peer', b.publicKey, 'endpoint', endpoint]);
}

/** Lanes tell the control lane of roaming ten times a second. */
async function waitForEndpoint(end: End, test: (endpoint: string | null) => boolean): Promise<void> {
  await vi.waitUntil(async () => test(await end.peerEndpoint()), 5_000);
}
