/**
 * A NAT between the ends, with a memory of seconds.
 *
 *     a: 10.88.0.1 TUN--[10.99.1.1 fd99:1::1]==[10.99.1.2  router: masquerade  10.99.2.1]==[10.99.2.2 fd99:2::2]--TUN :b
 *
 * b has no route to a's side of the router; the router forgets a mapping after MEMORY_SECONDS of silence, and then gives
 * each new one another port.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Namespace } from '../../src/lab/namespaces.ts';
import { endpoint, inner, introduce, netnsSuite, Site, type TwoEnds, up } from '../support/netns-site.ts';
import { echoes, eventually, expectEcho, setSysctl, VERSIONS } from '../support/netns-traffic.ts';

const MEMORY_SECONDS = 1;
const LONG_MEMORY_SECONDS = 3;
const FORGOTTEN_MS = 2_500;
/** So long may an end that has followed still show where its peer was. */
const SHOWN_MS = 500;
const OUTSIDE = { 4: '10.99.2.1', 6: 'fd99:2::1' } as const;
const B = { 4: '10.99.2.2', 6: 'fd99:2::2' } as const;

netnsSuite('a NAT', ['nft'], (pairing) => {
  let ends: TwoEnds;
  let router: Namespace;
  beforeAll(async () => {
    const site = new Site();
    router = site.namespace('router');
    const [outerA] = site.connect(site.namespace('a'), router, { subnet: 1, device: 'vetha' });
    const [, outerB] = site.connect(router, site.namespace('b'), { subnet: 2, device: 'vethb' });
    ends = {
      site,
      a: await site.open(pairing.a, outerA.namespace),
      b: await site.open(pairing.b, outerB.namespace),
    };
    outerA.namespace.ip('route add default via 10.99.1.2', 'route add ::/0 via fd99:1::2');
    setSysctl(router, 'net.ipv4.ip_forward', 1);
    setSysctl(router, 'net.ipv6.conf.all.forwarding', 1);
    setMemory(MEMORY_SECONDS);
    const rules = [
      'add table inet nat',
      'add chain inet nat out { type nat hook postrouting priority srcnat; }',
      'add rule inet nat out oifname vethb meta l4proto udp masquerade to :20000-60000 fully-random',
    ];
    router.runSync(['nft', '-f', '-'], `${rules.join('\n')}\n`);
    up(ends.a, 1);
    up(ends.b, 2);
    await introduce(ends.a, 1, ends.b, 2);
  });
  afterAll(async () => await ends?.site.close());

  it.for(VERSIONS)('over IPv%i: forgets the end behind it, and its next packet overcomes that', async (version) => {
    const { a, b } = ends;
    await a.setPeer(b, 'endpoint', endpoint(B[version], b.listenPort), 'persistent-keepalive', 'off');
    await expectEcho(a.namespace, inner(2, 4));
    await eventually('b to see the NAT', async () => outside(version).test(await b.endpointOf(a)));
    expect(await echoes(b.namespace, inner(1, 4))).toBe(1);
    // Two gigatuns that have just met probe the path, which may keep it open for some seconds more.
    await eventually('the NAT to forget', async () => {
      await delay(FORGOTTEN_MS);
      return (await echoes(b.namespace, inner(1, 4), { waitSeconds: 0.3 })) === 0;
    });
    const before = await b.endpointOf(a);
    await expectEcho(a.namespace, inner(2, 4));
    await eventually('b to see another port', async () => (await b.endpointOf(a)) !== before);
    expect(await b.endpointOf(a)).toMatch(outside(version));
    expect(await echoes(b.namespace, inner(1, 4), { count: 2 })).toBe(2);
  });

  it('that forgets sooner than keepalives come gives each another mapping, and the other end follows', async () => {
    const { a, b } = ends;
    await a.setPeer(b, 'persistent-keepalive', '3');
    await expectEcho(a.namespace, inner(2, 4));
    await delay(SHOWN_MS);
    const before = await b.endpointOf(a);
    await eventually('b to follow a keepalive', async () => (await b.endpointOf(a)) !== before);
    expect(await echoes(b.namespace, inner(1, 4))).toBe(1);
  });

  it.for(VERSIONS)('over IPv%i: is kept from forgetting by persistent keepalives', async (version) => {
    const { a, b } = ends;
    setMemory(LONG_MEMORY_SECONDS);
    await a.setPeer(b, 'endpoint', endpoint(B[version], b.listenPort), 'persistent-keepalive', '1');
    await expectEcho(a.namespace, inner(2, 4));
    await delay(SHOWN_MS);
    const before = await b.endpointOf(a);
    await delay(2_000 * LONG_MEMORY_SECONDS);
    expect(await b.endpointOf(a)).toBe(before);
    expect(await echoes(b.namespace, inner(1, 4))).toBe(1);
    await a.setPeer(b, 'persistent-keepalive', 'off');
    setMemory(MEMORY_SECONDS);
  });

  function setMemory(seconds: number): void {
    setSysctl(router, 'net.netfilter.nf_conntrack_udp_timeout', seconds);
    setSysctl(router, 'net.netfilter.nf_conntrack_udp_timeout_stream', seconds);
  }
});

function outside(version: 4 | 6): RegExp {
  return new RegExp(`^${version === 4 ? OUTSIDE[4] : `\\[${OUTSIDE[6]}\\]`}:[2-6]\\d{4}$`);
}
