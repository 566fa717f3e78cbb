/**
 * `wg` and a tunnel with traffic: what `wg` shows of a tunnel of `gigatun up` is what the other end counts, what it sets
 * works at once, and deleting the socket ends the tunnel. Scene: support/tunnel-end.ts.
 */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { innerRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { openTunnel, type Tunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const WAIT = { timeout: 10_000, interval: 100 };

tunnelSuite('wg and a tunnel of gigatun up', ['wg', 'wireguard-go', 'ping'], () => {
  let tunnel: Tunnel;
  let route: ReturnType<typeof innerRoute>;

  beforeAll(async () => {
    tunnel = await openTunnel({ preshared: true }, {}, { program: 'wireguard-go' });
    route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
  });

  afterAll(() => tunnel.close());

  async function wg(end: 'a' | 'b', ...words: string[]): Promise<string> {
    const { namespace, device } = tunnel.pair[end];
    const { stdout } = await namespace.run(['wg', ...words.map((word) => word.replace('DEV', device))]);
    return stdout;
  }

  async function expectNoEcho(): Promise<void> {
    const { code } = await route.from.run(['ping', '-n', '-c', '2', '-i', '0.2', '-W', '1', route.address], {
      mayFail: true,
    });
    expect(code).toBe(1);
  }

  it('shows of both ends what they share', async () => {
    const [ours, theirs] = await Promise.all([wg('a', 'show', 'DEV', 'dump'), wg('b', 'show', 'DEV', 'dump')]);
    const [[, ownKey, ownPort], [key, psk, endpoint, allowedIps]] = fieldsOf(ours);
    const [[, otherKey, otherPort], [peerKey, otherPsk, otherEndpoint]] = fieldsOf(theirs);
    expect([ownKey, psk, key]).toEqual([peerKey, otherPsk, otherKey]);
    expect(endpoint.endsWith(`:${otherPort}`) && otherEndpoint.endsWith(`:${ownPort}`)).toBe(true);
    expect(allowedIps).toBe('10.77.0.2/32,fd77::2/128');
  });

  it('counts the bytes that the other end counts, and knows when the handshake was', async () => {
    await vi.waitFor(async () => {
      const [ours, theirs] = await Promise.all([wg('a', 'show', 'DEV', 'dump'), wg('b', 'show', 'DEV', 'dump')]);
      const [, [, , , , handshake, received, sent]] = fieldsOf(ours);
      const [, [, , , , otherHandshake, otherReceived, otherSent]] = fieldsOf(theirs);
      expect(Math.abs(Number(handshake) - Number(otherHandshake))).toBeLessThanOrEqual(1);
      expect(Number(handshake)).toBeGreaterThan(1_700_000_000);
      // wireguard-go counts received handshake messages, 148 and 92 bytes, and gigatun does not.
      expect(Number(otherSent) - Number(received)).toBeLessThanOrEqual(148 + 92);
      expect(Number(otherSent)).toBeGreaterThanOrEqual(Number(received));
      expect(Number(otherReceived)).toBe(Number(sent));
    }, WAIT);
  });

  it('tells the cipher in a key of its own, which wg does not mind', async () => {
    const text = await exchange(socketOf(tunnel), 'get=1\n\n');
    expect(text).toContain('\ngigatun_cipher=chacha20-poly1305\n');
    expect(text).not.toContain('gigatun_peer');
    expect(await wg('a', 'show', 'DEV')).toContain('latest handshake:');
  });

  it('takes a prefix away and gives it back: packets follow at once', async () => {
    const [, [key]] = fieldsOf(await wg('a', 'show', 'DEV', 'dump'));
    await wg('a', 'set', 'DEV', 'peer', key, 'allowed-ips', '10.78.0.0/16');
    await expectNoEcho();
    await wg('a', 'set', 'DEV', 'peer', key, 'allowed-ips', '10.77.0.2/32,fd77::2/128');
    await waitForEcho(route, 5_000);
  });

  it('removes the peer, and makes a tunnel of it again', async () => {
    const { peer, presharedKey } = tunnel.pair.a;
    await wg('a', 'set', 'DEV', 'peer', peer.publicKey, 'remove');
    expect(await wg('a', 'show', 'DEV', 'peers')).toBe('');
    await expectNoEcho();
    const config = [
      '[Peer]',
      `PublicKey = ${peer.publicKey}`,
      `PresharedKey = ${presharedKey}`,
      `AllowedIPs = ${peer.inner4}/32`,
      `Endpoint = ${peer.endpoint}`,
    ];
    const file = join(tunnel.lab.directory, 'peer.conf');
    writeFileSync(file, config.join('\n'), { mode: 0o600 });
    await wg('a', 'addconf', 'DEV', file);
    await waitForEcho(route, 10_000);
  });

  it('ends when its socket is deleted, and leaves nothing', async () => {
    const { a, pair } = tunnel;
    rmSync(socketOf(tunnel));
    const { code } = await a.program.finished;
    expect(code).toBe(0);
    expect(pair.a.namespace.hasDevice(pair.a.device)).toBe(false);
    expect(readdirSync('/var/run/wireguard').filter((file) => file.startsWith(pair.a.device))).toEqual([]);
    expect(existsSync(socketOf(tunnel))).toBe(false);
  });
});

function socketOf({ pair }: Tunnel): string {
  return `/var/run/wireguard/${pair.a.device}.sock`;
}

function fieldsOf(dump: string): string[][] {
  return dump
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
}

async function exchange(path: string, text: string): Promise<string> {
  const socket = connect(path);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.end(text);
  await new Promise((resolve) => socket.once('close', resolve));
  return answer;
}
