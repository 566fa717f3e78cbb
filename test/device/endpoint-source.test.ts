/**
 * Where a device's handshake messages leave from and go to, with real sockets and a lane played by the test: the sticky
 * source is dropped with the first retry, for it may be the cause of silence, and a cookie reply moves nothing.
 */

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import type { Logger } from '../../src/control/log.ts';
import { openTimedDevice } from '../../src/device.ts';
import type { Device } from '../../src/device-types.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { CookieChecker } from '../../src/protocol/cookie.ts';
import { titled, tunMissing } from '../native/support.ts';
import { PlayedLane, playedLanes } from './support/played-lane.ts';

vi.mock('node:worker_threads', async (original) => {
  const { PlayedLane: Worker } = await import('./support/played-lane.ts');
  return { ...(await original<typeof import('node:worker_threads')>()), Worker };
});

const missing = tunMissing();
const silent = (): void => undefined;
const log: Logger = { debug: silent, info: silent, warn: silent, error: silent };
const TIMING = { ...WIREGUARD_TIMING, REKEY_TIMEOUT_MS: 200, REKEY_TIMEOUT_JITTER_MS_MAX: 0 };
const MAC2 = 132;

interface Arrival {
  readonly message: Uint8Array;
  /** Local address that it left from. */
  readonly address: string;
  readonly port: number;
}

describe.skipIf(missing !== null)(titled('handshake messages', missing), () => {
  const peerKey = publicKeyOf(generatePrivateKey());
  let home: Socket;
  let arrivals: Arrival[];
  let device: Device;

  beforeEach(async () => {
    playedLanes.length = 0;
    PlayedLane.whenStarted = (lane) => lane.ready();
    PlayedLane.whenClosed = (lane) => lane.end();
    arrivals = [];
    home = createSocket('udp4', (message, { address, port }) => arrivals.push({ message, address, port }));
    home.bind(0, '127.0.0.1');
    await once(home, 'listening');
    const peer = {
      publicKey: peerKey,
      presharedKey: null,
      endpoint: { address: '127.0.0.1', port: home.address().port },
      allowedIps: [],
      persistentKeepaliveSeconds: 0,
    };
    const config = { privateKey: generatePrivateKey(), listenPort: 0, fwmark: 0, peers: [peer] };
    device = await openTimedDevice({ name: `gt-s${process.pid}`, config, log }, TIMING);
    execFileSync('ip', ['link', 'set', device.name, 'up']);
    await vi.waitUntil(() => device.status().up, 10_000);
  });

  afterEach(async () => {
    await device.close();
    home.close();
  });

  const arrived = async (count: number): Promise<boolean> => await vi.waitUntil(() => arrivals.length >= count, 10_000);

  test('leave from the address that the peer spoke to, and after a try in vain from whichever the kernel likes', async () => {
    const { port } = home.address();
    const address = Uint8Array.of(127, 0, 0, 1);
    const local = { localAddress: Uint8Array.of(127, 0, 0, 2), localInterface: 1 };
    const endpoint: Endpoint = { family: 4, address, port, scope: 0, ...local };
    playedLanes[0]?.tell({ type: 'roamed', peer: 0, endpoint, serial: 0 });
    playedLanes[0]?.tell({ type: 'want', peer: 0 });
    await arrived(3);
    expect(arrivals.slice(0, 3).map((arrival) => arrival.address)).toEqual(['127.0.0.2', '127.0.0.1', '127.0.0.1']);
    const told = playedLanes[0]?.commands.filter(({ type }) => type === 'endpoint').at(-1);
    expect(told).toMatchObject({ peer: 0, endpoint: { port, localAddress: null, localInterface: 0 } });
  });

  test('go where they went, with the cookie, after a cookie reply from elsewhere', async () => {
    playedLanes[0]?.tell({ type: 'want', peer: 0 });
    await arrived(1);
    const [first] = arrivals as [Arrival];
    const checker = new CookieChecker(peerKey, TIMING, (length) => Uint8Array.from(randomBytes(length)));
    const source: Endpoint = {
      family: 4,
      address: Uint8Array.of(127, 0, 0, 1),
      port: first.port,
      scope: 0,
      localAddress: null,
      localInterface: 0,
    };
    const view = new DataView(first.message.buffer, first.message.byteOffset);
    const reply = checker.reply(first.message, view.getInt32(4, true), source, 0);
    const from: Endpoint = { ...source, address: Uint8Array.of(127, 0, 0, 3), port: 9 };
    playedLanes[0]?.tell({ type: 'handshake', message: reply, source: from });
    await arrived(2);
    const [, second] = arrivals as [Arrival, Arrival];
    expect(first.message.subarray(MAC2).every((byte) => byte === 0)).toBe(true);
    expect(checker.hasValidMac2(second.message, source, 1)).toBe(true);
    expect(device.status().peers[0]?.endpoint).toBe(`127.0.0.1:${home.address().port}`);
    expect(playedLanes[0]?.commands.filter(({ type }) => type === 'endpoint')).toEqual([]);
  });
});
