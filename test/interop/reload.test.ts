/**
 * A file changes under a running tunnel: what stays goes on without a drop, and what differs is there afterwards.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1 fd99:0::1]== veth ==[10.99.0.2 fd99:0::2]--TUN-- b: 10.77.0.2
 *
 * Names of endpoints come from a hosts file of a's namespace: `ip netns exec` lets it see /etc/netns/NAME/hosts.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { callControl } from '../../src/control/control-client.ts';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { type ReloadReport, readReloadReport } from '../../src/control/reload-report.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, planPair, quickConfig } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import {
  type End,
  expectGigatun,
  type GigatunEnd,
  openEnd,
  openTunnel,
  type Tunnel,
  widenQueues,
} from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const LOAD = { packetsPerSecond: 1_000, lengths: [8, 1_372] } as const;

function fileOf({ lab, pair }: Tunnel): string {
  return join(lab.directory, `${pair.a.device}.conf`);
}

function rewrite(tunnel: Tunnel, edit: (text: string) => string): void {
  writeFileSync(fileOf(tunnel), edit(readFileSync(fileOf(tunnel), 'utf8')), { mode: 0o600 });
}

async function reload({ directory, plan }: GigatunEnd): Promise<ReloadReport> {
  return readReloadReport(await callControl(directory, plan.device, 'reload'));
}

/** So many peers that nobody plays, each with a prefix. */
function strangers(count: number): string {
  return Array.from({ length: count }, (_, at) => {
    const key = formatKey(publicKeyOf(generatePrivateKey()));
    return `[Peer]\nPublicKey = ${key}\nAllowedIPs = 10.${100 + (at >> 8)}.${at & 255}.0/24\nEndpoint = 10.99.0.2:9\n`;
  }).join('');
}

/** What the kernel has of an interface: addresses and routes. */
function linkOf({ plan: { namespace, device } }: GigatunEnd): { addresses: string[]; routes: string[]; mtu: number } {
  const [link] = JSON.parse(namespace.runSync(['ip', '-json', 'address', 'show', 'dev', device])) as [
    { mtu: number; addr_info: { local: string; prefixlen: number; scope: string }[] },
  ];
  const routes = JSON.parse(namespace.runSync(['ip', '-4', '-json', 'route', 'show', 'dev', device])) as {
    dst: string;
  }[];
  const addresses = link.addr_info.filter(({ scope }) => scope === 'global');
  return {
    addresses: addresses.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    routes: routes.map(({ dst }) => dst).sort(),
    mtu: link.mtu,
  };
}

tunnelSuite('a reload', ['ping'], () => {
  it.concurrent('loses not one packet of a session that stays, and starts no handshake', async () => {
    await using tunnel = await openTunnel();
    widenQueues(tunnel);
    const [a, route] = [expectGigatun(tunnel.a), innerRoute(tunnel.pair, 4)];
    await waitForEcho(route, 10_000);
    const before = { status: (await a.status()).peers[0], link: linkOf(a), ...(await handshakes(a)) };
    const stream = await Stream.start(route, LOAD);
    await stream.arrivals(500, 10_000);

    const first = readFileSync(fileOf(tunnel), 'utf8');
    rewrite(tunnel, (text) => `${text.replace('[Interface]', '[Interface]\nAddress = 10.78.0.1/24')}${strangers(300)}`);
    const added = await reload(a);
    expect(added).toMatchObject({ changesCount: 601, needsRestart: [] });
    expect((await a.status()).peers).toHaveLength(301);
    expect(linkOf(a)).toMatchObject({ addresses: expect.arrayContaining(['10.78.0.1/24']) });
    expect(linkOf(a).routes).toContain('10.101.43.0/24');
    await stream.arrivals(500, 10_000);

    writeFileSync(fileOf(tunnel), first, { mode: 0o600 });
    expect(await reload(a)).toMatchObject({ changesCount: 601 });
    expect(linkOf(a)).toEqual(before.link);
    await stream.arrivals(500, 10_000);

    expect(await stream.finish(true)).toMatchObject({ lost: 0, refused: 0, repeated: 0, corrupted: 0 });
    const after = (await a.status()).peers;
    expect(after).toHaveLength(1);
    expect(after[0]?.latestHandshakeMs).toBe(before.status?.latestHandshakeMs);
    expect(after[0]?.txBytes).toBeGreaterThan(before.status?.txBytes ?? 0);
    expect(await handshakes(a)).toEqual({ sent: before.sent, received: before.received });
  });

  it.concurrent('moves port, mark and MTU under traffic, and b follows', async () => {
    await using tunnel = await openTunnel();
    widenQueues(tunnel);
    const [a, route] = [expectGigatun(tunnel.a), innerRoute(tunnel.pair, 4)];
    await waitForEcho(route, 10_000);
    const stream = await Stream.start(route, { ...LOAD, lengths: [8, 1_000] });
    await stream.arrivals(300, 10_000);
    rewrite(tunnel, (text) =>
      text.replace(/ListenPort = .*/, 'ListenPort = 51999\nFwMark = 0x77').replace(/MTU = .*/, 'MTU = 1320'),
    );
    expect((await reload(a)).changes.map(({ text }) => text)).toEqual([
      'mtu 1420 -> 1320',
      'listen port 51820 -> 51999',
      'fwmark off -> 0x77',
    ]);
    await stream.arrivals(300, 10_000);
    expect(await stream.finish(true)).toMatchObject({ repeated: 0, corrupted: 0 });
    expect(linkOf(a).mtu).toBe(1_320);
    expect(await a.status()).toMatchObject({ listenPort: 51_999, fwmark: 0x77 });
    expect(await tunnel.b.peerEndpoint()).toBe('10.99.0.1:51999');
  });

  it.concurrent('to a taken port, or of a bad file, changes nothing, and traffic goes on', async () => {
    await using tunnel = await openTunnel();
    const [a, route] = [expectGigatun(tunnel.a), innerRoute(tunnel.pair, 4)];
    await waitForEcho(route, 10_000);
    const before = { link: linkOf(a), settings: await settled(a) };
    const taker = tunnel.pair.a.namespace.start([
      ...[process.execPath, '-e', "require('dgram').createSocket('udp4').bind(7777, () => console.log('ready'))"],
    ]);
    await taker.waitForOutput(/ready/, 10_000);
    rewrite(tunnel, (text) =>
      text
        .replace('[Interface]', '[Interface]\nAddress = 10.78.0.1/24')
        .replace(/ListenPort = .*/, 'ListenPort = 7777'),
    );
    await expect(reload(a)).rejects.toMatchObject({ code: 'BUSY' });
    expect({ link: linkOf(a), settings: await settled(a) }).toEqual(before);
    rewrite(tunnel, (text) => `${text}\nFwMark = 1\n`);
    await expect(reload(a)).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(/:\d+:\d+: expected/),
    });
    expect({ link: linkOf(a), settings: await settled(a) }).toEqual(before);
    await waitForEcho(route, 2_000);
    taker.signal('SIGTERM');
    await taker.finished;
  });
});

/** What `status` tells that traffic does not change. */
async function settled(end: GigatunEnd): Promise<unknown> {
  const { listenPort, fwmark, mtu, peers } = await end.status();
  return {
    listenPort,
    fwmark,
    mtu,
    peers: peers.map(({ publicKey, endpoint, allowedIps }) => [publicKey, endpoint, allowedIps]),
  };
}

async function handshakes(end: GigatunEnd): Promise<{ sent: number; received: number }> {
  const { counts } = (await end.snapshot()).total;
  return { sent: Number(counts.HANDSHAKE_TX), received: Number(counts.HANDSHAKE_RX) };
}

tunnelSuite('gigatun reload', ['ping'], () => {
  it.concurrent('shows the difference, tries it, applies it, and so does SIGHUP in the background', async () => {
    const lab = new Lab();
    try {
      const { a } = planPair(lab);
      const file = join(lab.directory, `${a.device}.conf`);
      const directory = join(lab.directory, 'run');
      mkdirSync(directory, { mode: 0o700 });
      const env = { GIGATUN_RUN_DIR: directory, LOG_LEVEL: 'info' };
      const gigatun = (...words: string[]) =>
        a.namespace.run([process.execPath, CLI, ...words], { env, mayFail: true, timeoutMs: 30_000 });
      writeFileSync(file, quickConfig(a), { mode: 0o600 });
      expect((await gigatun('up', file)).code).toBe(0);

      expect(await gigatun('reload', a.device)).toMatchObject({
        ...{ code: 0, stdout: '', stderr: `gigatun: ${a.device} is as its file has it: nothing to change\n` },
      });
      const other = formatKey(publicKeyOf(generatePrivateKey()));
      const changed = `${quickConfig(a)}[Peer]\nPublicKey = ${other}\nAllowedIPs = 10.5.0.0/16\n`;
      writeFileSync(file, `${changed}#gigatun: Lanes = 2\n`, { mode: 0o600 });
      expect(await gigatun('reload', a.device)).toMatchObject({ code: 2, stdout: '' });
      writeFileSync(file, changed.replace('[Interface]', '[Interface]\n#gigatun: Lanes = 2'), { mode: 0o600 });
      const lines = `+ route 10.5.0.0/16\n+ peer ${other} 10.5.0.0/16\n`;
      const tried = await gigatun('reload', '--dry-run', file);
      expect(tried).toMatchObject({ code: 0, stdout: lines, stderr: expect.stringContaining('nothing is done') });
      expect(tried.stderr).toContain('needs a restart: Lanes 1 -> 2');
      const json = JSON.parse((await gigatun('reload', '--json', '-n', a.device)).stdout) as ReloadReport;
      expect(json).toMatchObject({
        interface: a.device,
        dryRun: true,
        changesCount: 2,
        needsRestart: ['Lanes 1 -> 2'],
      });
      expect(await gigatun('reload', a.device)).toMatchObject({ code: 0, stdout: lines });
      expect(await gigatun('reload', 'nobody')).toMatchObject({ code: 4 });

      writeFileSync(file, quickConfig(a), { mode: 0o600 });
      const { pid } = (await callControl(directory, a.device, 'version')) as { pid: number };
      process.kill(pid, 'SIGHUP');
      const peers = async () =>
        ((await callControl(directory, a.device, 'status')) as { peers: unknown[] }).peers.length;
      await expect.poll(peers, { timeout: 10_000 }).toBe(1);
      const log = () => readFileSync(join(directory, `${a.device}.log`), 'utf8');
      await expect.poll(log, { timeout: 5_000 }).toMatch(/info reloaded name=\S+ changesCount=2/);
      expect((await gigatun('down', a.device)).code).toBe(0);
    } finally {
      lab.close();
    }
  });
});

tunnelSuite("an endpoint's name", ['ping', 'wg', 'wireguard-go'], () => {
  // The resolver puts IPv6 first. One initiation must do: a second one would be five seconds later.
  it.concurrent.for([
    ['IPv6', 'fd99:0::99', '10.99.0.2', '10.99.0.2:51820', 2],
    ['IPv4', '10.99.0.99', 'fd99:0::2', '[fd99::2]:51820', 1],
  ] as const)('that leads nowhere over %s leads to the peer with the first initiation', async (given) => {
    const [, dead, alive, endpoint, sent] = given;
    await using place = await namedPlace(dead, alive);
    await waitForEcho(innerRoute(place.pair, 4), 10_000);
    expect(await place.end.peerEndpoint()).toBe(endpoint);
    expect(await handshakes(expectGigatun(place.end))).toEqual({ sent, received: 1 });
  });

  it.concurrent('that has dead addresses of both families leads to the peer at the living one', async () => {
    await using place = await namedPlace('fd99:0::99', '10.99.0.99', 'fd99:0::98', '10.99.0.2');
    await waitForEcho(innerRoute(place.pair, 4), 10_000);
    expect(await place.end.peerEndpoint()).toBe('10.99.0.2:51820');
    const { sent } = await handshakes(expectGigatun(place.end));
    expect(sent).toBeGreaterThanOrEqual(2);
    expect(sent).toBeLessThanOrEqual(4);
  });

  it.concurrent('whose address the peer leaves is followed to the other family, from 6 to 4 and back', async () => {
    await using place = await namedPlace('10.99.0.2', 'fd99:0::2');
    await waitForEcho(innerRoute(place.pair, 4), 10_000);
    expect(await place.end.peerEndpoint()).toBe('[fd99::2]:51820');
    const [, { namespace, device }] = place.pair.link;
    namespace.ip(`addr del fd99:0::2/64 dev ${device}`);
    // 15 s of silence, each time.
    await waitForEcho(innerRoute(place.pair, 4), 30_000);
    expect(await place.end.peerEndpoint()).toBe('10.99.0.2:51820');
    namespace.ip(`addr del 10.99.0.2/24 dev ${device}`, `addr add fd99:0::2/64 dev ${device} nodad`);
    await waitForEcho(innerRoute(place.pair, 4), 30_000);
    expect(await place.end.peerEndpoint()).toBe('[fd99::2]:51820');
  });

  it.concurrent('that means another address by now is looked up again when the peer falls silent', async () => {
    await using place = await namedPlace('10.99.0.2');
    await waitForEcho(innerRoute(place.pair, 4), 10_000);
    const { sent } = await handshakes(expectGigatun(place.end));
    const [, { namespace, device }] = place.pair.link;
    namespace.ip(`addr del 10.99.0.2/24 dev ${device}`, `addr add 10.99.0.22/24 dev ${device}`);
    place.writeHosts('10.99.0.22');
    // 15 s of silence and the look-up: the initiation that it began with goes to the new address as well.
    await waitForEcho(innerRoute(place.pair, 4), 30_000);
    expect(await place.end.peerEndpoint()).toBe('10.99.0.22:51820');
    expect(await handshakes(expectGigatun(place.end))).toMatchObject({ sent: sent + 2 });
  });
});

interface NamedPlace extends AsyncDisposable {
  readonly pair: Pair;
  /** gigatun, which knows its peer by name. */
  readonly end: End;
  readonly writeHosts: (...addresses: string[]) => void;
}

/** A tunnel whose end `a` knows the other by a name with these addresses, and whose end `b` only answers. */
async function namedPlace(...addresses: string[]): Promise<NamedPlace> {
  const lab = new Lab();
  const pair = planPair(lab);
  const directory = join('/etc/netns', pair.a.namespace.name);
  mkdirSync(directory, { recursive: true });
  // In place: the namespace sees the very file.
  const writeHosts = (...texts: string[]): void =>
    writeFileSync(join(directory, 'hosts'), texts.map((text) => `${text} b.gigatun-test\n`).join(''));
  writeHosts(...addresses);
  const ends: End[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(ends.map((each) => each.end('SIGTERM')));
    lab.close();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const end = await openEnd(lab, pair.a, { endpoint: 'b.gigatun-test:51820' });
    ends.push(end, await openEnd(lab, pair.b, { program: 'wireguard-go', knowsEndpoint: false }));
    return { pair, end, writeHosts, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
