/**
 * Two lanes: the TUN's queues and the outer sockets are shared out by the kernel, the order within each flow is kept, and
 * the far end sees one peer.
 *
 *     a (2 lanes): 10.77.0.1 --TUN, 2 queues--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 */
import { expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import type { CounterName } from '../../src/ledger/catalog.ts';
import {
  type EndOptions,
  expectGigatun,
  type GigatunEnd,
  lossReport,
  openTunnel,
  outerSocketDrops,
  widenQueues,
} from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { type Load, sendDatagrams } from '../support/tunnel-traffic.ts';

const FLOWS = 16;
const LOAD: Load = { flows: FLOWS, packets: 400, packetsPerSecond: 2_000, lengths: [8, 1_372] };
const FILE_BYTES = 32 * 1024 * 1024;
const TWO_LANES: EndOptions = { lanes: 2 };
const PEERS: Readonly<Record<string, EndOptions>> = {
  'gigatun with two lanes': TWO_LANES,
  'wireguard-go': { program: 'wireguard-go' },
};

tunnelSuite('two lanes', ['ping', 'wg', 'wireguard-go'], () => {
  it.for(Object.keys(PEERS))('keep the order of each of many flows, to and from %s', async (name) => {
    await using tunnel = await openTunnel({}, TWO_LANES, PEERS[name]);
    widenQueues(tunnel);
    const a = expectGigatun(tunnel.a);
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
    const outcomes = await Promise.all([
      sendDatagrams(innerRoute(tunnel.pair, 4), LOAD),
      sendDatagrams(reverseRoute(tunnel.pair, 6), LOAD),
    ]);
    const report = `${JSON.stringify(outcomes)} ${await lossReport(tunnel)}`;
    for (const outcome of outcomes)
      expect(outcome, report).toMatchObject({ refused: 0, repeated: 0, corrupted: 0, reordered: 0 });
    // On a busy machine a socket may overflow before its program runs; nothing else may be lost.
    const overflowed = outerSocketDrops(tunnel.a) + outerSocketDrops(tunnel.b);
    expect(
      outcomes.reduce((sum, { lost }) => sum + lost, 0),
      report,
    ).toBeLessThanOrEqual(overflowed);
    for (const packets of await countsOfLanes(a, 'TUN_RX')) expect(packets).toBeGreaterThan(FLOWS);
    for (const datagrams of await countsOfLanes(a, 'UDP_TX')) expect(datagrams).toBeGreaterThan(FLOWS);
  });

  it.for(Object.keys(PEERS))('carry files that cross each other, to and from %s', async (name) => {
    await using tunnel = await openTunnel({}, TWO_LANES, PEERS[name]);
    const files = await Promise.all([
      transfer(innerRoute(tunnel.pair, 4), FILE_BYTES, 'forth 4'),
      transfer(reverseRoute(tunnel.pair, 4), FILE_BYTES, 'back 4'),
      transfer(innerRoute(tunnel.pair, 6), FILE_BYTES, 'forth 6'),
      transfer(reverseRoute(tunnel.pair, 6), FILE_BYTES, 'back 6'),
    ]);
    for (const file of files) expect(file).toMatchObject({ bytes: FILE_BYTES, corruptedBytes: 0, intact: true });
  });
});

/** A counter of each lane that moves packets. */
async function countsOfLanes(end: GigatunEnd, counter: CounterName): Promise<number[]> {
  const { lanes } = await end.snapshot();
  const counts = lanes.filter(({ name }) => name.startsWith('lane ')).map((lane) => lane.counts[counter]);
  expect(counts).toHaveLength(2);
  return counts;
}
