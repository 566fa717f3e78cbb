/**
 * The edge of the MTU: a packet of exactly the MTU passes, one byte more is refused at its sender, and files arrive whole.
 *
 *     a: 10.77.0.1, fd77::1 --TUN (inner MTU)--[10.99.0.1]== veth (outer MTU) ==[10.99.0.2]--TUN-- b: 10.77.0.2, fd77::2
 */
import { expect, it } from 'vitest';
import type { Route } from '../../src/lab/iperf.ts';
import { innerRoute, type Pair, reverseRoute } from '../../src/lab/pair.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { type EndOptions, openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { sendDatagrams } from '../support/tunnel-traffic.ts';

const FILE_BYTES = 8 * 1024 * 1024;
/** IP header and ICMP echo header. */
const HEADERS = { 4: 20 + 8, 6: 40 + 8 } as const;
/** UDP payloads this much below and above the edge are sent in full. */
const AROUND_EDGE = 40;
const VERSIONS = [4, 6] as const;

interface Size {
  readonly inner: number;
  /** Leaves no room at all where it is inner + 60: IPv4, UDP and the transport message's 32 bytes. */
  readonly outer: number;
  readonly why: string;
}
const SIZES: readonly Size[] = [
  { inner: 1280, outer: 1500, why: 'the least of IPv6' },
  { inner: 1420, outer: 1500, why: "WireGuard's default" },
  { inner: 1421, outer: 1500, why: 'odd, so that padding stops short of a multiple of 16' },
  { inner: 1440, outer: 1500, why: 'all that IPv4 outside leaves' },
  { inner: 1500, outer: 1600, why: 'as large as plain Ethernet' },
  { inner: 9000, outer: 9100, why: 'a jumbo frame' },
];
const WIREGUARD_GO_TOO: readonly number[] = [1280, 1421, 9000];

type Program = NonNullable<EndOptions['program']>;
const CASES: readonly (Size & { readonly program: Program })[] = SIZES.flatMap((size) => [
  { ...size, program: 'gigatun' as const },
  ...(WIREGUARD_GO_TOO.includes(size.inner) ? [{ ...size, program: 'wireguard-go' as const }] : []),
]);

tunnelSuite('an inner MTU', ['ping', 'wg', 'wireguard-go'], () => {
  it.concurrent.for(CASES)(
    'of $inner ($why) towards $program is kept to the byte',
    async ({ inner, outer, program }) => {
      await using tunnel = await openTunnel({ innerMtu: inner, mtu: outer }, {}, { program });
      await Promise.all(VERSIONS.map((version) => expectEdge(tunnel.pair, version, inner)));
      await Promise.all(VERSIONS.map((version) => expectFilesIntact(tunnel.pair, version)));
      await Promise.all(VERSIONS.map((version) => expectSizesIntact(tunnel.pair, version, inner)));
    },
  );
});

/** A packet of exactly the MTU passes, both ways, and one byte more is refused. */
async function expectEdge(pair: Pair, version: 4 | 6, mtu: number): Promise<void> {
  for (const route of [innerRoute(pair, version), reverseRoute(pair, version)]) {
    expect(await echo(route, mtu - HEADERS[version], 3)).toMatchObject({ code: 0 });
    const refused = await echo(route, mtu - HEADERS[version] + 1, 0.1);
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toMatch(new RegExp(`[Mm]essage too long.*mtu[:=] ?${mtu}`));
  }
}

async function expectFilesIntact(pair: Pair, version: 4 | 6): Promise<void> {
  const files = await Promise.all([
    transfer(innerRoute(pair, version), FILE_BYTES, `forth ${version}`),
    transfer(reverseRoute(pair, version), FILE_BYTES, `back ${version}`),
  ]);
  for (const file of files) expect(file).toMatchObject({ bytes: FILE_BYTES, corruptedBytes: 0, intact: true });
}

/** UDP packets of each size around the edge: those above it are fragmented. */
async function expectSizesIntact(pair: Pair, version: 4 | 6, mtu: number): Promise<void> {
  const edge = mtu - HEADERS[version];
  const lengths = [edge - AROUND_EDGE, edge + AROUND_EDGE] as const;
  const outcome = await sendDatagrams(innerRoute(pair, version), { lengths, sweepStep: 1, packetsPerSecond: 200 });
  expect(outcome).toMatchObject({ refused: 0, lost: 0, repeated: 0, corrupted: 0, holes: [] });
}

/** One echo request that may not be fragmented, with that many bytes of data. */
function echo(route: Route, dataLength: number, waitSeconds: number): ReturnType<Route['from']['run']> {
  const command = ['ping', '-n', '-M', 'do', '-c', '1', '-W', String(waitSeconds), '-s', String(dataLength)];
  return route.from.run([...command, route.address], { mayFail: true });
}
