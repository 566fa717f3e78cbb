/**
 * Ends that move: an authenticated packet from another address or port is followed, in both families, and so is
 * `wg set … endpoint`.
 *
 *     a: 10.88.0.1 fd88::1 TUN--[10.99.0.1 fd99:0::1]== veth ==[10.99.0.2 fd99:0::2]--TUN 10.88.0.2 fd88::2 :b
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LinkEnd } from '../../src/lab/namespaces.ts';
import { endpoint, inner, type Linked, netnsSuite, openLinked } from '../support/netns-site.ts';
import { echoes, eventually, expectEcho, expectEndpoint, VERSIONS } from '../support/netns-traffic.ts';

/** Where an end goes: host part of its new outer address. */
const ELSEWHERE = 66;

netnsSuite('roaming', [], (pairing) => {
  let linked: Linked;
  beforeAll(async () => {
    linked = await openLinked(pairing);
  });
  afterAll(async () => await linked?.site.close());

  it('an end without an endpoint cannot speak first, and learns where its peer is', async () => {
    const { a, b } = linked;
    await expectEndpoint(b, a, '(none)');
    expect(await echoes(b.namespace, inner(1, 4), { waitSeconds: 0.3 })).toBe(0);
    await expectEcho(a.namespace, inner(2, 4));
    await expectEndpoint(b, a, '10.99.0.1:51820');
    expect(await echoes(b.namespace, inner(1, 6))).toBe(1);
  });

  it.for([
    ['4 to 6', 'fd99:0::2', '[fd99::1]:51820'],
    ['6 to 4', '10.99.0.2', '10.99.0.1:51820'],
  ] as const)('from IPv%s: the other family is followed', async ([, address, expected]) => {
    const { a, b } = linked;
    await a.setPeer(b, 'endpoint', endpoint(address, b.listenPort));
    await expectEcho(a.namespace, inner(2, 4));
    await expectEndpoint(b, a, expected);
    expect(await echoes(b.namespace, inner(1, 4))).toBe(1);
  });

  it.for(VERSIONS)('IPv%i: an end that takes another port is followed', async (version) => {
    const { a, b, link } = linked;
    await a.setPeer(b, 'endpoint', endpoint(addressOf(link[1], version), b.listenPort));
    for (const port of [4_444, 51_820]) {
      await a.set('listen-port', String(port));
      await expectEcho(a.namespace, inner(2, 4));
      await expectEndpoint(b, a, endpoint(addressOf(link[0], version), port).replace(':0::', '::'));
      expect(await echoes(b.namespace, inner(1, 6), { count: 2 })).toBe(2);
    }
  });

  it.for(VERSIONS)('IPv%i: an end whose address changes is followed', async (version) => {
    const { a, b, link } = linked;
    const [own, other] = link;
    await a.setPeer(b, 'endpoint', endpoint(addressOf(other, version), b.listenPort));
    await expectEcho(a.namespace, inner(2, 4));
    readdress(own, version, 1, ELSEWHERE);
    await forgetSource(version);
    await expectEcho(a.namespace, inner(2, 4));
    await expectEndpoint(b, a, endpoint(addressOf(own, version, ELSEWHERE), 51_820));
    expect(await echoes(b.namespace, inner(1, 6), { count: 2 })).toBe(2);
    readdress(own, version, ELSEWHERE, 1);
    await forgetSource(version);
    await expectEcho(a.namespace, inner(2, 4));
    await expectEndpoint(b, a, endpoint(addressOf(own, version, 1), 51_820));
  });

  it.for(VERSIONS)('IPv%i: a peer that moved in silence is found by `wg set endpoint`', async (version) => {
    const { a, b, link } = linked;
    const [, other] = link;
    await a.setPeer(b, 'endpoint', endpoint(addressOf(other, version), b.listenPort));
    await expectEcho(a.namespace, inner(2, 4));
    readdress(other, version, 2, ELSEWHERE);
    expect(await echoes(a.namespace, inner(2, 4), { waitSeconds: 0.5 })).toBe(0);
    await a.setPeer(b, 'endpoint', endpoint(addressOf(other, version, ELSEWHERE), b.listenPort));
    await expectEcho(a.namespace, inner(2, 4));
    await expectEndpoint(a, b, endpoint(addressOf(other, version, ELSEWHERE), 51_820));
    readdress(other, version, ELSEWHERE, 2);
    await a.setPeer(b, 'endpoint', endpoint(addressOf(other, version, 2), b.listenPort));
    await expectEcho(a.namespace, inner(2, 4));
  });

  /** wireguard-go keeps to a source address that is gone until its next handshake, 15 s; told the endpoint, it looks anew. */
  async function forgetSource(version: 4 | 6): Promise<void> {
    const { a, b, link } = linked;
    if (a.implementation === 'wireguard-go') {
      await a.setPeer(b, 'endpoint', endpoint(addressOf(link[1], version), b.listenPort));
    }
  }

  it('both take another port at once, and meet again where one of them was told', async () => {
    const { a, b } = linked;
    await Promise.all([a.set('listen-port', '1111'), b.set('listen-port', '2222')]);
    await a.setPeer(b, 'endpoint', '10.99.0.2:2222');
    await expectEcho(a.namespace, inner(2, 4));
    await eventually('b to know the port', async () => (await b.endpointOf(a)) === '10.99.0.1:1111');
    expect(await echoes(b.namespace, inner(1, 6), { count: 2 })).toBe(2);
  });
});

function addressOf(end: LinkEnd, version: 4 | 6, host?: number): string {
  const address = version === 4 ? end.address4 : end.address6.replace(':0::', '::');
  return host === undefined ? address : address.replace(/\d+$/, String(host));
}

function readdress({ namespace, device, address4 }: LinkEnd, version: 4 | 6, from: number, to: number): void {
  const subnet = address4.split('.')[2];
  const of = (host: number): string =>
    version === 4 ? `10.99.${subnet}.${host}/24 dev ${device}` : `fd99:${subnet}::${host}/64 dev ${device}`;
  namespace.ip(`addr del ${of(from)}`, `addr add ${of(to)}${version === 6 ? ' nodad' : ''}`);
}
