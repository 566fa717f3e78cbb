/**
 * The outer network fails, in each way that the kernel tells a sender of: it refuses, has no room, no route, no such address.
 * Each datagram is counted under its reason, the tunnel lives, and goes on as soon as the network does.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 */
import { expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import type { DropName } from '../../src/packet/drop-reason.ts';
import { expectGigatun, openTunnel, type Tunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const WAIT_MS = 10_000;

interface Fault {
  readonly title: string;
  readonly reason: DropName;
  readonly packetsPerSecond: number;
  readonly begin: (tunnel: Tunnel) => void;
  readonly end: (tunnel: Tunnel) => void;
}

const nft = ({ pair }: Tunnel, ...lines: string[]): void => {
  pair.a.namespace.runSync(['nft', '-f', '-'], `${lines.join('\n')}\n`);
};
const ip = ({ pair }: Tunnel, ...lines: string[]): void => pair.a.namespace.ip(...lines);
const tc = ({ pair }: Tunnel, ...words: string[]): void => {
  pair.a.namespace.runSync(['tc', 'qdisc', ...words]);
};

const FAULTS: readonly Fault[] = [
  {
    title: 'EPERM, a firewall that drops what goes out',
    reason: 'OUT_SEND_FAILED',
    packetsPerSecond: 200,
    begin: (tunnel) =>
      nft(
        tunnel,
        'add table inet fault',
        'add chain inet fault out { type filter hook output priority 0; }',
        'add rule inet fault out udp dport 51820 drop',
      ),
    end: (tunnel) => nft(tunnel, 'delete table inet fault'),
  },
  {
    title: 'ENETUNREACH, a route that is gone',
    reason: 'OUT_SEND_FAILED',
    packetsPerSecond: 200,
    begin: (tunnel) => ip(tunnel, 'route del 10.99.0.0/24'),
    end: (tunnel) => ip(tunnel, 'route add 10.99.0.0/24 dev veth'),
  },
  {
    title: 'EADDRNOTAVAIL and no route, an interface without its address',
    reason: 'OUT_SEND_FAILED',
    packetsPerSecond: 200,
    begin: (tunnel) => ip(tunnel, 'addr flush dev veth', 'route flush cache'),
    end: (tunnel) => ip(tunnel, 'addr add 10.99.0.1/24 dev veth'),
  },
  {
    title: 'an outer interface that is down',
    reason: 'OUT_SEND_FAILED',
    packetsPerSecond: 200,
    begin: (tunnel) => ip(tunnel, 'link set veth down'),
    end: (tunnel) => ip(tunnel, 'link set veth up'),
  },
  {
    title: 'EAGAIN, a socket buffer that is full behind a slow line',
    reason: 'OUT_SEND_FULL',
    packetsPerSecond: 20_000,
    begin: (tunnel) => tc(tunnel, ...'replace dev veth root tbf rate 100kbit burst 64kb limit 100000000'.split(' ')),
    end: (tunnel) => tc(tunnel, ...'del dev veth root'.split(' ')),
  },
];

async function dropsOf({ a }: Tunnel, reason: DropName): Promise<number> {
  return (await expectGigatun(a).drops())[reason] ?? 0;
}

async function until(test: () => Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS;
  while (!(await test())) {
    if (performance.now() > deadlineMs) throw new Error(`expected ${what} within ${WAIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

tunnelSuite('the outer network fails', ['nft', 'ping', 'tc'], () => {
  it.for(FAULTS)('$title', async ({ reason, packetsPerSecond, begin, end }) => {
    await using tunnel = await openTunnel();
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, WAIT_MS);
    const before = await dropsOf(tunnel, reason);
    const stream = await Stream.start(route, { packetsPerSecond, lengths: [1_200, 1_372] });
    await stream.arrivals(50, WAIT_MS);
    begin(tunnel);
    await until(async () => (await dropsOf(tunnel, reason)) >= before + 20, `drops counted as ${reason}`);
    end(tunnel);
    await stream.arrivals(50, WAIT_MS);
    const outcome = await stream.finish(true);
    expect(outcome).toMatchObject({ repeated: 0, corrupted: 0 });
    expect(await transfer(route, 1_000_000, 'after the fault')).toMatchObject({ intact: true });
    expect(tunnel.a.program.ended || tunnel.b.program.ended).toBe(false);
  });

  it('an address that changes under the tunnel: the other end follows', async () => {
    await using tunnel = await openTunnel();
    const { pair, b } = tunnel;
    const route = innerRoute(pair, 4);
    await waitForEcho(route, WAIT_MS);
    expect(await b.peerEndpoint()).toBe('10.99.0.1:51820');
    ip(tunnel, 'addr del 10.99.0.1/24 dev veth', 'addr add 10.99.0.77/24 dev veth');
    await waitForEcho(route, WAIT_MS);
    expect(await b.peerEndpoint()).toBe('10.99.0.77:51820');
    expect(await transfer(reverseRoute(pair, 4), 1_000_000, 'to the new address')).toMatchObject({ intact: true });
  });

  it('the tunnel interface goes down and up: it is silent in between, what comes is counted, then all is as before', async () => {
    await using tunnel = await openTunnel();
    const { pair, b } = tunnel;
    const route = innerRoute(pair, 4);
    await waitForEcho(route, WAIT_MS);
    const stream = await Stream.start(route, { packetsPerSecond: 200, lengths: [8, 1_372] });
    await stream.arrivals(50, WAIT_MS);
    pair.b.namespace.ip(`link set ${pair.b.device} down`);
    // Sessions end with the link, as WireGuard has it.
    await until(async () => ((await expectGigatun(b).drops()).IN_UNKNOWN_INDEX ?? 0) > 20, 'drops of an unknown index');
    pair.b.namespace.ip(`link set ${pair.b.device} up`);
    await waitForEcho(reverseRoute(pair, 4), WAIT_MS);
    await stream.arrivals(50, WAIT_MS);
    expect(await stream.finish(true)).toMatchObject({ repeated: 0, corrupted: 0 });
    expect(await transfer(route, 1_000_000, 'after down and up')).toMatchObject({ intact: true });
  });
});
