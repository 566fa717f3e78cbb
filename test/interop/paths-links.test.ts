/**
 * Two paths, one of which loses its link (`ip link set down`), then its local address, and gets each back, while numbered packets
 * flow both ways. The links are drawn in test/support/two-paths.ts.
 */
import { expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';
import { expectPaths, openTwoPaths, type TwoPaths } from '../support/two-paths.ts';

const WAIT_MS = 20_000;
const PACKETS_PER_SECOND = 500;
const LOAD = { packetsPerSecond: PACKETS_PER_SECOND, lengths: [200, 1_200] } as const;

/** What is taken from the path `near` at a, and given back. */
const LOSSES = [
  { away: 'link set veth down', back: 'link set veth up' },
  { away: 'addr del 10.99.0.1/24 dev veth', back: 'addr add 10.99.0.1/24 dev veth' },
] as const;

tunnelSuite('a path that loses its link, and its address', ['ping', 'wg', 'wireguard-go'], () => {
  it.concurrent.for(['gigatun', 'wireguard-go'] as const)(
    'is left at once, and taken again when it is back: to %s',
    async (peer) => {
      await using site = await openTwoPaths({ peer, mode: 'failover' });
      const routes = [innerRoute(site.pair, 4), reverseRoute(site.pair, 4)];
      const streams = await Promise.all(routes.map((route) => Stream.start(route, LOAD)));
      await arrivals(streams, 500);
      await expectPaths(site, 'near alive first');
      for (const { away, back } of LOSSES) {
        site.pair.a.namespace.ip(away);
        await expectPaths(site, 'near dead idle', 'far alive first');
        await arrivals(streams, 500);
        site.pair.a.namespace.ip(back);
        await expectPaths(site, 'near alive first');
        await arrivals(streams, 500);
      }
      for (const stream of streams) {
        const { lost, repeated, silenceMsMax } = await stream.finish(true);
        expect(repeated).toBe(0);
        // The kernel tells of both: nobody has to wait for silence. On a busy machine it takes as long as it takes.
        expect(lost).toBeLessThan(LOSSES.length * PACKETS_PER_SECOND);
        expect(silenceMsMax).toBeLessThan(5_000);
      }
      await expectBooks(site);
      expect(said(site, 'a path cannot be used', 'near')).toBe(LOSSES.length);
      expect(said(site, 'the interface and address of a path are there', 'near')).toBe(LOSSES.length);
      expect(said(site, 'the peer is sent to over a path', 'far')).toBe(LOSSES.length);
      expect(said(site, 'the peer is sent to over a path', 'near')).toBe(1 + LOSSES.length);
    },
  );
});

async function arrivals(streams: readonly Stream[], more: number): Promise<void> {
  await Promise.all(streams.map((stream) => stream.arrivals(more, WAIT_MS)));
}

/** What the kernel refused is booked where it was to go, and dropped with that reason. */
async function expectBooks({ a }: TwoPaths): Promise<void> {
  const { drops } = await a.stats();
  const shown = (await a.showJson()) as {
    peers: { history: { total: { sums: Record<string, number>; counts: Record<string, number> } } }[];
  };
  const { sums = {}, counts = {} } = shown.peers[0]?.history.total ?? {};
  expect(sums.UDP_TX_FAILED).toBe((drops.OUT_SEND_FAILED ?? 0) + (counts.AGAIN_FAILED ?? 0));
}

/** How often a's log said something of a path. */
function said({ a }: TwoPaths, text: string, path: string): number {
  const lines = a.log().split('\n');
  return lines.filter((line) => line.includes(` ${text}`) && line.endsWith(`path=${path}`)).length;
}
