/**
 * Two gigatuns with AES-256-GCM, on either back end and on one of each; and `auto` towards wireguard-go, which knows nothing
 * of it and answers the second initiation.
 *
 *     a: 10.77.0.1 --TUN--[10.99.S.1]== veth ==[10.99.S.2]--TUN-- b: 10.77.0.2
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { hasFastAes } from '../../src/cpu-features.ts';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import {
  type End,
  type EndOptions,
  expectGigatun,
  lossReport,
  openTunnel,
  type Tunnel,
  widenQueues,
} from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { sendDatagrams } from '../support/tunnel-traffic.ts';

const ECHO_MS = 15_000;
/** An offer is made five seconds after the response, and given up after as long again; both with jitter. */
const OFFER_OVER_MS = 11_000;

function withCipher(choice: string, aead = 'auto'): EndOptions {
  const edit = (config: string): string => config.replace('[Interface]', `[Interface]\n#gigatun: Cipher = ${choice}`);
  return { edit, env: { GIGATUN_AEAD: aead } };
}

async function cipherOf(end: End): Promise<string | null | undefined> {
  return (await expectGigatun(end).status()).peers[0]?.cipher;
}

/** Handshake messages that an end has sent. */
async function handshakesSent(end: End): Promise<number> {
  return (await expectGigatun(end).snapshot()).total.counts.HANDSHAKE_TX;
}

/** A second of datagrams each way; each must arrive once and unchanged. */
async function expectClean(tunnel: Tunnel): Promise<void> {
  const load = { packets: 800, packetsPerSecond: 800, lengths: [8, 1_372] } as const;
  const routes = [innerRoute(tunnel.pair, 4), reverseRoute(tunnel.pair, 4)];
  for (const outcome of await Promise.all(routes.map((route) => sendDatagrams(route, load))))
    expect(outcome, await lossReport(tunnel)).toMatchObject({ sent: 800, lost: 0, repeated: 0, corrupted: 0 });
}

tunnelSuite('AES-256-GCM between two gigatuns', ['ping'], () => {
  // auto is ipsec-mb where that is installed.
  it.each([
    ['openssl', 'openssl'],
    ['auto', 'openssl'],
    ['auto', 'auto'],
  ])('carries data unchanged with the back ends %s and %s', async (first, second) => {
    await using tunnel = await openTunnel({}, withCipher('aes-256-gcm', first), withCipher('aes-256-gcm', second));
    widenQueues(tunnel);
    await waitForEcho(innerRoute(tunnel.pair, 4), ECHO_MS);
    expect([await cipherOf(tunnel.a), await cipherOf(tunnel.b)]).toEqual(['aes-256-gcm', 'aes-256-gcm']);
    await expectClean(tunnel);
  });

  it('is what auto at both ends comes to on a processor with AES, at the first try', async () => {
    await using tunnel = await openTunnel({}, withCipher('auto'), { ...withCipher('auto'), knowsEndpoint: false });
    await waitForEcho(innerRoute(tunnel.pair, 4), ECHO_MS);
    expect(await cipherOf(tunnel.a)).toBe(hasFastAes() ? 'aes-256-gcm' : 'chacha20-poly1305');
    expect(await handshakesSent(tunnel.a)).toBe(1);
  });
});

tunnelSuite('auto', ['ping', 'wg', 'wireguard-go'], () => {
  it('comes up with wireguard-go after one unanswered initiation at most', async () => {
    const stock: EndOptions = { program: 'wireguard-go', knowsEndpoint: false };
    await using tunnel = await openTunnel({}, withCipher('auto'), stock);
    await waitForEcho(innerRoute(tunnel.pair, 4), ECHO_MS);
    expect(await cipherOf(tunnel.a)).toBe('chacha20-poly1305');
    expect(await handshakesSent(tunnel.a)).toBe(hasFastAes() ? 2 : 1);
    await waitForEcho(reverseRoute(tunnel.pair, 4), ECHO_MS);
  });

  it('answers wireguard-go, and makes one offer of its own', async () => {
    const answering: EndOptions = { ...withCipher('auto'), knowsEndpoint: false };
    await using tunnel = await openTunnel({}, { program: 'wireguard-go' }, answering);
    await waitForEcho(innerRoute(tunnel.pair, 4), ECHO_MS);
    await delay(OFFER_OVER_MS);
    expect(await cipherOf(tunnel.b)).toBe('chacha20-poly1305');
    expect(await handshakesSent(tunnel.b)).toBe(hasFastAes() ? 2 : 1);
    await waitForEcho(reverseRoute(tunnel.pair, 4), ECHO_MS);
  });
});
