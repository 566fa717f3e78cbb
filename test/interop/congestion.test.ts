/**
 * Congestion notification across a tunnel (RFC 6040), and the traffic class of what leaves it: read and written by a router
 * between the ends.
 *
 *     a: 10.77.0.1, fd77::1 --TUN--[10.99.1.1]== left ==[router]== right ==[10.99.2.2]--TUN-- b: 10.77.0.2, fd77::2
 */
import { expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { countPackets, type PacketCounters } from '../support/packet-counters.ts';
import { expectGigatun, outerSocketDrops } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { openThroughRouter, type RoutedTunnel } from '../support/tunnel-router.ts';

const NEEDS = ['ping', 'nft', 'sysctl', 'ethtool', 'wg', 'wireguard-go'] as const;
const VERSIONS = [4, 6] as const;
/** In the order of their numbers. */
const CODEPOINTS = ['not-ect', 'ect1', 'ect0', 'ce'] as const;
type Codepoint = (typeof CODEPOINTS)[number];
/** RFC 6040, section 4.2, figure 4: by inner codepoint, what becomes of it for each outer one, or null for a drop. */
const TABLE: Readonly<Record<Codepoint, Readonly<Record<Codepoint, Codepoint | null>>>> = {
  'not-ect': { 'not-ect': 'not-ect', ect0: 'not-ect', ect1: 'not-ect', ce: null },
  ect0: { 'not-ect': 'ect0', ect0: 'ect0', ect1: 'ect1', ce: 'ce' },
  ect1: { 'not-ect': 'ect1', ect0: 'ect1', ect1: 'ect1', ce: 'ce' },
  ce: { 'not-ect': 'ce', ect0: 'ce', ect1: 'ce', ce: 'ce' },
};
/** UDP lengths of an initiation and a response. */
const HANDSHAKES = [148 + 8, 92 + 8];
const FILE_BYTES = 12 * 1024 * 1024;

tunnelSuite('the outer traffic class', NEEDS, () => {
  it.concurrent.for([
    [4, 'gigatun'],
    [6, 'gigatun'],
    [4, 'wireguard-go'],
  ] as const)(
    'over IPv%i towards %s is AF41 for handshakes, and the inner codepoint alone for data',
    async ([outer, program]) => {
      await using tunnel = await openThroughRouter({ outer }, {}, { program });
      const ip = outer === 4 ? 'ip' : 'ip6';
      const data = `udp dport 51820 udp length != { ${HANDSHAKES.join(', ')} }`;
      const seen = countPackets(tunnel.router, 'forward', {
        initiation: `iifname "left" udp length ${HANDSHAKES[0]} ${ip} dscp af41 ${ip} ecn not-ect`,
        response: `iifname "right" udp length ${HANDSHAKES[1]} ${ip} dscp af41 ${ip} ecn not-ect`,
        dscp: `iifname "left" ${data} ${ip} dscp != cs0`,
        ...countersBy((codepoint) => `iifname "left" ${data} ${ip} ecn ${codepoint}`),
      });
      const inside = countInside(tunnel);
      await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
      expect(seen.read()).toMatchObject({ initiation: 1, response: program === 'gigatun' ? 1 : 0 });
      for (const version of VERSIONS) {
        const [before, insideBefore] = [seen.read(), inside.read()];
        await echoEach(tunnel, version);
        const after = seen.read();
        for (const name of ['ect0', 'ect1', 'ce'] as const) {
          expect(after[name] - before[name], `IPv${version} ${name}`).toBe(1);
          expect(inside.read()[name] - insideBefore[name], `IPv${version} ${name} inside`).toBe(1);
        }
        expect(after.dscp).toBe(0);
      }
    },
  );
});

tunnelSuite('a router that writes', NEEDS, () => {
  it.concurrent.for(VERSIONS)('any codepoint over IPv%i changes inner ones as RFC 6040 has it', async (outer) => {
    await using tunnel = await openThroughRouter({ outer });
    const inside = countInside(tunnel);
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
    for (const written of CODEPOINTS) {
      rewrite(tunnel, `iifname "left" ${outer === 4 ? 'ip' : 'ip6'} ecn set ${written}`);
      const before = inside.read();
      await Promise.all(VERSIONS.map((version) => echoEach(tunnel, version)));
      const after = inside.read();
      const expected = { notect: 0, ect1: 0, ect0: 0, ce: 0 };
      for (const inner of CODEPOINTS) {
        const becomes = TABLE[inner][written];
        if (becomes !== null) expected[nameOf(becomes)] += VERSIONS.length;
      }
      const found = Object.fromEntries(Object.entries(after).map(([name, n]) => [name, n - before[nameOf(name)]]));
      expect(found, `outer ${written}`).toEqual(expected);
    }
    expect(await expectGigatun(tunnel.b).drops()).toMatchObject({ IN_CONGESTION: VERSIONS.length });
  });

  it.for([
    [6, true],
    [4, false],
    [6, false],
  ] as const)(
    'marks on bulk TCP over IPv%i slows senders down, damages nothing, and misses nobody (groups: %s)',
    async ([outer, offloads]) => {
      await using tunnel = await openThroughRouter({ outer, offloads });
      const { a, b } = tunnel.pair;
      for (const { namespace } of [a, b]) namespace.runSync(['sysctl', '-qw', 'net.ipv4.tcp_ecn=1']);
      const ip = outer === 4 ? 'ip' : 'ip6';
      // Marked without groups, datagrams are joined again behind the router: never two of different classes.
      if (!offloads) b.namespace.runSync(['ethtool', '-K', 'right', 'gro', 'on']);
      await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
      const marks = 'numgen random mod 100 < 3 counter name "marked"';
      rewrite(tunnel, `iifname "left" ${ip} ecn { ect0, ect1 } ${marks} ${ip} ecn set ce`);
      const echoes = countPackets(a.namespace, 'input', {
        ece: `iifname "${a.device}" tcp flags & (ecn | syn) == ecn`,
      });
      const files = await Promise.all([
        transfer(innerRoute(tunnel.pair, 4), FILE_BYTES, 'forth 4'),
        transfer(innerRoute(tunnel.pair, 6), FILE_BYTES, 'forth 6'),
        transfer(reverseRoute(tunnel.pair, 4), FILE_BYTES, 'back 4'),
      ]);
      for (const file of files) expect(file).toMatchObject({ bytes: FILE_BYTES, corruptedBytes: 0, intact: true });
      expect(echoes.read().ece).toBeGreaterThan(0);
      const { total } = await expectGigatun(tunnel.b).snapshot();
      expect(total.drops.IN_CONGESTION).toBe(0);
      const marked = markedBy(tunnel);
      expect(total.counts.CONGESTION_TAKEN).toBeGreaterThan(0);
      // Groups are marked whole.
      if (offloads) expect(total.counts.CONGESTION_TAKEN).toBeGreaterThanOrEqual(marked - outerSocketDrops(tunnel.b));
      else expect(marked - total.counts.CONGESTION_TAKEN).toBeLessThanOrEqual(outerSocketDrops(tunnel.b));
    },
  );
});

type CounterName = 'notect' | 'ect1' | 'ect0' | 'ce';

function nameOf(codepoint: string): CounterName {
  return codepoint.replace('-', '') as CounterName;
}

function countersBy(rule: (codepoint: Codepoint) => string): Record<CounterName, string> {
  const entries = CODEPOINTS.map((codepoint) => [nameOf(codepoint), rule(codepoint)]);
  return Object.fromEntries(entries) as Record<CounterName, string>;
}

/** Echo requests that come out of b's tunnel, by their codepoint. */
function countInside({ pair: { b } }: RoutedTunnel): PacketCounters<CounterName> {
  const requests = 'icmp type echo-request ip';
  const requests6 = 'icmpv6 type echo-request ip6';
  const counted4 = countPackets(
    b.namespace,
    'input',
    countersBy((each) => `iifname "${b.device}" ${requests} ecn ${each}`),
  );
  const counted6 = countPackets(
    b.namespace,
    'input',
    countersBy((each) => `iifname "${b.device}" ${requests6} ecn ${each}`),
  );
  return {
    read() {
      const [of4, of6] = [counted4.read(), counted6.read()];
      return {
        notect: of4.notect + of6.notect,
        ect1: of4.ect1 + of6.ect1,
        ect0: of4.ect0 + of6.ect0,
        ce: of4.ce + of6.ce,
      };
    },
  };
}

/** One echo request of each codepoint, with a DSCP, too, from a to b. */
async function echoEach({ pair }: RoutedTunnel, version: 4 | 6): Promise<void> {
  const { from, address } = innerRoute(pair, version);
  const commands = CODEPOINTS.map((_, number) => [
    'ping',
    '-n',
    '-c',
    '1',
    '-W',
    '1',
    '-Q',
    String(0xb8 | number),
    address,
  ]);
  await Promise.all(commands.map((command) => from.run(command, { mayFail: true })));
}

/** Lets the router change what it forwards of the tunnel's data by one rule, instead of the one before. */
function rewrite({ router }: RoutedTunnel, rule: string): void {
  const lines = [
    'add table inet rewrite',
    'delete table inet rewrite',
    'add table inet rewrite',
    'add counter inet rewrite marked',
    'add chain inet rewrite passing { type filter hook forward priority 50; }',
    `add rule inet rewrite passing udp length { ${HANDSHAKES.join(', ')} } accept`,
    `add rule inet rewrite passing udp dport 51820 ${rule}`,
  ];
  router.runSync(['nft', '-f', '-'], `${lines.join('\n')}\n`);
}

function markedBy({ router }: RoutedTunnel): number {
  return Number(/packets (\d+)/.exec(router.runSync(['nft', 'list', 'counter', 'inet', 'rewrite', 'marked']))?.[1]);
}
