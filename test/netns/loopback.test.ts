/**
 * A tunnel whose interfaces have left their programs: both programs and their sockets are in one namespace and meet over its
 * loopback, each interface is in a namespace of its own.
 *
 *     [ in1: 10.88.0.1 fd88::1  TUN ]---program---:1 ( lo, MTU 65536 ) :2---program---[ TUN  10.88.0.2 fd88::2 :in2 ]
 *                                         birth namespace
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Classic, endpoint, inner, netnsSuite, openClassic } from '../support/netns-site.ts';
import {
  ECHO_HEADERS,
  echoes,
  eventually,
  expectEcho,
  expectEndpoint,
  sendTcp,
  sendUdp,
  VERSIONS,
} from '../support/netns-traffic.ts';

const TCP_BYTES = 4 * 1024 * 1024;
/** IPv6's least, WireGuard's default, Ethernet's, a jumbo frame less 80, and one that needs a large datagram. */
const MTUS = [1280, 1420, 1500, 8920, 34_736] as const;
const OUTER = { 4: '127.0.0.1', 6: '::1' } as const;
/** IP and UDP, or IP and ICMP: eight bytes both. */
const HEADERS = ECHO_HEADERS;

netnsSuite('over loopback', ['iperf3'], (pairing) => {
  let site: Classic;
  beforeAll(async () => {
    site = await openClassic(pairing);
  });
  afterAll(async () => await site?.site.close());

  it('both ends serve `wg` while their interfaces are elsewhere', async () => {
    const { a, b, birth } = site;
    expect(birth.hasDevice(a.name)).toBe(false);
    expect(a.namespace.hasDevice(a.name)).toBe(true);
    expect(await a.show('listen-port')).toEqual([['1']]);
    await expectEndpoint(a, b, '127.0.0.1:2');
    expect(await b.showPeer(a, 'allowed-ips')).toEqual(['10.88.0.1/32 fd88::1/128']);
  });

  it('echoes pass in both families and directions, and both ends count them', async () => {
    const { a, b } = site;
    for (const version of VERSIONS) {
      await expectEcho(a.namespace, inner(2, version));
      await expectEcho(b.namespace, inner(1, version));
      expect(await echoes(a.namespace, inner(2, version), { count: 5 })).toBe(5);
    }
    expect((await a.showPeer(b, 'latest-handshakes')).map(Number)[0]).toBeGreaterThan(1_700_000_000);
    expect((await a.transferOf(b)).sent).toBeGreaterThan(14 * 84);
    expect((await b.transferOf(a)).received).toBeGreaterThan(14 * 84);
  });

  it.for(MTUS)('an MTU of %i is kept to the byte, over IPv4 and IPv6', async (mtu) => {
    const { a, b } = site;
    for (const { namespace, name } of [a, b]) namespace.ip(`link set dev ${name} mtu ${mtu}`);
    for (const outer of VERSIONS) {
      await moveTo(site, outer);
      for (const version of VERSIONS) {
        const length = mtu - ECHO_HEADERS[version];
        await expectEcho(a.namespace, inner(2, version), { length });
        await expectEcho(b.namespace, inner(1, version), { length });
        expect(await echoes(a.namespace, inner(2, version), { length: length + 1, waitSeconds: 0.1 })).toBe(0);
      }
      await expectEndpoint(b, a, endpoint(OUTER[outer], 1));
      await sendTcp(a.namespace, b.namespace, inner(2, outer), TCP_BYTES);
      await sendTcp(b.namespace, a.namespace, inner(1, outer === 4 ? 6 : 4), TCP_BYTES);
    }
  });

  it.for([1420, 34_736])('UDP of every size passes whole at an MTU of %i', async (mtu) => {
    const { a, b } = site;
    for (const { namespace, name } of [a, b]) namespace.ip(`link set dev ${name} mtu ${mtu}`);
    for (const version of VERSIONS) {
      const whole = mtu - HEADERS[version];
      for (const length of [16, 1_000, whole, whole + 1]) {
        expect(await sendUdp(a.namespace, b.namespace, inner(2, version), length)).toBe(0);
        expect(await sendUdp(b.namespace, a.namespace, inner(1, version), length)).toBe(0);
      }
    }
  });
});

/** Takes both ends to another outer family. What was under way meanwhile may move the endpoint back: then it is set again. */
async function moveTo({ a, b }: Classic, outer: 4 | 6): Promise<void> {
  await eventually(`both ends to meet over IPv${outer}`, async () => {
    await a.setPeer(b, 'endpoint', endpoint(OUTER[outer], 2));
    await expectEcho(a.namespace, inner(2, 4));
    return (await b.endpointOf(a)) === endpoint(OUTER[outer], 1);
  });
}
