/**
 * What goes in comes out: files over TCP and packets of every size over UDP, through every kind of tunnel, with gigatun
 * and with Debian's wireguard-go at the other end, in both roles.
 *
 *     a: 10.77.0.1, fd77::1 --TUN--[10.99.0.1 fd99:0::1]== veth ==[10.99.0.2 fd99:0::2]--TUN-- b: 10.77.0.2, fd77::2
 *
 * Only `a` knows an endpoint, so `a` is the initiator and `b` the responder of every handshake.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import {
  type EndOptions,
  GigatunEnd,
  openTunnel,
  outerSocketDrops,
  type Tunnel,
  widenQueues,
} from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { type Load, sendDatagrams } from '../support/tunnel-traffic.ts';

const FILE_MB = 64;
/** A preshared key changes the handshake; sizes are no business of it. */
const FILE_MB_PRESHARED = 8;
const MTU = 1420;
const ALL_SIZES_PER_SECOND = 3_000;
/** Each becomes up to 47 inner packets. */
const FRAGMENTED_PER_SECOND = 60;
const FRAGMENTED_STEP = 1_567;
/** Largest UDP payloads of IPv4 and IPv6 that Node.js sends. */
const PAYLOAD_MOST = 65_507;
const HEADERS = { 4: 20 + 8, 6: 40 + 8 } as const;

type Program = NonNullable<EndOptions['program']>;
const ROLES: readonly (readonly [Program, Program])[] = [
  ['gigatun', 'gigatun'],
  ['gigatun', 'wireguard-go'],
  ['wireguard-go', 'gigatun'],
];

for (const [a, b] of ROLES)
  for (const outer of [4, 6] as const)
    for (const preshared of [false, true]) {
      const key = preshared ? 'with a preshared key' : 'without a preshared key';
      tunnelSuite(`${a} initiates to ${b} over IPv${outer} ${key}`, ['ping', 'wg', 'wireguard-go'], () => {
        testTunnel(a, b, outer, preshared);
      });
    }

function testTunnel(a: Program, b: Program, outer: 4 | 6, preshared: boolean): void {
  let tunnel: Tunnel;
  beforeAll(async () => {
    tunnel = await openTunnel({ outer, preshared }, { program: a }, { program: b, knowsEndpoint: false });
    widenQueues(tunnel);
  }, 20_000);
  afterAll(async () => await tunnel?.close());

  it('the responder knows no endpoint, and learns it from the first packet', async () => {
    const [own] = tunnel.pair.link;
    const address = outer === 4 ? own.address4 : `[${own.address6.replace('fd99:0::', 'fd99::')}]`;
    expect(await tunnel.b.peerEndpoint()).toBeNull();
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
    expect(await tunnel.b.peerEndpoint()).toBe(`${address}:${tunnel.pair.a.listenPort}`);
  });

  describe.each([4, 6] as const)('IPv%i inside', (inner) => {
    const megabytes = preshared ? FILE_MB_PRESHARED : FILE_MB;
    it(`files of ${megabytes} MB that cross each other arrive as they were sent`, async () => {
      const bytes = megabytes * 1024 * 1024;
      const [forth, back] = await Promise.all([
        transfer(innerRoute(tunnel.pair, inner), bytes, `forth ${outer} ${inner}`),
        transfer(reverseRoute(tunnel.pair, inner), bytes, `back ${outer} ${inner}`),
      ]);
      for (const file of [forth, back]) {
        expect(file).toMatchObject({ bytes, corruptedBytes: 0, intact: true });
        expect(file.receivedSha256).toBe(file.sentSha256);
      }
      expect(forth.receivedSha256).not.toBe(back.receivedSha256);
    });

    if (!preshared)
      it('UDP packets of all sizes, fragmented ones too, arrive as they were sent, each once', async () => {
        await expectAllOnce(tunnel, inner, [
          { lengths: [0, MTU - HEADERS[inner]], sweepStep: 1, packetsPerSecond: ALL_SIZES_PER_SECOND },
          {
            lengths: [MTU - HEADERS[inner] + 1, PAYLOAD_MOST],
            sweepStep: FRAGMENTED_STEP,
            packetsPerSecond: FRAGMENTED_PER_SECOND,
          },
        ]);
      });
  });

  it('gigatun dropped nothing that was for it', async () => {
    for (const end of [tunnel.a, tunnel.b]) {
      if (!(end instanceof GigatunEnd)) continue;
      expect(await dropsOfUnicast(end)).toEqual({});
      expect(outerSocketDrops(end)).toBe(0);
    }
  });
}

/** All loads in both directions at once. Only the buffer of wireguard-go's own socket may have lost anything. */
async function expectAllOnce(tunnel: Tunnel, inner: 4 | 6, loads: readonly Load[]): Promise<void> {
  const route = { forth: innerRoute(tunnel.pair, inner), back: reverseRoute(tunnel.pair, inner) };
  const [forth, back] = await Promise.all([
    Promise.all(loads.map((load) => sendDatagrams(route.forth, load))),
    Promise.all(loads.map((load) => sendDatagrams(route.back, load))),
  ]);
  const outcomes = { [`to ${tunnel.b.plan.device}`]: forth, [`to ${tunnel.a.plan.device}`]: back };
  for (const [end, results] of [[tunnel.b, forth] as const, [tunnel.a, back] as const])
    for (const result of results) {
      const lostMost = end instanceof GigatunEnd ? 0 : outerSocketDrops(end);
      expect(result, JSON.stringify(outcomes)).toMatchObject({ refused: 0, repeated: 0, corrupted: 0 });
      expect(result.lost, JSON.stringify(outcomes)).toBeLessThanOrEqual(lostMost);
    }
}

/**
 * The kernel sends multicast (router solicitations, listener reports) into every interface; no peer has its prefix. TCP is
 * told of a long queue by the loss of single segments, on purpose, and sends them again.
 */
async function dropsOfUnicast(end: GigatunEnd): Promise<Record<string, number>> {
  const { OUT_NO_ROUTE: _multicast, OUT_QUEUE_LONG: _told, ...drops } = await end.drops();
  return drops;
}
