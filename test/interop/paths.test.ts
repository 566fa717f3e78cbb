/**
 * Two paths, one of which is cut (what comes over it is dropped at both ends, and nobody is told) and mended while numbered
 * packets flow; the peer is gigatun, which follows, or wireguard-go. The links are drawn in test/support/two-paths.ts.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { GigatunEnd } from '../../src/lab/gigatun-end.ts';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';
import { expectPaths, openTwoPaths, setCut, type TwoPaths } from '../support/two-paths.ts';

const WAIT_MS = 20_000;
const PACKETS_PER_SECOND = 500;
const LENGTHS = [200, 1_200] as const;

/** `gigatun show --json` tells of both paths at both ends: of the one that has them, and of the one that learnt them. */
async function expectShown({ a, b }: TwoPaths): Promise<void> {
  expect(b).toBeInstanceOf(GigatunEnd);
  const told = [await a.showJson(), await (b as GigatunEnd).showJson()];
  const used = { state: 'alive', total: { UDP_TX: expect.any(Number), UDP_RX: expect.any(Number) } };
  const [near, far] = [
    expect.objectContaining({ name: 'near', use: 'first' }),
    { name: 'far', local: 'veth1', use: 'copy' },
  ];
  expect(told[0]).toMatchObject({ peers: [{ history: { mode: 'redundant', paths: [used, used] } }] });
  expect(told[0]).toMatchObject({ peers: [{ history: { paths: [near, far] } }] });
  const learnt = ['10.99.0.1:51820', '10.99.1.1:51820'].map((endpoint) => expect.objectContaining({ endpoint }));
  expect(told[1]).toMatchObject({ peers: [{ history: { mode: 'follow', paths: expect.arrayContaining(learnt) } }] });
}

tunnelSuite('two paths', ['nft', 'ping', 'wg', 'wireguard-go'], () => {
  describe.for(['gigatun', 'wireguard-go'] as const)('to %s', (peer) => {
    it('redundant: no packet is lost when either is cut, and it comes back', { timeout: 60_000 }, async () => {
      await using site = await openTwoPaths({ peer, mode: 'redundant' });
      const load = { packetsPerSecond: PACKETS_PER_SECOND, lengths: LENGTHS };
      const stream = await Stream.start(innerRoute(site.pair, 4), load);
      await stream.arrivals(100, WAIT_MS);
      await delay(1_000);
      for (const device of ['veth', 'veth1'] as const) {
        setCut(site, device, true);
        await delay(2_000);
        setCut(site, device, false);
        if (peer === 'gigatun') await expectPaths(site, 'near alive first', 'far alive copy');
        else await delay(500);
      }
      expect(await stream.finish(true)).toMatchObject({ lost: 0, repeated: 0 });
      if (peer === 'gigatun') await expectShown(site);
    });

    it('failover: goes over to the other within a second, and back by itself', { timeout: 60_000 }, async () => {
      await using site = await openTwoPaths({ peer, mode: 'failover' });
      const load = { packetsPerSecond: PACKETS_PER_SECOND, lengths: LENGTHS };
      const there = await Stream.start(innerRoute(site.pair, 4), load);
      const back = await Stream.start(reverseRoute(site.pair, 4), load);
      await Promise.all([there.arrivals(100, WAIT_MS), back.arrivals(100, WAIT_MS)]);
      await delay(2_000);
      await expectPaths(site, 'near alive first');
      setCut(site, 'veth', true);
      await expectPaths(site, 'near dead idle', 'far alive first');
      await Promise.all([there.arrivals(500, WAIT_MS), back.arrivals(500, WAIT_MS)]);
      setCut(site, 'veth', false);
      await expectPaths(site, 'near alive first');
      await Promise.all([there.arrivals(500, WAIT_MS), back.arrivals(500, WAIT_MS)]);
      const outcomes = await Promise.all([there.finish(true), back.finish(true)]);
      for (const { lost, repeated, silenceMsMax } of outcomes) {
        expect(repeated).toBe(0);
        // Cut for good, they would have lost half of all; how long it takes is the scenarios' to measure.
        expect(lost).toBeLessThan(5 * PACKETS_PER_SECOND);
        expect(silenceMsMax).toBeLessThan(5_000);
      }
    });
  });
});
