/**
 * What `wg set` changes while a tunnel runs: ports, keys, marks, endpoints. gigatun is told; the other end, gigatun or
 * wireguard-go, must follow or refuse as WireGuard does.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1 fd99::1]== veth ==[10.99.0.2 fd99::2]--TUN-- b: 10.77.0.2
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { formatKey, generatePresharedKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import {
  type ConfiguredEnd,
  type ConfiguredProgram,
  type ConfiguredTunnel,
  openConfigured,
} from '../support/configured-end.ts';
import { countPackets } from '../support/packet-counters.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const LOAD = { packetsPerSecond: 400, lengths: [8, 1_372] } as const;
const SILENCE_MS_MAX = 1_500;
/** A handshake that fails is tried again after 5 s and jitter; room for a busy machine. */
const RETRY_MS = 15_000;
const OTHERS: readonly ConfiguredProgram[] = ['gigatun', 'wireguard-go'];

tunnelSuite('a tunnel that is changed while it runs', ['nft', 'ping', 'wg', 'wireguard-go'], () => {
  it.concurrent.for(OTHERS)(
    'keeps its sessions and its traffic with %s over a change of its listen port',
    async (other) => {
      await using tunnel = await openConfigured(other);
      const { pair, a, b } = tunnel;
      await waitForEcho(innerRoute(pair, 4), 5_000);
      const streams = [await Stream.start(innerRoute(pair, 4), LOAD), await Stream.start(reverseRoute(pair, 4), LOAD)];
      await Promise.all(streams.map((stream) => stream.arrivals(LOAD.packetsPerSecond / 4, 5_000)));
      const handshake = handshakeOf(b);
      for (const port of ['51999', '52001']) {
        a.set('listen-port', port);
        await Promise.all(streams.map((stream) => stream.arrivals(LOAD.packetsPerSecond / 2, 10_000)));
        expect(a.show('listen-port')).toEqual([port]);
        await vi.waitUntil(() => b.show('endpoints')[1] === `10.99.0.1:${port}`, 5_000);
      }
      for (const outcome of await Promise.all(streams.map((stream) => stream.finish(true)))) {
        expect(outcome.silenceMsMax).toBeLessThan(SILENCE_MS_MAX);
        expect(outcome.lost).toBeLessThan((2 * SILENCE_MS_MAX * LOAD.packetsPerSecond) / 1_000);
        expect(outcome).toMatchObject({ repeated: 0, corrupted: 0 });
      }
      expect(handshakeOf(b)).toBe(handshake);
    },
  );

  it.concurrent.for(OTHERS)(
    'has no session with %s under a new private key until that is told the public one',
    async (other) => {
      await using tunnel = await openConfigured(other);
      const { pair, a, b } = tunnel;
      await waitForEcho(innerRoute(pair, 4), 5_000);
      const privateKey = generatePrivateKey();
      const publicKey = formatKey(publicKeyOf(privateKey));
      a.set('private-key', { key: formatKey(privateKey) });
      expect(a.show('public-key')).toEqual([publicKey]);
      await expectNoEcho(tunnel);

      const allowed = `${pair.a.inner4}/32,${pair.a.inner6}/128`;
      b.set(
        'peer',
        pair.a.publicKey,
        'remove',
        'peer',
        publicKey,
        'endpoint',
        pair.b.peer.endpoint,
        'allowed-ips',
        allowed,
      );
      await waitForEcho(innerRoute(pair, 4), RETRY_MS);
      await waitForEcho(reverseRoute(pair, 6), 5_000);
      expect(Number(handshakeOf(a))).toBeGreaterThan(0);
    },
  );

  it.concurrent.for(OTHERS)(
    'goes on with %s under another preshared key until the next handshake, which needs the same at both ends',
    async (other) => {
      await using tunnel = await openConfigured(other, { preshared: true });
      const { pair, a } = tunnel;
      await waitForEcho(innerRoute(pair, 4), 5_000);
      const wrong = { key: formatKey(generatePresharedKey()) };
      const peer = pair.b.publicKey;
      a.set('peer', peer, 'preshared-key', wrong);
      await waitForEcho(innerRoute(pair, 4), 1_000);
      await waitForEcho(reverseRoute(pair, 6), 1_000);

      const allowed = `${pair.b.inner4}/32,${pair.b.inner6}/128`;
      a.set(
        'peer',
        peer,
        'remove',
        'peer',
        peer,
        'preshared-key',
        wrong,
        'endpoint',
        pair.a.peer.endpoint,
        'allowed-ips',
        allowed,
      );
      await expectNoEcho(tunnel);
      expect(handshakeOf(a)).toBe('0');
      a.set('peer', peer, 'preshared-key', { key: pair.a.presharedKey ?? '' });
      await waitForEcho(innerRoute(pair, 4), RETRY_MS);
      await waitForEcho(reverseRoute(pair, 6), 5_000);
    },
  );

  it.concurrent('marks its datagrams anew, and keeps its sessions', async () => {
    await using tunnel = await openConfigured('wireguard-go');
    const { pair, a } = tunnel;
    await waitForEcho(innerRoute(pair, 4), 5_000);
    const handshake = handshakeOf(a);
    const sent = countPackets(pair.a.namespace, 'output', {
      plain: 'udp dport 51820 meta mark 0',
      marked: 'udp dport 51820 meta mark 0x77',
    });
    a.set('fwmark', '0x77');
    await waitForEcho(innerRoute(pair, 4), 5_000);
    const { plain, marked } = sent.read();
    expect([plain, marked > 0]).toEqual([0, true]);
    a.set('fwmark', '0');
    await waitForEcho(innerRoute(pair, 6), 5_000);
    expect(sent.read()).toMatchObject({ marked });
    expect(sent.read().plain).toBeGreaterThan(0);
    expect(handshakeOf(a)).toBe(handshake);
  });

  it.concurrent('marks its datagrams anew when the port changes with the mark', async () => {
    await using tunnel = await openConfigured('wireguard-go');
    const { pair, a } = tunnel;
    await waitForEcho(innerRoute(pair, 4), 5_000);
    const sent = countPackets(pair.a.namespace, 'output', {
      plain: 'udp dport 51820 meta mark 0',
      marked: 'udp dport 51820 meta mark 0x77',
    });
    a.set('listen-port', '51999', 'fwmark', '0x77');
    await waitForEcho(innerRoute(pair, 4), 5_000);
    const { plain, marked } = sent.read();
    expect([plain, marked > 0]).toEqual([0, true]);
    a.set('listen-port', '51998', 'fwmark', '0');
    await waitForEcho(innerRoute(pair, 6), 5_000);
    expect(sent.read()).toMatchObject({ marked });
    expect(sent.read().plain).toBeGreaterThan(0);
  });

  it.concurrent('moves to the other family with its peer’s endpoint, which wireguard-go follows, without a handshake', async () => {
    await using tunnel = await openConfigured('wireguard-go');
    const { pair, a, b } = tunnel;
    await waitForEcho(innerRoute(pair, 4), 5_000);
    const handshake = handshakeOf(b);
    for (const [to, from] of [
      ['[fd99::2]:51820', '[fd99::1]:51820'],
      ['10.99.0.2:51820', '10.99.0.1:51820'],
    ] as const) {
      a.set('peer', pair.b.publicKey, 'endpoint', to);
      await waitForEcho(innerRoute(pair, 4), 5_000);
      expect(b.show('endpoints')[1]).toBe(from);
      await waitForEcho(reverseRoute(pair, 6), 5_000);
    }
    expect(handshakeOf(b)).toBe(handshake);
  });

  it.concurrent('sends a keepalive as soon as persistent ones are switched on, which is a handshake where there is no session', async () => {
    await using tunnel = await openConfigured('wireguard-go');
    const { pair, a, b } = tunnel;
    expect(handshakeOf(b)).toBe('0');
    a.set('peer', pair.b.publicKey, 'persistent-keepalive', '25');
    await vi.waitUntil(() => handshakeOf(b) !== '0', 5_000);
    await waitForEcho(reverseRoute(pair, 4), 5_000);
  });
});

/** When the last handshake was, epoch seconds; '0' for never. */
function handshakeOf(end: ConfiguredEnd): string {
  return end.show('latest-handshakes')[1] ?? '';
}

/** Nothing comes through for two seconds, whoever speaks. */
async function expectNoEcho({ pair }: ConfiguredTunnel): Promise<void> {
  await delay(100);
  const tries = [innerRoute(pair, 4), reverseRoute(pair, 4)].map(({ from, address }) =>
    from.run(['ping', '-n', '-i', '0.2', '-c', '10', '-W', '1', address], { mayFail: true }),
  );
  for (const { code, stdout } of await Promise.all(tries)) {
    expect(stdout).toMatch(/10 packets transmitted, 0 received/);
    expect(code).toBe(1);
  }
}
