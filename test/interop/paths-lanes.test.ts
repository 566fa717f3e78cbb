/**
 * Two lanes at both ends and two paths between them: each lane sends over both paths, and what comes by either is delivered
 * once, whichever lane it comes to. The links are drawn in test/support/two-paths.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { callControl } from '../../src/control/control-client.ts';
import { readSnapshot } from '../../src/control/status-reader.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { type Finished, run } from '../../src/lab/process.ts';
import { EMULATOR_PORT, Scene as EmulatedScene } from '../../src/lab/scenarios/scene.ts';
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
    for (const setting of ['Retransmit = 150ms', 'InOrder = tcp', 'Fec = 10+2'])
      expect(await reloadWith(site, setting)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/expected one lane for .*got 2 lanes; set Lanes to 1/),
      });
    await waitForEcho(innerRoute(site.pair, 4), WAIT_MS);
  });

  it.concurrent('redundant, over links that lose, reorder and double: deliver nothing twice', async () => {
    const link = ['--delay', '5ms', '--loss', '5%', '--reorder', '5%', '--duplicate', '5%'];
    const paths = [1, 2].map((at) => `Path = p${at} endpoint=127.0.0.1:${EMULATOR_PORT + at - 1}`);
    const a = { program: 'gigatun', settings: [...paths, 'PathMode = redundant'], ...LANES } as const;
    const b = { program: 'gigatun', settings: ['PathMode = redundant'], ...LANES } as const;
    const scene = await EmulatedScene.open({ links: [link, link], a, b });
    try {
      await waitForEcho(innerRoute(scene.pair, 4), WAIT_MS);
      const routes = [innerRoute(scene.pair, 4), reverseRoute(scene.pair, 4)];
      const streams = await Promise.all(routes.map((route) => Stream.start(route, LOAD)));
      await Promise.all(streams.map((stream) => stream.arrivals(3_000, WAIT_MS)));
      for (const stream of streams) {
        const { sent, lost, repeated, corrupted, reordered } = await stream.finish(true);
        expect({ repeated, corrupted }).toEqual({ repeated: 0, corrupted: 0 });
        expect(reordered).toBeGreaterThan(0);
        // A packet is lost where both its datagrams are, one in four hundred; the first second has one path alone.
        expect(lost).toBeLessThan(0.03 * sent);
      }
    } finally {
      await scene.close();
    }
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

/** Has a apply its file again, with one more setting of its peer in it. */
async function reloadWith({ lab, a }: TwoPaths, setting: string): Promise<Finished> {
  const { device } = a.plan;
  const file = join(lab.directory, `${device}.conf`);
  const before = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    before.replace('[Peer]', () => `[Peer]\n#gigatun: ${setting}`),
    { mode: 0o600 },
  );
  const env = { GIGATUN_RUN_DIR: join(lab.directory, `run-${device}`) };
  try {
    return await run([process.execPath, CLI, 'reload', device], { env, mayFail: true });
  } finally {
    writeFileSync(file, before, { mode: 0o600 });
  }
}

/** A counter of each lane of a that moves packets. */
async function countsOfLanes({ lab, a }: TwoPaths, counter: CounterName): Promise<number[]> {
  const { device } = a.plan;
  const { lanes } = readSnapshot(await callControl(join(lab.directory, `run-${device}`), device, 'stats'));
  const counts = lanes.filter(({ name }) => name.startsWith('lane ')).map((lane) => lane.counts[counter]);
  expect(counts).toHaveLength(2);
  return counts;
}
