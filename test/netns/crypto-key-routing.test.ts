/**
 * Which peer a packet goes to, and which source addresses a peer may use, by allowed IPs, in both families. The programs
 * and their sockets are in one namespace, the interfaces in one each:
 *
 *     [ in1: 10.88.0.1 fd88::1 TUN ]--a :1--( lo )--b :2--[ TUN 10.88.0.2 fd88::2 :in2 ]
 *                                           `--c :3--[ TUN 10.88.0.3 fd88::3 :in3 ]
 *
 * b and c both have the addresses TARGET besides, and all of their namespaces route everything into the tunnel.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { NetnsEnd } from '../support/netns-end.ts';
import { allowedIps, type Classic, inner, introduce, netnsSuite, openClassic, up } from '../support/netns-site.ts';
import { deliveredBy, echoes, expectEcho, Tally, VERSIONS } from '../support/netns-traffic.ts';

const TARGET = { 4: '10.66.7.8', 6: 'fd66:7::8' } as const;
/** From least to most specific; each holds TARGET. */
const PREFIXES = {
  4: ['0.0.0.0/0', '10.0.0.0/8', '10.66.0.0/15', '10.66.7.0/25', '10.66.7.8/32'],
  6: ['::/0', 'fd00::/8', 'fd66:6::/31', 'fd66:7::/121', 'fd66:7::8/128'],
} as const;

netnsSuite('crypto-key routing', ['nft'], (pairing) => {
  let classic: Classic;
  let c: NetnsEnd;
  beforeAll(async () => {
    classic = await openClassic(pairing);
    const { site, birth, a, b } = classic;
    c = await site.open(pairing.b, birth, { listenPort: 3 });
    c.moveTo(site.namespace('in3'));
    up(c, 3);
    await introduce(a, 1, c, 3);
    await a.setPeer(c, 'endpoint', '127.0.0.1:3');
    await c.setPeer(a, 'endpoint', '127.0.0.1:1');
    for (const end of [a, b, c]) {
      end.namespace.ip(`route add default dev ${end.name}`, `route add ::/0 dev ${end.name}`);
    }
    for (const end of [b, c]) {
      end.namespace.ip(`addr add ${TARGET[4]}/32 dev ${end.name}`, `addr add ${TARGET[6]}/128 dev ${end.name} nodad`);
      await expectEcho(end.namespace, inner(1, 4));
    }
  });
  afterAll(async () => await classic?.site.close());
  beforeEach(async () => {
    await classic.a.setPeer(classic.b, 'allowed-ips', allowedIps(2));
    await classic.a.setPeer(c, 'allowed-ips', allowedIps(3));
  });

  /** Which of b and c hears an echo request to `address`. */
  async function heardBy(address: string): Promise<string[]> {
    const { a, b } = classic;
    const match = `${address.includes(':') ? 'ip6' : 'ip'} daddr ${address}`;
    const tallies = [
      ['b', new Tally(b.namespace, match)],
      ['c', new Tally(c.namespace, match)],
    ] as const;
    await echoes(a.namespace, address, { waitSeconds: 0.3 });
    return tallies.filter(([, tally]) => tally.packets > 0).map(([name]) => name);
  }

  it.for(VERSIONS)('IPv%i: packets from a source outside the allowed IPs are dropped', async (version) => {
    const { a, b } = classic;
    const seen = new Tally(a.namespace, `${version === 4 ? 'ip' : 'ip6'} saddr ${TARGET[version]}`);
    const before = deliveredBy(a);
    expect(await echoes(b.namespace, inner(1, version), { source: TARGET[version], waitSeconds: 0.3 })).toBe(0);
    expect(seen.packets).toBe(0);
    expect(deliveredBy(a)).toBe(before);
    // Nor may b use an address of c's.
    b.namespace.ip(`addr add ${inner(3, version)}/${version === 4 ? 32 : 128} dev ${b.name}`);
    expect(await echoes(b.namespace, inner(1, version), { source: inner(3, version), waitSeconds: 0.3 })).toBe(0);
    expect(deliveredBy(a)).toBe(before);
    b.namespace.ip(`addr del ${inner(3, version)}/${version === 4 ? 32 : 128} dev ${b.name}`);

    await a.setPeer(b, 'allowed-ips', `${allowedIps(2)},${TARGET[version]}`);
    expect(await echoes(b.namespace, inner(1, version), { source: TARGET[version] })).toBe(1);
    expect(seen.packets).toBeGreaterThan(0);
    await expectEcho(c.namespace, inner(1, version));
  });

  it.for(VERSIONS)('IPv%i: packets to a destination of nobody go to nobody', async (version) => {
    const { b } = classic;
    const before = [deliveredBy(b), deliveredBy(c)];
    expect(await heardBy(TARGET[version])).toEqual([]);
    expect([deliveredBy(b), deliveredBy(c)]).toEqual(before);
  });

  it.for(VERSIONS)('IPv%i: the longest prefix wins, whoever has it and whenever it came', async (version) => {
    const { a, b } = classic;
    const owned = { b: [allowedIps(2)], c: [allowedIps(3)] };
    let owner: 'b' | 'c' = 'b';
    for (const prefix of PREFIXES[version]) {
      owned[owner].push(prefix);
      await a.setPeer(owner === 'b' ? b : c, 'allowed-ips', owned[owner].join(','));
      expect(await heardBy(TARGET[version])).toEqual([owner]);
      expect(await echoes(a.namespace, TARGET[version])).toBe(1);
      owner = owner === 'b' ? 'c' : 'b';
    }
    // And back: the most specific goes, the one before it holds.
    for (let count = PREFIXES[version].length - 1; count > 0; count -= 1) {
      owner = owner === 'b' ? 'c' : 'b';
      owned[owner].pop();
      await a.setPeer(owner === 'b' ? b : c, 'allowed-ips', owned[owner].join(','));
      expect(await heardBy(TARGET[version])).toEqual([owner === 'b' ? 'c' : 'b']);
    }
    expect(await heardBy(version === 4 ? '203.0.113.9' : '2001:db8::9')).toEqual(['b']);
  });

  it.for(VERSIONS)('IPv%i: a prefix moves to the peer that gets it, and its traffic with it', async (version) => {
    const { a, b } = classic;
    const [, , , prefix] = PREFIXES[version];
    await a.setPeer(b, 'allowed-ips', `${allowedIps(2)},${prefix}`);
    expect(await heardBy(TARGET[version])).toEqual(['b']);
    await a.setPeer(c, 'allowed-ips', `${allowedIps(3)},${prefix}`);
    expect(await heardBy(TARGET[version])).toEqual(['c']);
    expect((await a.showPeer(b, 'allowed-ips'))[0]).not.toContain(prefix.split('/')[0]);
    expect((await a.showPeer(c, 'allowed-ips'))[0]).toContain(prefix.split('/')[0]);
    // What b sends from there now is another's.
    const before = deliveredBy(a);
    expect(await echoes(b.namespace, inner(1, version), { source: TARGET[version], waitSeconds: 0.3 })).toBe(0);
    expect(deliveredBy(a)).toBe(before);
    // A peer that goes takes its prefixes with it; it comes back without.
    await a.setPeer(c, 'remove');
    expect(await heardBy(TARGET[version])).toEqual([]);
    await a.setPeer(c, 'allowed-ips', allowedIps(3), 'endpoint', '127.0.0.1:3');
    expect(await heardBy(TARGET[version])).toEqual([]);
    await expectEcho(a.namespace, inner(3, version));
  });

  it('zero-length prefixes carry whatever nobody else has, both ways', async () => {
    const { a, b } = classic;
    await a.setPeer(b, 'allowed-ips', '0.0.0.0/0,::/0');
    expect(await b.showPeer(a, 'allowed-ips')).toEqual(['10.88.0.1/32 fd88::1/128']);
    for (const version of VERSIONS) {
      expect(await echoes(a.namespace, TARGET[version])).toBe(1);
      expect(await echoes(b.namespace, inner(1, version), { source: TARGET[version] })).toBe(1);
      await expectEcho(a.namespace, inner(3, version));
      // c's own address stays c's.
      expect(await heardBy(inner(3, version))).toEqual(['c']);
    }
  });
});
