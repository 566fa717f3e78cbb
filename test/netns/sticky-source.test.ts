/**
 * An end with several outer addresses answers from the one that was addressed, as long as it has it and it leads there.
 *
 *     a: TUN--[10.99.1.1 .11 fd99:1::1 ::11]== link1 ==[10.99.1.2 fd99:1::2]--TUN :b
 *           `-[10.99.2.1     fd99:2::1     ]== link2 ==[10.99.2.2 fd99:2::2]--'     lo: 10.99.200.2 fd99:200::2
 *
 * b takes no datagram over a link that does not lead back to its source: its reverse-path filter is strict, in both families.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LinkEnd } from '../../src/lab/namespaces.ts';
import { endpoint, inner, introduce, netnsSuite, Site, type TwoEnds, up } from '../support/netns-site.ts';
import { echoes, eventually, expectEcho, expectEndpoint, Tally, VERSIONS } from '../support/netns-traffic.ts';

const PORT = 51_820;
/** Addresses of a, by version: two on link 1, one on link 2. */
const A = {
  4: ['10.99.1.1', '10.99.1.11', '10.99.2.1'],
  6: ['fd99:1::1', 'fd99:1::11', 'fd99:2::1'],
} as const;
const B_LINK2 = { 4: '10.99.2.2', 6: 'fd99:2::2' } as const;
const B_LINK1 = { 4: '10.99.1.2', 6: 'fd99:1::2' } as const;
/** An address of b that either link leads to. */
const B_BEHIND = { 4: '10.99.200.2', 6: 'fd99:200::2' } as const;
const BITS = { 4: 32, 6: 128 } as const;
const WORD = { 4: 'ip', 6: 'ip6' } as const;

netnsSuite('the sticky source address', ['nft'], (pairing) => {
  let ends: TwoEnds;
  let link1: readonly [LinkEnd, LinkEnd];
  beforeAll(async () => {
    const site = new Site();
    const [atA, atB] = [site.namespace('a'), site.namespace('b')];
    link1 = site.connect(atA, atB, { subnet: 1, device: 'link1' });
    site.connect(atA, atB, { subnet: 2, device: 'link2' });
    ends = { site, a: await site.open(pairing.a, atA), b: await site.open(pairing.b, atB) };
    atA.ip('addr add 10.99.1.11/24 dev link1', 'addr add fd99:1::11/64 dev link1 nodad');
    atB.ip('addr add 10.99.200.2/32 dev lo', 'addr add fd99:200::2/128 dev lo nodad');
    const rules = [
      'add table inet strict',
      'add chain inet strict seen { type filter hook prerouting priority -300; }',
      `add rule inet strict seen udp dport ${PORT} fib saddr . iif oif missing drop`,
    ];
    atB.runSync(['nft', '-f', '-'], `${rules.join('\n')}\n`);
    up(ends.a, 1);
    up(ends.b, 2);
    await introduce(ends.a, 1, ends.b, 2);
  });
  afterAll(async () => await ends?.site.close());

  /** Counts what b receives of a's datagrams, by each of a's addresses. */
  function sources(version: 4 | 6): () => string[] {
    const { b } = ends;
    const tallies = A[version].map(
      (address) => [address, new Tally(b.namespace, `${WORD[version]} saddr ${address} udp dport ${PORT}`)] as const,
    );
    return () => tallies.filter(([, tally]) => tally.packets > 0).map(([address]) => address);
  }

  /** Has b send to an address of a. What a sent from another one before it heard of that moves b's endpoint back, as roaming is: it is set again then. */
  async function lead(version: 4 | 6, address: string): Promise<void> {
    const { a, b } = ends;
    await eventually(`an answer from ${address} alone`, async () => {
      await b.setPeer(a, 'endpoint', endpoint(address, PORT));
      await expectEcho(b.namespace, inner(1, 4));
      const seen = sources(version);
      await expectEcho(b.namespace, inner(1, 4));
      return seen().join() === address;
    });
  }

  /** wireguard-go keeps to what it had until its next handshake, up to 15 s; told the endpoint, it looks anew. */
  async function tellAgain(address: string): Promise<void> {
    if (ends.a.implementation === 'wireguard-go') await ends.a.setPeer(ends.b, 'endpoint', address);
  }

  it.for(VERSIONS)('IPv%i: answers leave from the address that was addressed', async (version) => {
    const { a, b } = ends;
    for (const address of A[version]) {
      await lead(version, address);
      const seen = sources(version);
      expect(await echoes(b.namespace, inner(1, 4), { count: 3 })).toBe(3);
      // And so does what a sends of its own accord.
      expect(await echoes(a.namespace, inner(2, 6), { count: 3 })).toBe(3);
      expect(seen()).toEqual([address]);
      await expectEndpoint(b, a, endpoint(address, PORT));
    }
  });

  it.for(VERSIONS)('IPv%i: an address of the other link is kept to, whichever link leads there', async (version) => {
    const { a, b } = ends;
    const address = A[version][2];
    const strict = new Tally(b.namespace, `iifname link1 ${WORD[version]} saddr ${address} udp dport ${PORT}`);
    b.namespace.ip(`route add ${address}/${BITS[version]} via ${A[version][0]} dev link1`);
    a.namespace.ip(`route add ${B_LINK2[version]}/${BITS[version]} via ${B_LINK1[version]} dev link1`);
    await b.setPeer(a, 'endpoint', endpoint(address, PORT));
    await expectEcho(b.namespace, inner(1, 4));
    expect(await echoes(b.namespace, inner(1, 6), { count: 3 })).toBe(3);
    expect(strict.packets).toBeGreaterThan(0);
    await expectEndpoint(b, a, endpoint(address, PORT));
    b.namespace.ip(`route del ${address}/${BITS[version]} via ${A[version][0]} dev link1`);
    a.namespace.ip(`route del ${B_LINK2[version]}/${BITS[version]} via ${B_LINK1[version]} dev link1`);
  });

  it.for(VERSIONS)('IPv%i: an address that is taken away is left, and the peer follows', async (version) => {
    const { a, b } = ends;
    const [staying, going] = A[version];
    await b.setPeer(a, 'endpoint', endpoint(going, PORT));
    await expectEcho(b.namespace, inner(1, 4));
    link1[0].namespace.ip(`addr del ${going}/${version === 4 ? 24 : 64} dev link1`);
    await tellAgain(endpoint(B_LINK1[version], PORT));
    await expectEcho(a.namespace, inner(2, 4));
    await expectEndpoint(b, a, endpoint(staying, PORT));
    expect(await echoes(b.namespace, inner(1, 6), { count: 2 })).toBe(2);
    link1[0].namespace.ip(`addr add ${going}/${version === 4 ? 24 : 64} dev link1${version === 6 ? ' nodad' : ''}`);
  });

  it.for(VERSIONS)(
    'IPv%i: where the route has moved to another link, `wg set endpoint` takes the source of that link',
    async (version) => {
      const { a, b } = ends;
      const [first, , second] = A[version];
      const way = (verb: string, link: 1 | 2): string =>
        `route ${verb} ${B_BEHIND[version]}/${BITS[version]} via ${link === 1 ? B_LINK1[version] : B_LINK2[version]} dev link${link} src ${link === 1 ? first : second}`;
      a.namespace.ip(way('add', 1));
      await a.setPeer(b, 'endpoint', endpoint(B_BEHIND[version], PORT));
      await expectEcho(a.namespace, inner(2, 4));
      await expectEndpoint(b, a, endpoint(first, PORT));
      a.namespace.ip(way('add', 2).replace('route add', 'route replace'));
      await a.setPeer(b, 'endpoint', endpoint(B_BEHIND[version], PORT));
      await expectEcho(a.namespace, inner(2, 4));
      await expectEndpoint(b, a, endpoint(second, PORT));
      expect(await echoes(b.namespace, inner(1, 6), { count: 2 })).toBe(2);
      a.namespace.ip(way('del', 2));
    },
  );
});
