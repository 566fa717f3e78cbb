/**
 * Running devices that are changed while packets flow, over their API:
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *
 * and with the TUN of `a` in a third namespace, while its sockets stay.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Lab, type Namespace } from '../../src/lab/namespaces.ts';
import {
  configureDevice,
  innerRoute,
  type Pair,
  type PairOptions,
  planPair,
  reverseRoute,
} from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { configOf, keyOf, RemoteDevice, type RemoteOpen, until } from '../support/remote-device.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const ECHO_MS = 8_000;
const LOAD = { packetsPerSecond: 400, lengths: [8, 1_372] } as const;
/** About three seconds of a transfer at 100 Mbit/s. */
const TRANSFER = { bytes: 40e6, megabits: 100 } as const;

interface Ends extends AsyncDisposable {
  readonly lab: Lab;
  readonly pair: Pair;
  readonly a: RemoteDevice;
  readonly b: RemoteDevice;
}

async function openEnds(
  ofA: Partial<RemoteOpen> = {},
  pairOptions: PairOptions = {},
  ofB: Partial<RemoteOpen> = {},
): Promise<Ends> {
  const lab = new Lab();
  const devices: RemoteDevice[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(devices.map((device) => device.close()));
    lab.close();
  };
  try {
    const pair = planPair(lab, pairOptions);
    for (const [plan, options] of [
      [pair.a, ofA],
      [pair.b, ofB],
    ] as const)
      devices.push(await RemoteDevice.open(plan.namespace, { ...configOf(plan), ...options }));
    const [a, b] = devices as [RemoteDevice, RemoteDevice];
    return { lab, pair, a, b, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Brings both interfaces up, and waits for an echo. */
async function greet({ pair }: Ends): Promise<void> {
  configureDevice(pair.a);
  configureDevice(pair.b);
  await waitForEcho(innerRoute(pair, 4), ECHO_MS);
}

/** UDP ports that somebody listens on in a namespace. */
function portsIn(namespace: Namespace): number[] {
  const tables = namespace.runSync(['cat', '/proc/net/udp', '/proc/net/udp6']);
  const ports = [...tables.matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4})/gm)].map((match) => parseInt(match[1] ?? '', 16));
  return [...new Set(ports)];
}

tunnelSuite('a device that is changed while packets flow', ['ping'], () => {
  it.concurrent.for([1, 2])('with %i lanes: its port changes, and no connection is lost', async (lanes) => {
    await using ends = await openEnds({ lanes });
    const { pair, a, b } = ends;
    await greet(ends);
    for (const { namespace, device } of pair.link) namespace.limitRate(device, TRANSFER.megabits);
    const streams = [await Stream.start(innerRoute(pair, 4), LOAD), await Stream.start(reverseRoute(pair, 4), LOAD)];
    const sent = transfer(innerRoute(pair, 4), TRANSFER.bytes, 'reconfigure', 30_000);
    await delay(300);
    let before = pair.a.listenPort;
    for (const listenPort of [52_001, 0, pair.a.listenPort]) {
      await a.configure({ listenPort });
      const { listenPort: port } = await a.settings();
      if (listenPort !== 0) expect(port).toBe(listenPort);
      await until('b follows', async () => (await b.status()).peers[0]?.endpoint === `10.99.0.1:${port}`);
      // The old sockets are gone: no lane is left waiting on them.
      await until('the old port is free', () => !portsIn(pair.a.namespace).includes(before));
      before = port;
      await Promise.all(streams.map((stream) => stream.arrivals(LOAD.packetsPerSecond / 4, ECHO_MS)));
    }
    await a.configure({ fwmark: 0x51 });
    await Promise.all(streams.map((stream) => stream.arrivals(LOAD.packetsPerSecond / 4, ECHO_MS)));
    expect(await sent).toMatchObject({ bytes: TRANSFER.bytes, corruptedBytes: 0, intact: true });
    for (const { corrupted, repeated } of await Promise.all(streams.map((stream) => stream.finish(true))))
      expect([corrupted, repeated]).toEqual([0, 0]);
    const { peers } = await a.status();
    expect(peers[0]?.lastFailure).toBeNull();
  });

  it.concurrent('its keys change, and packets flow again as soon as both ends know', async () => {
    await using ends = await openEnds();
    const { pair, a, b } = ends;
    await greet(ends);
    const presharedKey = new Uint8Array(32).fill(7);
    const [ofA, ofB] = [keyOf(pair.a.publicKey), keyOf(pair.b.publicKey)];
    const before = (await a.settings()).peers[0]?.latestHandshakeMs ?? 0;
    // It counts from the next handshake on: the session stays.
    await a.configure({ peers: [{ publicKey: ofB, presharedKey }] });
    await waitForEcho(innerRoute(pair, 4), 1_000);
    expect((await a.settings()).peers[0]?.latestHandshakeMs).toBe(before);

    await b.configure({ peers: [{ publicKey: ofA, presharedKey }] });
    // The same key again changes nothing; another ends the session, which starts anew with both.
    const { privateKey } = await a.settings();
    await a.configure({ privateKey });
    expect((await a.status()).peers[0]?.cipher).not.toBeNull();
    await a.configure({ privateKey: keyOf(pair.b.privateKey) });
    expect((await a.settings()).peers).toEqual([]);
    await a.configure({ privateKey, peers: configOf(pair.a).config.peers.map(asChange) });
    await a.configure({ peers: [{ publicKey: ofB, presharedKey }] });
    await waitForEcho(innerRoute(pair, 4), ECHO_MS);
    expect((await a.settings()).peers[0]?.latestHandshakeMs).toBeGreaterThan(before);
  });

  it.concurrent('a peer that goes is heard no more, and one that comes in its place is another', async () => {
    await using ends = await openEnds();
    const { pair, a } = ends;
    await greet(ends);
    const publicKey = keyOf(pair.b.publicKey);
    const [peer] = configOf(pair.a).config.peers.map(asChange);
    await a.configure({ peers: [{ publicKey, remove: true }] });
    const { total } = await a.snapshot();
    await expect(waitForEcho(reverseRoute(pair, 4), 1_000)).rejects.toThrow(/no echo/);
    const after = (await a.snapshot()).total;
    expect(after.counts.UDP_TX).toBe(total.counts.UDP_TX);
    await a.configure({ peers: [peer ?? { publicKey }] });
    expect((await a.status()).peers[0]).toMatchObject({ rxBytes: 0, txBytes: 0, latestHandshakeMs: 0 });
    await waitForEcho(innerRoute(pair, 4), ECHO_MS);
  });

  it.concurrent('switched on, a persistent keepalive is sent at once', async () => {
    await using ends = await openEnds({ announces: false }, {}, { announces: false });
    const { pair, a, b } = ends;
    await greet(ends);
    const received = async (): Promise<number> => (await b.settings()).peers[0]?.rxBytes ?? 0;
    await delay(300);
    const before = await received();
    await a.configure({ peers: [{ publicKey: keyOf(pair.b.publicKey), persistentKeepaliveSeconds: 600 }] });
    await until('b gets a keepalive', async () => (await received()) === before + 32, 3_000);
  });

  it.concurrent('goes silent with its interface, forgets its sessions, and starts again with it', async () => {
    await using ends = await openEnds({}, { persistentKeepaliveSeconds: 1 });
    const { pair, a } = ends;
    await greet(ends);
    const { namespace, device } = pair.a;
    namespace.ip(`link set ${device} down`);
    await until('a is down', async () => !(await a.status()).up);
    expect((await a.status()).peers[0]?.cipher).toBeNull();
    await delay(100);
    const before = await a.snapshot();
    await delay(1_500);
    expect((await a.snapshot()).total.counts.UDP_TX).toBe(before.total.counts.UDP_TX);
    expect(portsIn(namespace)).toEqual([pair.a.listenPort]);
    namespace.ip(`link set ${device} up`);
    // The persistent keepalive, without any packet.
    await until('a session', async () => (await a.status()).peers[0]?.cipher !== null);
    await waitForEcho(innerRoute(pair, 4), ECHO_MS);
  });

  it.concurrent('has sockets only while its interface is up, where it is told so', async () => {
    await using ends = await openEnds({ socketsFollowLink: true });
    const { pair, a } = ends;
    const { namespace, device, listenPort } = pair.a;
    expect(portsIn(namespace)).toEqual([]);
    expect((await a.settings()).listenPort).toBe(listenPort);
    await greet(ends);
    expect(portsIn(namespace)).toEqual([listenPort]);
    namespace.ip(`link set ${device} down`);
    await until('no sockets', () => portsIn(namespace).length === 0);
    // Another program has the port when it comes up; its own comes back when that has gone.
    await a.configure({ listenPort: 52_002 });
    const thief = await RemoteDevice.open(namespace, {
      name: `${device}t`,
      config: { privateKey: null, listenPort: 52_002, fwmark: 0, peers: [] },
    });
    namespace.ip(`link set ${device} up`);
    await until('it is told', () => a.log.includes('its sockets cannot be opened'));
    await expect(a.configure({ fwmark: 1 })).rejects.toMatchObject({ code: 'BUSY' });
    expect(await a.settings()).toMatchObject({ listenPort: 52_002, fwmark: 0 });
    await thief.close();
    namespace.ip(`link set ${device} down`);
    await until('a is down', async () => !(await a.status()).up);
    namespace.ip(`link set ${device} up`);
    await waitForEcho(innerRoute(pair, 4), ECHO_MS);
    expect(portsIn(namespace)).toEqual([52_002]);
  });

  it.concurrent('goes on when its TUN is moved to another namespace, and follows it there', async () => {
    await using ends = await openEnds();
    const { lab, pair, a } = ends;
    configureDevice(pair.b);
    const { device } = pair.a;
    const inside = lab.addNamespace('inside');
    pair.a.namespace.ip(`link set ${device} netns ${inside.name}`);
    configureDevice({ ...pair.a, namespace: inside });
    const route = { from: inside, to: pair.b.namespace, address: pair.b.inner4 };
    await waitForEcho(route, ECHO_MS);
    expect(portsIn(inside)).toEqual([]);
    expect(portsIn(pair.a.namespace)).toEqual([pair.a.listenPort]);
    inside.ip(`link set ${device} mtu 1300`);
    await until('the MTU is followed', async () => (await a.status()).mtu === 1_300);
    inside.ip(`link set ${device} down`);
    await until('a is down', async () => !(await a.status()).up);
    await a.configure({ listenPort: 52_003 });
    expect(portsIn(pair.a.namespace)).toEqual([52_003]);
    inside.ip(`link set ${device} up`);
    await waitForEcho(route, ECHO_MS);
  });

  it.concurrent.for([
    { opensTun: { multiQueue: false }, lanes: 2, has: 1 },
    { opensTun: { multiQueue: true }, lanes: 2, has: 2 },
  ])('adopts a TUN that was opened before: $opensTun, $lanes lanes', async ({ has, ...options }) => {
    await using ends = await openEnds(options);
    const { pair, a } = ends;
    await greet(ends);
    expect(await a.status()).toMatchObject({ interface: pair.a.device, lanes: has });
    await a.close();
    expect(pair.a.namespace.hasDevice(pair.a.device)).toBe(false);
  });
});

function asChange({ allowedIps, endpoint, ...peer }: RemoteOpen['config']['peers'][number]) {
  const prefixes = allowedIps.map((prefix) => ({ prefix, remove: false }));
  return { ...peer, allowedIps: prefixes, ...(endpoint === null ? {} : { endpoint }) };
}
