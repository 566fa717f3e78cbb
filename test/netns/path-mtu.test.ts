/**
 * Paths that carry less than the ends' own links: outer datagrams are cut where they must be, and inner packets stay whole.
 *
 *     a: 10.88.0.1 TUN--[10.99.1.1 fd99:1::1]==[10.99.1.2  router  10.99.2.1]== MTU 1280 ==[10.99.2.2 fd99:2::2]--TUN :b
 *
 * Datagrams with inner packets of 1,420 bytes have 1,480 and 1,500: none of them fits in one piece behind the router.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Namespace } from '../../src/lab/namespaces.ts';
import { endpoint, inner, introduce, netnsSuite, Site, type TwoEnds, up } from '../support/netns-site.ts';
import {
  ECHO_HEADERS,
  echoes,
  expectEcho,
  expectEndpoint,
  sendTcp,
  setSysctl,
  Tally,
  VERSIONS,
} from '../support/netns-traffic.ts';

const NARROW_MTU = 1_280;
const INNER_MTU = 1_420;
const TCP_BYTES = 2 * 1024 * 1024;
const A = { 4: '10.99.1.1', 6: 'fd99:1::1' } as const;
/** What nftables calls a fragment. */
const PIECE = { 4: 'ip frag-off & 0x3fff != 0', 6: 'exthdr frag exists' } as const;
const B = { 4: '10.99.2.2', 6: 'fd99:2::2' } as const;

netnsSuite('a path with a smaller MTU', ['nft', 'iperf3'], (pairing) => {
  let ends: TwoEnds;
  let near: Namespace;
  beforeAll(async () => {
    const site = new Site();
    const router = site.namespace('router');
    const [outerA] = site.connect(site.namespace('a'), router, { subnet: 1, device: 'vetha' });
    const [, outerB] = site.connect(router, site.namespace('b'), { subnet: 2, device: 'vethb' });
    near = outerA.namespace;
    ends = { site, a: await site.open(pairing.a, near), b: await site.open(pairing.b, outerB.namespace) };
    near.ip('route add default via 10.99.1.2', 'route add ::/0 via fd99:1::2');
    outerB.namespace.ip('route add default via 10.99.2.1', 'route add ::/0 via fd99:2::1');
    setSysctl(router, 'net.ipv4.ip_forward', 1);
    setSysctl(router, 'net.ipv6.conf.all.forwarding', 1);
    for (const { namespace } of [{ namespace: router }, outerB]) namespace.ip(`link set dev vethb mtu ${NARROW_MTU}`);
    up(ends.a, 1, INNER_MTU);
    up(ends.b, 2, INNER_MTU);
    await introduce(ends.a, 1, ends.b, 2);
  });
  afterAll(async () => await ends?.site.close());

  it.for(VERSIONS)('over IPv%i carries inner packets of full length both ways, in pieces', async (outer) => {
    const { a, b } = ends;
    await a.setPeer(b, 'endpoint', endpoint(B[outer], b.listenPort));
    await expectEcho(a.namespace, inner(2, 4));
    await expectEndpoint(b, a, endpoint(A[outer], a.listenPort));
    const pieces = new Tally(b.birth, `iifname vethb ${PIECE[outer]}`);
    for (const version of VERSIONS) {
      const length = INNER_MTU - ECHO_HEADERS[version];
      // Of the first ones, some may be what the path's MTU is learnt from.
      await expectEcho(a.namespace, inner(2, version), { length });
      await expectEcho(b.namespace, inner(1, version), { length });
      expect(await echoes(a.namespace, inner(2, version), { length, count: 5 })).toBe(5);
      expect(await echoes(b.namespace, inner(1, version), { length, count: 5 })).toBe(5);
    }
    // Two for each that came to b: ten requests, and ten answers.
    expect(pieces.packets).toBeGreaterThanOrEqual(40);
    await sendTcp(a.namespace, b.namespace, inner(2, 4), TCP_BYTES);
    await sendTcp(b.namespace, a.namespace, inner(1, 6), TCP_BYTES);
  });

  it.for(VERSIONS)('over IPv%i that becomes narrow on the own link stops nothing', async (outer) => {
    const { a, b } = ends;
    await a.setPeer(b, 'endpoint', endpoint(B[outer], b.listenPort));
    await expectEcho(a.namespace, inner(2, 4));
    near.ip(`link set dev vetha mtu ${NARROW_MTU}`);
    for (const version of VERSIONS) {
      const length = INNER_MTU - ECHO_HEADERS[version];
      await expectEcho(a.namespace, inner(2, version), { length });
      expect(await echoes(b.namespace, inner(1, version), { length, count: 3 })).toBe(3);
    }
    await sendTcp(a.namespace, b.namespace, inner(2, 6), TCP_BYTES);
    near.ip('link set dev vetha mtu 1500');
  });
});
