/**
 * A middle that breaks datagram groups: the link works all the same, only what fails is left out, and it is used again when
 * the middle is mended.
 *
 *     a --TUN--[10.99.1.1]== mid ==[10.99.1.2  relay  10.99.2.1]== mid ==[10.99.2.2]--TUN-- b
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { PeerStatus } from '../../src/device-types.ts';
import { runTcp } from '../../src/lab/iperf.ts';
import { innerRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import type { RelayFaults } from '../../src/lab/relay.ts';
import { expectGigatun, openTunnel } from '../support/tunnel-end.ts';
import { type MiddleTunnel, openThroughMiddle } from '../support/tunnel-middle.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const NEEDS = ['ping', 'iperf3', 'wg', 'wireguard-go', 'ethtool'] as const;
/** Ten seconds are the aim; a busy machine gets more. */
const HEAL_MS = 30_000;
/** Shapes that were demoted are tried again after half a minute. */
const RETRY_MS = 60_000;
const LOAD_SECONDS = 6;
/** Far more than a link carries that loses its groups: tens of kilobytes a second. */
const BYTES_MIN = 16 << 20;
const NO_GROUPS = (config: string): string => `${config}#gigatun: Offloads = none\n`;

tunnelSuite('a middle that breaks groups', NEEDS, () => {
  it.for<[string, RelayFaults, object]>([
    ['drops them all', { dropGroupsAbove: 1 }, { groupDatagramsMax: 1 }],
    ['drops those above 16 datagrams', { dropGroupsAbove: 16 }, { groupDatagramsMax: 16, groupShortTail: true }],
    ['drops short tails', { shortTails: 'drop' }, { groupShortTail: false }],
    ['damages short tails', { shortTails: 'damage' }, { groupShortTail: false }],
    ['cuts them at wrong places', { missegmentBytes: 4 }, { groupDatagramsMax: 1 }],
  ])('and %s gets what it carries', async ([, faults, shapes]) => {
    await using tunnel = await openThroughMiddle(faults);
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
    const load = runTcp(route, { seconds: LOAD_SECONDS });
    const found = await peerOf(tunnel, (peer) => peer.groupRetrySeconds !== null);
    expect(found).toMatchObject({ isGigatun: true, ...shapes });
    expect((await load).bytes).toBeGreaterThan(BYTES_MIN);
  });

  it('and is mended gets all groups again', async () => {
    await using tunnel = await openThroughMiddle({ dropGroupsAbove: 16 });
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
    await runTcp(route, { seconds: 2 });
    const demoted = await peerOf(tunnel, (peer) => peer.groupDatagramsMax === 16);
    tunnel.relay.signal('SIGUSR1');
    const ping = tunnel.pair.a.namespace.start(['ping', '-i', '0.5', tunnel.pair.b.inner4], { timeoutMs: RETRY_MS });
    await peerOf(tunnel, (peer) => peer.groupDatagramsMax > demoted.groupDatagramsMax, RETRY_MS);
    await ping.stop();
    expect(expectGigatun(tunnel.a).program.output).toMatch(/groups of any shape again/);
  });

  it('and breaks later is found by what it loses', async () => {
    await using tunnel = await openThroughMiddle({ dropGroupsAbove: 1 });
    tunnel.relay.signal('SIGUSR1');
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
    await runTcp(route, { seconds: 2 });
    // Losses start no second search within ten seconds of the first.
    await delay(10_000);
    tunnel.relay.signal('SIGUSR2');
    const load = runTcp(route, { seconds: LOAD_SECONDS });
    const found = await peerOf(tunnel, (peer) => peer.groupRetrySeconds !== null);
    expect(found.groupDatagramsMax).toBe(1);
    expect((await load).bytes).toBeGreaterThan(BYTES_MIN);
  });

  it('between a and a stock peer costs it a few seconds, not the link', async () => {
    await using tunnel = await openThroughMiddle({ dropGroupsAbove: 1 }, {}, { program: 'wireguard-go' });
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
    const load = runTcp(route, { seconds: 2 * LOAD_SECONDS });
    const found = await peerOf(tunnel, (peer) => peer.groupDatagramsMax === 1);
    expect(found.isGigatun).toBe(false);
    expect((await load).bytes).toBeGreaterThan(BYTES_MIN);
    // The announcement, and nothing else, however much flowed and got lost.
    const { total } = await expectGigatun(tunnel.a).snapshot();
    expect(total.counts).toMatchObject({ CONTROL_TX: 1, CONTROL_RX: 0 });
  });

  it('and is never asked for groups where the configuration says so', async () => {
    await using tunnel = await openThroughMiddle({ dropGroupsAbove: 1 }, { edit: NO_GROUPS }, { edit: NO_GROUPS });
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
    const load = await runTcp(route, { seconds: 3 });
    expect(load.bytes).toBeGreaterThan(BYTES_MIN);
    expect((await tunnel.figures()).droppedGroups).toBe(0);
  });
});

tunnelSuite('a device that cannot send groups', NEEDS, () => {
  it('sends single datagrams, and says so', async () => {
    await using tunnel = await openTunnel();
    for (const { namespace, device } of tunnel.pair.link) namespace.runSync(['ethtool', '-K', device, 'tx', 'off']);
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
    const load = await runTcp(route, { seconds: 2 });
    expect(load.bytes).toBeGreaterThan(BYTES_MIN);
    const { heldOffloads, offloads } = await expectGigatun(tunnel.a).status();
    const drops = await expectGigatun(tunnel.a).drops();
    expect(drops.OUT_SEND_FAILED ?? 0).toBe(0);
    // Kernels since 6.2 compute the checksums themselves instead (EIO before).
    const holds = heldOffloads.some(({ offload }) => offload === 'udp-gso');
    expect(offloads.includes('gso')).toBe(!holds);
  });
});

/** What a knows of b as soon as it is as wanted. */
async function peerOf(
  { a }: Pick<MiddleTunnel, 'a'>,
  isWanted: (peer: PeerStatus) => boolean,
  limitMs = HEAL_MS,
): Promise<PeerStatus> {
  const end = expectGigatun(a);
  for (const startMs = performance.now(); ; await delay(100)) {
    const [peer] = (await end.status()).peers;
    if (peer !== undefined && isWanted(peer)) return peer;
    if (performance.now() - startMs > limitMs)
      throw new Error(`still ${JSON.stringify(peer)}; log: ${end.program.output}`);
  }
}
