/** The outer sockets against the kernel, on loopback. */
import { createSocket } from 'node:dgram';
import { afterEach, expect, test } from 'vitest';
import { ACTIVITY } from '../../src/ledger/catalog.ts';
import * as native from '../../src/native/addon.ts';
import { closeLaneSockets, openSockets, type Sockets } from '../../src/sockets.ts';
import { openTestLane } from '../native/support.ts';

const EADDRINUSE = 98;
const SENDERS = 64;

let opened: Sockets[] = [];

function open(lanes: number, port = 0): Sockets {
  const sockets = openSockets(lanes, port, 0);
  opened.push(sockets);
  return sockets;
}

afterEach(() => {
  for (const { lanes } of opened) for (const lane of lanes) closeLaneSockets(lane);
  opened = [];
});

test('all lanes have one port, over both families', () => {
  const { port, lanes } = open(3);
  expect(port).toBeGreaterThan(0);
  for (const { ipv4, ipv6 } of lanes) expect([ipv4?.port, ipv6?.port]).toEqual([port, port]);
});

test.each([
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
])('a port on which a device of %i lanes listens is BUSY to one of %i', (first, second) => {
  const { port } = open(first);
  expect(() => open(second, port)).toThrow(expect.objectContaining({ code: 'BUSY', errno: EADDRINUSE }));
});

test('a port that is taken over IPv6 alone is BUSY, and its IPv4 socket is not left open', () => {
  const taken = native.openUdp({
    family: 6,
    port: 0,
    reusePort: true,
    joinPort: false,
    fwmark: 0,
    gro: true,
    bufferLength: 1 << 16,
  });
  expect(() => open(2, taken.port)).toThrow(expect.objectContaining({ code: 'BUSY' }));
  closeLaneSockets({ ipv4: null, ipv6: taken });
  expect(open(1, taken.port).port).toBe(taken.port);
});

test('datagrams from many senders are shared out among all lanes, the first included', async () => {
  const { port, lanes } = open(3);
  for (let sender = 0; sender < SENDERS; sender += 1) await sendOne(port);
  const counts = lanes.map(({ ipv4 }) => receiveAll(ipv4?.fd ?? -1));
  expect(counts.reduce((sum, count) => sum + count)).toBe(SENDERS);
  for (const count of counts) expect(count).toBeGreaterThan(0);
});

/** Sends one datagram from a port of its own. */
async function sendOne(port: number): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise((resolve) => socket.send('hello', port, '127.0.0.1', resolve));
  socket.close();
}

function receiveAll(udp4Fd: number): number {
  const lane = openTestLane({ udp4Fd });
  const bufferAt = 1 << 16;
  const length = lane.arena.length - bufferAt;
  const count = native.receiveUdp(lane.handle, 4, 0, SENDERS, bufferAt, length, ACTIVITY.USER_CONTROL);
  native.closeLane(lane.handle);
  return count;
}
