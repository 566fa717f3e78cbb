/**
 * Two tunnels on one host: side by side, and one inside the other.
 *
 *     a, a2: TUN, TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN, TUN :b, b2
 *
 * a and b have 10.88.0.1 and .2, a2 and b2 have 10.87.0.1 and .2 (fd88::, fd87::). Side by side, a2 and b2 meet at the
 * outer addresses; inside, at those of a and b.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { NetnsEnd } from '../support/netns-end.ts';
import { endpoint, inner, type Linked, netnsSuite, openLinked } from '../support/netns-site.ts';
import { ECHO_HEADERS, eventually, expectEcho, expectEndpoint, sendTcp, VERSIONS } from '../support/netns-traffic.ts';

const TCP_BYTES = 4 * 1024 * 1024;
const SECOND_PORT = 51_821;
const MTU = { beside: 1420, inside: 1340 } as const;

netnsSuite('two tunnels on one host', ['iperf3'], (pairing) => {
  let linked: Linked;
  let a2: NetnsEnd;
  let b2: NetnsEnd;
  beforeAll(async () => {
    linked = await openLinked(pairing);
    const { site, a, b } = linked;
    a2 = await site.open(pairing.a, a.birth, { listenPort: SECOND_PORT });
    b2 = await site.open(pairing.b, b.birth, { listenPort: SECOND_PORT });
    a2.up(MTU.beside, `${second(1, 4)}/24`, `${second(1, 6)}/64`);
    b2.up(MTU.beside, `${second(2, 4)}/24`, `${second(2, 6)}/64`);
    await a2.setPeer(b2, 'allowed-ips', `${second(2, 4)},${second(2, 6)}`, 'endpoint', `10.99.0.2:${SECOND_PORT}`);
    await b2.setPeer(a2, 'allowed-ips', `${second(1, 4)},${second(1, 6)}`);
  });
  afterAll(async () => await linked?.site.close());

  it('they run side by side on ports of their own', async () => {
    const { a, b } = linked;
    for (const version of VERSIONS) {
      await expectEcho(a.namespace, inner(2, version));
      await expectEcho(a.namespace, second(2, version));
    }
    await Promise.all([
      sendTcp(a.namespace, b.namespace, inner(2, 4), TCP_BYTES),
      sendTcp(a.namespace, b.namespace, second(2, 6), TCP_BYTES),
      sendTcp(b.namespace, a.namespace, second(1, 4), TCP_BYTES),
    ]);
    await expectEndpoint(b2, a2, `10.99.0.1:${SECOND_PORT}`);
    await expectEndpoint(b, a, '10.99.0.1:51820');
  });

  it('neither takes the port of the other', async () => {
    const { a } = linked;
    await expect(a2.set('listen-port', '51820')).rejects.toThrow(/Address already in use/);
    await expectEcho(a.namespace, inner(2, 4));
    await a2.set('listen-port', String(SECOND_PORT));
    await expectEcho(a.namespace, second(2, 4));
  });

  it.for(VERSIONS)('one goes through the other, over IPv%i', async (version) => {
    const { a, b } = linked;
    for (const { namespace, name } of [a2, b2]) namespace.ip(`link set dev ${name} mtu ${MTU.inside}`);
    // What b2 sends before it hears a2 from there moves a2's endpoint back, as roaming is: it is set again then.
    await eventually('both ends to meet inside', async () => {
      await a2.setPeer(b2, 'endpoint', endpoint(inner(2, version), SECOND_PORT));
      await expectEcho(a.namespace, second(2, version));
      return (await b2.endpointOf(a2)) === endpoint(inner(1, version), SECOND_PORT);
    });
    const before = await a.transferOf(b);
    for (const innermost of VERSIONS) {
      const length = MTU.inside - ECHO_HEADERS[innermost];
      await expectEcho(a.namespace, second(2, innermost), { length });
      await expectEcho(b.namespace, second(1, innermost), { length });
      await sendTcp(a.namespace, b.namespace, second(2, innermost), TCP_BYTES);
      await sendTcp(b.namespace, a.namespace, second(1, innermost), TCP_BYTES);
    }
    await expectEndpoint(b2, a2, endpoint(inner(1, version), SECOND_PORT));
    const after = await a.transferOf(b);
    expect(after.sent - before.sent).toBeGreaterThan(TCP_BYTES);
    expect(after.received - before.received).toBeGreaterThan(TCP_BYTES);
  });
});

function second(host: number, version: 4 | 6): string {
  return version === 4 ? `10.87.0.${host}` : `fd87::${host}`;
}
