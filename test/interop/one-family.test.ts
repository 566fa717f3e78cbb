/**
 * Hosts that have only one of IPv4 and IPv6 outside: the tunnel comes up there, and carries both inside where the host has
 * both.
 *
 *     a: 10.77.0.1, fd77::1 --TUN--[10.99.0.1 or fd99::1]== veth ==[10.99.0.2 or fd99::2]--TUN-- b: 10.77.0.2, fd77::2
 */
import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, planPair, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { type End, type EndOptions, expectGigatun, openEnd } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

type Program = NonNullable<EndOptions['program']>;
const FILE_BYTES = 2 * 1024 * 1024;

tunnelSuite('a host', ['ping', 'sysctl', 'wg', 'wireguard-go'], () => {
  it.concurrent.for<Program>(['gigatun', 'wireguard-go'])('without IPv6 has its tunnel with %s', async (program) => {
    await using tunnel = await openTunnelIn(withoutIpv6, 4, program);
    const { pair, a, b } = tunnel;
    for (const route of [innerRoute(pair, 4), reverseRoute(pair, 4)]) {
      await waitForEcho(route, 5_000);
      expect(await transfer(route, FILE_BYTES, 'IPv4 alone')).toMatchObject({ intact: true });
    }
    expect(await a.peerEndpoint()).toBe('10.99.0.2:51820');
    expect(await b.peerEndpoint()).toBe('10.99.0.1:51820');
    expect(await expectGigatun(a).drops()).not.toHaveProperty('OUT_SEND_FAILED');
  });

  it.concurrent.for<Program>(['gigatun', 'wireguard-go'])(
    'without IPv4 outside has its tunnel with %s',
    async (program) => {
      await using tunnel = await openTunnelIn(withoutIpv4, 6, program);
      const { pair, a, b } = tunnel;
      for (const version of [4, 6] as const) {
        await waitForEcho(innerRoute(pair, version), 5_000);
        expect(await transfer(reverseRoute(pair, version), FILE_BYTES, 'IPv6 alone')).toMatchObject({ intact: true });
      }
      expect(await a.peerEndpoint()).toBe('[fd99::2]:51820');
      expect(await b.peerEndpoint()).toBe('[fd99::1]:51820');
      expect(await expectGigatun(a).drops()).not.toHaveProperty('OUT_SEND_FAILED');
    },
  );
});

interface SmallTunnel extends AsyncDisposable {
  readonly pair: Pair;
  readonly a: End;
  readonly b: End;
}

/** a is gigatun's; and its host loses a family before anything is started. */
async function openTunnelIn(lose: (pair: Pair) => void, outer: 4 | 6, program: Program): Promise<SmallTunnel> {
  const lab = new Lab();
  const ends: End[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(ends.splice(0).map((end) => end.end('SIGTERM')));
    lab.close();
  };
  try {
    const pair = planPair(lab, { outer });
    lose(pair);
    const edit = outer === 4 ? withoutInnerIpv6 : (config: string): string => config;
    const a = await openEnd(lab, pair.a, { edit });
    ends.push(a);
    const b = await openEnd(lab, pair.b, { program, knowsEndpoint: false });
    ends.push(b);
    return { pair, a, b, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

function withoutIpv6({ a: { namespace } }: Pair): void {
  const off = ['all', 'default'].map((name) => `net.ipv6.conf.${name}.disable_ipv6=1`);
  namespace.runSync(['sysctl', '-qw', ...off]);
}

function withoutIpv4({ a: { namespace } }: Pair): void {
  namespace.ip('addr del 127.0.0.1/8 dev lo', 'addr del 10.99.0.1/24 dev veth');
}

/** A host without IPv6 has no inner IPv6 address either. */
function withoutInnerIpv6(config: string): string {
  return config.replace(/^(Address = [^,]+),.*$/m, '$1').replace(/^(AllowedIPs = [^,]+),.*$/m, '$1');
}
