/**
 * Two links between the same ends, one of which has both as paths. A link is cut (what comes over it is dropped at both
 * ends, and nobody is told) and mended while numbered packets flow; the peer is gigatun, which follows, or wireguard-go.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth  ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *                         [10.99.1.1]== veth1 ==[10.99.1.2]
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ControlClient } from '../../src/control/control-client.ts';
import { readStatus } from '../../src/control/status-reader.ts';
import { GigatunEnd, openGigatun } from '../../src/lab/gigatun-end.ts';
import type { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, planPair, reverseRoute, type TunnelEnd } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { openWireguardGo } from '../../src/lab/wireguard-go-end.ts';
import { eventually } from '../support/netns-traffic.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { openScene, type Scene } from '../support/tunnel-scene.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const WAIT_MS = 20_000;
const PACKETS_PER_SECOND = 500;
const LENGTHS = [200, 1_200] as const;
const PATHS = [
  'Path = near endpoint=10.99.0.2:51820 local=10.99.0.1',
  'Path = far endpoint=10.99.1.2:51820 local=veth1',
] as const;

interface Site extends Scene {
  readonly pair: Pair;
  readonly a: GigatunEnd;
  readonly b: TunnelEnd;
}

async function open(peer: 'gigatun' | 'wireguard-go', mode: 'failover' | 'redundant'): Promise<Site> {
  return await openScene<Omit<Site, keyof Scene>>(async (lab: Lab, onClose) => {
    const pair = planPair(lab, {});
    lab.connect(pair.a.namespace, pair.b.namespace, { subnet: 1, device: 'veth1' });
    const settings = { peerSettings: [...PATHS, `PathMode = ${mode}`] };
    const b = peer === 'gigatun' ? await openGigatun(lab, pair.b) : await openWireguardGo(lab, pair.b);
    onClose(() => b.close());
    const a = await openGigatun(lab, pair.a, settings);
    onClose(() => a.close());
    await waitForEcho(innerRoute(pair, 4), WAIT_MS);
    return { pair, a, b };
  });
}

/** Drops what comes over a link, or takes it again; both ends. */
function setCut({ pair }: Site, device: string, isCut: boolean): void {
  for (const { namespace } of [pair.a, pair.b]) {
    const rules = [
      'add table netdev cut',
      'delete table netdev cut',
      'add table netdev cut',
      `add chain netdev cut in { type filter hook ingress device ${device} priority 0; }`,
      ...(isCut ? ['add rule netdev cut in drop'] : []),
    ];
    namespace.runSync(['nft', '-f', '-'], `${rules.join('\n')}\n`);
  }
}

async function pathsOf({ lab, a }: Site): Promise<string[]> {
  const client = await ControlClient.connect(join(lab.directory, `run-${a.plan.device}`), a.plan.device);
  try {
    const { peers } = readStatus(await client.call('status'));
    return peers.flatMap(
      ({ history }) => history?.paths.map(({ name, state, use }) => `${name} ${state} ${use}`) ?? [],
    );
  } finally {
    client.close();
  }
}

/** A path to a stock peer is tried again after 10 s, and after ever more. */
const PATIENCE_MS = 75_000;

async function expectPaths(site: Site, ...expected: string[]): Promise<void> {
  let seen: string[] = [];
  await eventually(
    `paths ${expected.join(', ')}`,
    async () => {
      seen = await pathsOf(site);
      return expected.every((path) => seen.includes(path));
    },
    PATIENCE_MS,
  ).catch((error: unknown) => {
    throw new Error(`paths are ${seen.join(', ')}\n${site.a.log()}`, { cause: error });
  });
}

/** `gigatun show --json` tells of both paths at both ends: of the one that has them, and of the one that learnt them. */
async function expectShown({ a, b }: Site): Promise<void> {
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
      await using site = await open(peer, 'redundant');
      const load = { packetsPerSecond: PACKETS_PER_SECOND, lengths: LENGTHS };
      const stream = await Stream.start(innerRoute(site.pair, 4), load);
      await stream.arrivals(100, WAIT_MS);
      await delay(1_000);
      for (const device of ['veth', 'veth1']) {
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
      await using site = await open(peer, 'failover');
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
