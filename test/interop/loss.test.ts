/**
 * A network that loses datagrams: files arrive whole, the tunnel itself loses nothing more, and handshakes get through.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth, nftables drops a share of what arrives ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *
 * The veth carries single datagrams, not groups of them, so that the loss is one of datagrams.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import type { Timing } from '../../src/protocol/constants.ts';
import {
  type EndOptions,
  expectGigatun,
  lossReport,
  openTunnel,
  outerSocketDrops,
  type Tunnel,
  widenQueues,
} from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream, sendDatagrams } from '../support/tunnel-traffic.ts';

const NEEDS = ['nft', 'ethtool', 'ping', 'wg', 'wireguard-go'] as const;
const LINK = { offloads: false } as const;
const FILE_BYTES = 8 * 1024 * 1024;
const PROGRAMS: readonly NonNullable<EndOptions['program']>[] = ['gigatun', 'wireguard-go'];
/** Shortened, so that there are many handshakes in a short time. */
const TIMING: Partial<Timing> = {
  REKEY_AFTER_TIME_MS: 1_000,
  REJECT_AFTER_TIME_MS: 10_000,
  REKEY_TIMEOUT_MS: 200,
  REKEY_TIMEOUT_JITTER_MS_MAX: 50,
  KEEPALIVE_TIMEOUT_MS: 400,
};

tunnelSuite('a network that loses', NEEDS, () => {
  it.concurrent.for(PROGRAMS)(
    'one datagram in a hundred delivers files to %s and back as they were sent',
    async (program) => {
      await using tunnel = await openTunnel(LINK, {}, { program });
      lose(tunnel, 0.01);
      const files = await Promise.all([
        transfer(innerRoute(tunnel.pair, 4), FILE_BYTES, 'forth'),
        transfer(reverseRoute(tunnel.pair, 6), FILE_BYTES, 'back'),
      ]);
      for (const file of files) expect(file).toMatchObject({ bytes: FILE_BYTES, corruptedBytes: 0, intact: true });
    },
  );

  it.concurrent.for(PROGRAMS)(
    'one datagram in a hundred is all that loses UDP packets on their way to %s',
    async (program) => {
      await using tunnel = await openTunnel(LINK, {}, { program });
      await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
      lose(tunnel, 0.01);
      const load = { packets: 6_000, packetsPerSecond: 1_500, lengths: [8, 1_372] } as const;
      const outcome = await sendDatagrams(innerRoute(tunnel.pair, 4), load);
      const report = `${JSON.stringify(outcome)} ${await lossReport(tunnel)}`;
      // Binomial: 60 expected, standard deviation 7.7; almost six of these either way.
      expect(outcome.lost, report).toBeGreaterThan(15);
      expect(outcome.lost, report).toBeLessThan(105);
      expect(outcome.lost, report).toBeLessThanOrEqual(lostOutside(tunnel));
      expect(outcome).toMatchObject({ repeated: 0, corrupted: 0, reordered: 0 });
    },
  );

  it.concurrent('every third datagram lets handshakes through, again and again', async () => {
    await using tunnel = await openTunnel(LINK, { timing: TIMING }, { timing: TIMING, knowsEndpoint: false });
    widenQueues(tunnel);
    lose(tunnel, 1 / 3);
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 20_000);
    const stream = await Stream.start(route, { packetsPerSecond: 500, lengths: [8, 1_372] });
    const handshakesMs = new Set<number>();
    for (let poll = 0; poll < 35; poll += 1) {
      handshakesMs.add((await expectGigatun(tunnel.a).status()).peers[0]?.latestHandshakeMs ?? 0);
      await delay(200);
    }
    const outcome = await stream.finish(true);
    const report = `${JSON.stringify(outcome)} ${await lossReport(tunnel)}`;
    // In 7 s at best one each second. A try succeeds with (2/3)^2, and there are four in a second.
    expect(handshakesMs.size - 1, report).toBeGreaterThanOrEqual(3);
    expect(outcome.lost / outcome.sent, report).toBeGreaterThan(0.27);
    expect(outcome.lost / outcome.sent, report).toBeLessThan(0.4);
    expect(outcome.lost, report).toBeLessThanOrEqual(lostOutside(tunnel));
    expect(outcome).toMatchObject({ repeated: 0, corrupted: 0 });
  });
});

function lose({ pair }: Tunnel, share: number): void {
  for (const { namespace, device } of pair.link) namespace.loseIncoming(device, share);
}

/** What did not come to b's gigatun or wireguard-go: lost by nftables, or no room in its socket. */
function lostOutside({ pair, b }: Tunnel): number {
  return pair.link[1].namespace.lostIncoming() + outerSocketDrops(b);
}
