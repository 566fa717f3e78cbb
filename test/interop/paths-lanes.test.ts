/**
 * Two lanes at both ends and two paths between them: each lane sends over both paths, and what comes by either is delivered
 * once, whichever lane it comes to. The links are drawn in test/support/two-paths.ts.
 */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { callControl } from '../../src/control/control-client.ts';
import { readSnapshot } from '../../src/control/status-reader.ts';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import type { CounterName } from '../../src/ledger/catalog.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';
import { expectPaths, openTwoPaths, setCut, type TwoPaths } from '../support/two-paths.ts';

const WAIT_MS = 20_000;
const PACKETS_PER_SECOND = 1_000;
const LOAD = { packetsPerSecond: PACKETS_PER_SECOND, lengths: [100, 1_200], flows: 16 } as const;
const LANES = { lanes: 2 } as const;

tunnelSuite('two lanes with two paths', ['nft', 'ping'], () => {
  it.concurrent('redundant: lose nothing of what a link loses, and deliver nothing twice', async () => {
    await using site = await openTwoPaths({ peer: 'gigatun', mode: 'redundant', a: LANES, b: LANES });
    await expectPaths(site, 'near alive first', 'far alive copy');
    site.pair.b.namespace.loseIncoming('veth', 0.2);
    const there = await Stream.start(innerRoute(site.pair, 4), LOAD);
    await there.arrivals(3_000, WAIT_MS);
    expect(await there.finish(true)).toMatchObject({ lost: 0, repeated: 0, corrupted: 0 });
    expect(site.pair.b.namespace.lostIncoming()).toBeGreaterThan(100);
    for (const copies of await countsOfLanes(site, 'COPIES_TX')) expect(copies).toBeGreaterThan(100);
  });

  it.concurrent('failover, with copies: both lanes go over to the other path, and back', async () => {
    const peerSettings = ['Copies = 3', 'CopyOnly = small', 'CopyDelay = 20ms'];
    const a = { ...LANES, peerSettings };
    await using site = await openTwoPaths({ peer: 'gigatun', mode: 'failover', a, b: LANES });
    const routes = [innerRoute(site.pair, 4), reverseRoute(site.pair, 4)];
    const streams = await Promise.all(routes.map((route) => Stream.start(route, LOAD)));
    await Promise.all(streams.map((stream) => stream.arrivals(1_000, WAIT_MS)));
    await expectPaths(site, 'near alive first', 'far alive copy');
    setCut(site, 'veth', true);
    await expectPaths(site, 'near dead idle', 'far alive first');
    await Promise.all(streams.map((stream) => stream.arrivals(1_000, WAIT_MS)));
    setCut(site, 'veth', false);
    await expectPaths(site, 'near alive first', 'far alive copy');
    await Promise.all(streams.map((stream) => stream.arrivals(1_000, WAIT_MS)));
    for (const stream of streams) {
      const { repeated, lost } = await stream.finish(true);
      expect(repeated).toBe(0);
      expect(lost).toBeLessThan(3 * PACKETS_PER_SECOND);
    }
    for (const copies of await countsOfLanes(site, 'COPIES_TX')) expect(copies).toBeGreaterThan(100);
  });
});

/** A counter of each lane of a that moves packets. */
async function countsOfLanes({ lab, a }: TwoPaths, counter: CounterName): Promise<number[]> {
  const { device } = a.plan;
  const { lanes } = readSnapshot(await callControl(join(lab.directory, `run-${device}`), device, 'stats'));
  const counts = lanes.filter(({ name }) => name.startsWith('lane ')).map((lane) => lane.counts[counter]);
  expect(counts).toHaveLength(2);
  return counts;
}
