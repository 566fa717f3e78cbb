/**
 * Routing loops: the endpoint routed into its own tunnel, packets sent back and forth through it, and fwmark, which is made
 * for going around the first.
 *
 *     a: 10.88.0.1 fd88::1 TUN--[10.99.0.1 fd99:0::1]== veth ==[10.99.0.2 fd99:0::2]--TUN 10.88.0.2 fd88::2 :b
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { allowedIps, endpoint, inner, type Linked, netnsSuite, openLinked } from '../support/netns-site.ts';
import { echoes, eventually, expectEcho, setSysctl, Tally, VERSIONS } from '../support/netns-traffic.ts';

const EVERYTHING = '0.0.0.0/0,::/0';
const B_OUTER = { 4: '10.99.0.2', 6: 'fd99::2' } as const;
const ROUTE_TO_B = { 4: '10.99.0.2/32', 6: 'fd99::2/128' } as const;
const FAR = { 4: '203.0.113.9', 6: '2001:db8::9' } as const;
/** Ten echo requests, each sealed a few times, and what two gigatuns probe; a storm is tens of megabytes a second. */
const SENT_BYTES_MAX = 4_000_000;
const GROWTH_BYTES_MAX = 48 * 1024 * 1024;
const MARK = '0x6774';
const TABLE = 6_774;

netnsSuite('a routing loop', ['nft'], (pairing) => {
  let linked: Linked;
  beforeAll(async () => {
    linked = await openLinked(pairing);
  });
  afterAll(async () => await linked?.site.close());
  beforeEach(async () => {
    const { a, b } = linked;
    await a.setPeer(b, 'allowed-ips', EVERYTHING, 'endpoint', endpoint(B_OUTER[4], b.listenPort));
    await b.setPeer(a, 'allowed-ips', EVERYTHING);
    await expectEcho(a.namespace, inner(2, 4));
  });
  afterEach(async () => {
    const { a, b } = linked;
    await a.setPeer(b, 'allowed-ips', allowedIps(2));
    await b.setPeer(a, 'allowed-ips', allowedIps(1));
  });

  it.for(VERSIONS)(
    'of an IPv%i endpoint into its own tunnel raises no storm and ends with the route',
    async (version) => {
      const { a, b } = linked;
      // What b still sends from its other address takes a back to there.
      await eventually('both to stay in one family', async () => {
        await a.setPeer(b, 'endpoint', endpoint(B_OUTER[version], b.listenPort));
        await expectEcho(a.namespace, inner(2, 4));
        await delay(1_000);
        return (await a.endpointOf(b)) === endpoint(B_OUTER[version], b.listenPort);
      });
      const before = { ...(await a.transferOf(b)), memory: a.residentBytes() };
      a.namespace.ip(`route add ${ROUTE_TO_B[version]} dev ${a.name}`);
      expect(await echoes(a.namespace, inner(2, 4), { count: 5, waitSeconds: 0.3 })).toBe(0);
      expect(await echoes(a.namespace, inner(2, 6), { count: 5, length: 1_300, waitSeconds: 0.3 })).toBe(0);
      await delay(500);
      const { sent } = await a.transferOf(b);
      const memory = a.residentBytes();
      a.namespace.ip(`route del ${ROUTE_TO_B[version]} dev ${a.name}`);
      expect(a.program.ended).toBe(false);
      // wireguard-go seals its own datagrams again and again, hundreds of megabytes of them.
      if (a.implementation === 'gigatun') expect(sent - before.sent).toBeLessThan(SENT_BYTES_MAX);
      expect(memory - before.memory).toBeLessThan(GROWTH_BYTES_MAX);
      await expectEcho(a.namespace, inner(2, 4));
      await expectEcho(b.namespace, inner(1, 6));
    },
  );

  it.for(VERSIONS)('within the tunnel over IPv%i ends with the hop limit, to the packet', async (version) => {
    const { a, b } = linked;
    const [word, length] = version === 4 ? ['ip', 32] : ['ip6', 128];
    for (const { namespace, name } of [a, b]) {
      setSysctl(namespace, 'net.ipv4.ip_forward', 1);
      setSysctl(namespace, 'net.ipv6.conf.all.forwarding', 1);
      setSysctl(namespace, `net.ipv4.conf.${name}.accept_local`, 1);
      setSysctl(namespace, `net.ipv4.conf.${name}.send_redirects`, 0);
      setSysctl(namespace, 'net.ipv4.conf.all.send_redirects', 0);
      namespace.ip(`route add ${FAR[version]}/${length} dev ${name}`);
    }
    const atA = new Tally(a.namespace, `iifname ${a.name} ${word} daddr ${FAR[version]}`);
    const atB = new Tally(b.namespace, `iifname ${b.name} ${word} daddr ${FAR[version]}`);
    expect(await echoes(a.namespace, FAR[version], { hops: 20, waitSeconds: 0.5 })).toBe(0);
    expect([atA.packets, atB.packets]).toEqual([10, 10]);
    for (const { namespace, name } of [a, b]) namespace.ip(`route del ${FAR[version]}/${length} dev ${name}`);
    await expectEcho(a.namespace, inner(2, version));
  });

  it.for(VERSIONS)('is gone around by fwmark where everything goes into the tunnel, over IPv%i', async (version) => {
    const { a, b } = linked;
    const address = B_OUTER[version];
    const family = version === 4 ? '0.0.0.0/0' : '::/0';
    const rule = (mark: string): string => `not from all fwmark ${mark} lookup ${TABLE} priority 5000`;
    const change = (verb: 'add' | 'del', mark: string): string =>
      a.namespace.runSync(['ip', `-${version}`, 'rule', verb, ...rule(mark).split(' ')]);
    await a.setPeer(b, 'endpoint', endpoint(address, b.listenPort));
    for (const mark of [MARK, '0x1', MARK]) {
      await a.set('fwmark', mark);
      expect(await a.show('fwmark')).toEqual([[mark]]);
      a.namespace.ip(`route add ${family} dev ${a.name} table ${TABLE}`);
      change('add', mark);
      const through = new Tally(b.namespace, `iifname ${b.name} ${version === 4 ? 'ip' : 'ip6'} daddr ${address}`);
      await expectEcho(a.namespace, inner(2, version));
      // The very address that the datagrams go to is reached through the tunnel by everybody else.
      await expectEcho(a.namespace, address);
      expect(through.packets).toBeGreaterThan(0);
      change('del', mark);
      a.namespace.ip(`route del ${family} dev ${a.name} table ${TABLE}`);
    }
    await a.set('fwmark', 'off');
    expect(await a.show('fwmark')).toEqual([['off']]);
    await expectEcho(a.namespace, inner(2, version));
  });
});
