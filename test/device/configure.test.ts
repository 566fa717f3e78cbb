/**
 * A running device that is told to change, whose lanes are played by the test: what it shows of itself, and what it tells
 * its lanes. The interface stays down, in this machine's own namespace.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DeviceChange, PeerChange } from '../../src/control/device-change.ts';
import { generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import type { Logger } from '../../src/control/log.ts';
import { openDevice } from '../../src/device.ts';
import type { Device } from '../../src/device-types.ts';
import { endpointOf } from '../../src/endpoint-text.ts';
import { openTun } from '../../src/native/addon.ts';
import { closeLaneSockets, openSockets } from '../../src/sockets.ts';
import type { LaneCommand } from '../../src/tables/lane-messages.ts';
import { titled, tunMissing } from '../native/support.ts';
import { fileBehind, PlayedLane, playedLanes } from './support/played-lane.ts';

vi.mock('node:worker_threads', async (original) => {
  const { PlayedLane: Worker } = await import('./support/played-lane.ts');
  return { ...(await original<typeof import('node:worker_threads')>()), Worker };
});

const NAME = `gt-c${process.pid}`;
const missing = tunMissing();
const silent = (): void => undefined;
const log: Logger = { debug: silent, info: silent, warn: silent, error: silent };
const key = (): Uint8Array => Uint8Array.from(randomBytes(32));
const v4 = (a: number, b: number, c: number, d: number, length = 32) => ({
  address: Uint8Array.of(a, b, c, d),
  length,
});
const add = (...prefixes: { address: Uint8Array; length: number }[]) =>
  prefixes.map((prefix) => ({ prefix, remove: false }));

describe.skipIf(missing !== null)(titled('a running device', missing), () => {
  let device: Device;

  beforeEach(async () => {
    playedLanes.length = 0;
    PlayedLane.whenStarted = (lane) => lane.ready();
    PlayedLane.whenClosed = (lane) => lane.end();
    device = await openDevice({ name: NAME, config: { privateKey: null, listenPort: 0, fwmark: 0, peers: [] }, log });
  });

  afterEach(async () => {
    await device.close();
  });

  const shown = (): string[][] =>
    device.status().peers.map(({ publicKey, allowedIps }) => [publicKey.slice(0, 4), ...allowedIps]);
  const name = ({ publicKey }: PeerChange): string => Buffer.from(publicKey).toString('base64').slice(0, 4);
  const commands = (): readonly LaneCommand[] => playedLanes[0]?.commands ?? [];

  test('shows what it was told, keys included, which are copies', () => {
    const privateKey = generatePrivateKey();
    const peer = {
      publicKey: key(),
      presharedKey: key(),
      endpoint: { address: 'fe80::1%1', port: 9 },
      persistentKeepaliveSeconds: 7,
      allowedIps: add(v4(10, 1, 2, 3, 24), { address: new Uint8Array(16), length: 0 }),
    };
    device.configure({ privateKey, peers: [peer] });
    const settings = device.settings();
    expect(settings).toEqual({
      privateKey,
      listenPort: device.listenPort,
      fwmark: 0,
      peers: [
        {
          publicKey: peer.publicKey,
          presharedKey: peer.presharedKey,
          endpoint: peer.endpoint,
          latestHandshakeMs: 0,
          txBytes: 0,
          rxBytes: 0,
          persistentKeepaliveSeconds: 7,
          isGigatun: false,
          cipher: null,
          allowedIps: [v4(10, 1, 2, 0, 24), { address: new Uint8Array(16), length: 0 }],
        },
      ],
    });
    settings.privateKey?.fill(0);
    settings.peers[0]?.presharedKey?.fill(0);
    expect(device.settings().privateKey).toEqual(privateKey);
    expect(device.settings().peers[0]?.presharedKey).toEqual(peer.presharedKey);
  });

  test('a prefix that a peer gets is taken from the one that had it', () => {
    const [a, b] = [{ publicKey: key() }, { publicKey: key() }];
    const prefix = v4(10, 0, 0, 0, 8);
    device.configure({ peers: [{ ...a, allowedIps: add(prefix, v4(1, 1, 1, 1)) }, b] });
    device.configure({ peers: [{ ...b, allowedIps: add(prefix) }] });
    expect(shown()).toEqual([
      [name(a), '1.1.1.1/32'],
      [name(b), '10.0.0.0/8'],
    ]);
    device.configure({ peers: [{ ...a, allowedIps: [{ prefix, remove: true }] }] });
    device.configure({ peers: [{ ...b, replaceAllowedIps: true, allowedIps: add(v4(2, 2, 2, 2)) }] });
    expect(shown()).toEqual([
      [name(a), '1.1.1.1/32'],
      [name(b), '2.2.2.2/32'],
    ]);
  });

  test('its own public key is nobody, and the peer whose private key it gets goes', () => {
    const privateKey = generatePrivateKey();
    const own = { publicKey: publicKeyOf(privateKey) };
    const other = { publicKey: key() };
    device.configure({ peers: [own, other] });
    expect(shown()).toEqual([[name(own)], [name(other)]]);
    device.configure({ privateKey });
    expect(shown()).toEqual([[name(other)]]);
    device.configure({ peers: [own] });
    expect(shown()).toEqual([[name(other)]]);
  });

  test('a bad value changes nothing', () => {
    const good = { publicKey: key(), allowedIps: add(v4(9, 9, 9, 9)) };
    device.configure({ peers: [good] });
    const before = device.settings();
    const bad: readonly DeviceChange[] = [
      { privateKey: new Uint8Array(31) },
      { listenPort: 65_536 },
      { listenPort: 1.5 },
      { fwmark: 2 ** 32 },
      { fwmark: -1 },
      ...[
        { publicKey: new Uint8Array(33) },
        { ...good, presharedKey: new Uint8Array(1) },
        { ...good, persistentKeepaliveSeconds: 65_536 },
        { ...good, endpoint: { address: 'example.com', port: 1 } },
        { ...good, endpoint: { address: '1.2.3.4', port: 0 } },
        { ...good, allowedIps: add({ address: new Uint8Array(5), length: 0 }) },
        { ...good, allowedIps: add({ address: new Uint8Array(4), length: 33 }) },
      ].map((peer) => ({ replacePeers: true, peers: [{ publicKey: key() }, peer] })),
    ];
    for (const change of bad) {
      expect(() => device.configure(change)).toThrow(expect.objectContaining({ code: 'CONFIG' }));
      expect(device.settings()).toEqual(before);
    }
  });

  describe('its sockets', () => {
    /** What its lane has open under its numbers. */
    const files = (): string[] => (playedLanes[0]?.fds ?? []).slice(1).map((fd) => fileBehind(fd));
    const forgets = (): number => commands().filter(({ type }) => type === 'forgetSources').length;

    test('move to another port under the same numbers, and back, and the lane forgets where it sent from', async () => {
      const first = device.listenPort;
      const before = files();
      device.configure({ listenPort: 0 });
      const second = device.listenPort;
      expect(second).not.toBe(first);
      expect(files()).toHaveLength(2);
      for (const [at, file] of files().entries()) expect(file).not.toBe(before[at]);
      device.configure({ listenPort: first });
      expect(device.settings().listenPort).toBe(first);
      device.configure({ listenPort: first });
      await vi.waitFor(() => expect(forgets()).toBe(2));
    });

    test('stay, and so does everything else, when the port is taken', () => {
      const other = openSockets(1, 0, 0);
      const [before, settings] = [files(), device.settings()];
      const change = { listenPort: other.port, fwmark: 5, privateKey: key(), peers: [{ publicKey: key() }] };
      expect(() => device.configure(change)).toThrow(expect.objectContaining({ code: 'BUSY' }));
      expect([files(), device.settings()]).toEqual([before, settings]);
      for (const lane of other.lanes) closeLaneSockets(lane);
    });

    test('get a mark and stay', () => {
      const before = files();
      device.configure({ fwmark: 0xca6c });
      expect(device.settings().fwmark).toBe(0xca6c);
      expect(device.status().fwmark).toBe(0xca6c);
      expect(files()).toEqual(before);
    });
  });

  describe('that is given a TUN', () => {
    const openWith = (tunFd: number, part: object = {}): Promise<Device> =>
      openDevice({
        name: 'ignored',
        tunFd,
        config: { privateKey: null, listenPort: 0, fwmark: 0, peers: [] },
        log,
        ...part,
      });

    test('has its name, and closes it', async () => {
      const tun = openTun({ name: `${NAME}t`, multiQueue: false, offloads: 0 });
      const other = await openWith(tun.fd, { lanes: 3 });
      expect([other.name, other.status().interface, other.status().lanes]).toEqual([tun.name, tun.name, 1]);
      await other.close();
      expect(fileBehind(tun.fd)).toBe('');
    });

    test('closes it when it cannot be opened, but leaves alone what is no TUN', async () => {
      const tun = openTun({ name: `${NAME}t`, multiQueue: false, offloads: 0 });
      const config = { privateKey: null, listenPort: device.listenPort, fwmark: 0, peers: [] };
      await expect(openWith(tun.fd, { config })).rejects.toMatchObject({ code: 'BUSY' });
      expect(fileBehind(tun.fd)).toBe('');
      const other = openTun({ name: `${NAME}t`, multiQueue: false, offloads: 0 });
      await expect(openWith(other.fd, { memoryCapBytes: 1e6 })).rejects.toMatchObject({ code: 'CONFIG' });
      expect(fileBehind(other.fd)).toBe('');
      const file = openSync('/dev/null', 'r');
      await expect(openWith(file)).rejects.toMatchObject({ code: 'CONFIG' });
      expect(fileBehind(file)).toBe('/dev/null');
      closeSync(file);
    });
  });

  test('is GONE when it has ended', async () => {
    await device.close();
    expect(() => device.configure({})).toThrow(expect.objectContaining({ code: 'GONE' }));
    expect(() => device.settings()).toThrow(expect.objectContaining({ code: 'GONE' }));
  });

  test('takes no more than 65,536 peers, however they come', () => {
    const peers = Array.from({ length: 65_536 }, (_, at) => {
      const publicKey = new Uint8Array(32).fill(1);
      publicKey.set([at & 255, at >> 8]);
      return { publicKey };
    });
    const tooMany = { peers: [...peers, { publicKey: key() }] };
    expect(() => device.configure(tooMany)).toThrow(expect.objectContaining({ code: 'CONFIG' }));
    expect(device.settings().peers).toEqual([]);
    device.configure({ peers });
    const [first] = peers;
    expect(() => device.configure({ peers: [{ publicKey: key() }] })).toThrow(/at most 65536 peers/);
    device.configure({ peers: [{ publicKey: first?.publicKey ?? key(), remove: true }, { publicKey: key() }] });
    device.configure({ peers: [{ publicKey: key(), updateOnly: true }] });
    expect(device.settings().peers).toHaveLength(65_536);
    device.configure({ replacePeers: true });
    expect(device.settings().peers).toEqual([]);
  });

  test('a lane that says where a peer was before it hears where it is now is not heeded', async () => {
    const publicKey = key();
    const at = (address: string) => ({ peers: [{ publicKey, endpoint: { address, port: 9 } }] });
    const endpoint = (): string | undefined => device.settings().peers[0]?.endpoint?.address;
    const roamed = { type: 'roamed', peer: 0, endpoint: endpointOf({ address: '3.3.3.3', port: 3 }) } as const;
    device.configure(at('1.1.1.1'));
    device.configure(at('2.2.2.2'));
    playedLanes[0]?.tell({ ...roamed, serial: 0 });
    await delay(20);
    expect(endpoint()).toBe('2.2.2.2');
    const told = (): unknown => commands().findLast(({ type }) => type === 'endpoint');
    await vi.waitFor(() => expect(told()).toMatchObject({ peer: 0, serial: 1 }));
    playedLanes[0]?.tell({ ...roamed, serial: 1 });
    await vi.waitFor(() => expect(endpoint()).toBe('3.3.3.3'));
  });

  test('the id and memory of a removed peer are used again only when its lane has answered', async () => {
    const [a, b, c] = [{ publicKey: key() }, { publicKey: key() }, { publicKey: key() }];
    device.configure({ peers: [a] });
    device.configure({ peers: [{ ...a, remove: true }, b] });
    await vi.waitFor(() => expect(commands().some(({ type }) => type === 'mark')).toBe(true));
    const types = commands().map(({ type }) => type);
    expect(types.indexOf('mark')).toBeGreaterThan(types.indexOf('unpeer'));
    const ids = (): number[] =>
      commands().flatMap((command) => (command.type === 'peers' ? command.peers.map(({ peer }) => peer) : []));
    expect(ids()).toEqual([0, 1]);
    for (const command of commands()) if (command.type === 'mark') playedLanes[0]?.tell({ ...command, type: 'marked' });
    await delay(20);
    device.configure({ peers: [c] });
    await vi.waitFor(() => expect(ids()).toEqual([0, 1, 0]));
  });

  test('130,560 prefixes are set and read back, also when they come in parts', async () => {
    const peer = { publicKey: key() };
    const prefixes = Array.from({ length: 130_560 }, (_, at) => v4(10, at >> 16, (at >> 8) & 255, at & 255));
    for (let from = 0; from < prefixes.length; from += 1_020)
      device.configure({ peers: [{ ...peer, allowedIps: add(...prefixes.slice(from, from + 1_020)) }] });
    expect(device.settings().peers[0]?.allowedIps).toEqual(prefixes);
    const tables = (): number => commands().filter(({ type }) => type === 'routes').length;
    await vi.waitFor(() => expect(tables()).toBe(2), 5_000);
    device.configure({ peers: [{ ...peer, replaceAllowedIps: true, allowedIps: [] }] });
    expect(device.settings().peers[0]?.allowedIps).toEqual([]);
  });
});
