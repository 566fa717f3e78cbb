/** The outer sockets on machines that lack a family, or where a port is taken in one of them: the kernel is played. */
import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DeviceSockets } from '../../src/device-sockets.ts';
import { GigatunError } from '../../src/errors.ts';
import type { UdpOpened } from '../../src/native/types.ts';
import { closeLaneSockets, openSockets } from '../../src/sockets.ts';
import { fileBehind } from './support/played-lane.ts';

const EAFNOSUPPORT = 97;
const EADDRINUSE = 98;

interface Asked {
  readonly family: 4 | 6;
  readonly port: number;
  readonly fwmark?: number;
  readonly standIn?: boolean;
  readonly fd?: number;
  readonly replaces?: number;
}

/** What the kernel says to each socket, an errno or 0, and what it was asked for. */
const kernel = vi.hoisted(() => ({
  answer: (_asked: Asked): number => 0,
  asked: [] as Asked[],
  fds: [] as number[],
  kinds: new Map<number, 'socket' | 'stand-in'>(),
}));

vi.mock('../../src/native/addon.ts', () => ({
  openUdp(options: Asked): UdpOpened {
    const { family, port, standIn = false, fd: adopted = -1, replaces = -1 } = options;
    const isNew = adopted < 0 && !standIn;
    if (isNew) kernel.asked.push({ family, port });
    // As native code has it: no mark and no GRO for what is no UDP socket.
    if (adopted >= 0 && replaces < 0 && kernel.kinds.get(adopted) !== 'socket') throw new RangeError('no UDP socket');
    const errno = isNew ? kernel.answer({ family, port }) : 0;
    if (errno !== 0) throw new GigatunError('SYSTEM', 'no such socket', { errno, syscall: 'bind' });
    const opened = adopted >= 0 ? adopted : openSync('/dev/null', 'r');
    if (adopted < 0) kernel.fds.push(opened);
    if (replaces >= 0 && opened !== replaces) closeSync(opened);
    const fd = replaces >= 0 ? replaces : opened;
    kernel.kinds.set(fd, standIn ? 'stand-in' : 'socket');
    const chosen = port === 0 ? 40_000 + kernel.asked.length : port;
    return { fd, port: chosen, gso: true, gro: true, gsoDatagramsMax: 64, receiveBufferLength: 0, sendBufferLength: 0 };
  },
}));

beforeEach(() => {
  kernel.asked = [];
  kernel.fds = [];
});

afterEach(() => {
  for (const fd of kernel.fds) if (fileBehind(fd) === '/dev/null') closeSync(fd);
});

test.each([
  [6, 'ipv4'],
  [4, 'ipv6'],
] as const)('a kernel without IPv%i gives a device the other family alone', (lacking, left) => {
  kernel.answer = ({ family }) => (family === lacking ? EAFNOSUPPORT : 0);
  const { port, lanes } = openSockets(1, 51_820, 0);
  expect(port).toBe(51_820);
  expect(lanes.map(({ ipv4, ipv6 }) => [ipv4 !== null, ipv6 !== null])).toEqual([[left === 'ipv4', left === 'ipv6']]);
  lanes.forEach(closeLaneSockets);
});

test('a kernel without either is UNSUPPORTED', () => {
  kernel.answer = () => EAFNOSUPPORT;
  expect(() => openSockets(1, 0, 0)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
});

test('a port that the kernel chose for IPv4 and that somebody has in IPv6 is given back, and another one tried', () => {
  let refusals = 2;
  kernel.answer = ({ family }) => (family === 6 && refusals-- > 0 ? EADDRINUSE : 0);
  const { port, lanes } = openSockets(1, 0, 0);
  expect(kernel.asked.map(({ family }) => family)).toEqual([4, 6, 4, 6, 4, 6]);
  expect(kernel.asked.filter(({ family }) => family === 4).every((asked) => asked.port === 0)).toBe(true);
  expect(lanes[0]?.ipv4?.port).toBe(port);
  expect(lanes[0]?.ipv6?.port).toBe(port);
  // Four were opened; the numbers of those that were closed came back.
  expect(kernel.fds).toHaveLength(4);
  expect(new Set(kernel.fds).size).toBe(2);
  lanes.forEach(closeLaneSockets);
});

test('a port that was asked for is tried once', () => {
  kernel.answer = ({ family }) => (family === 6 ? EADDRINUSE : 0);
  expect(() => openSockets(1, 51_820, 0)).toThrow(expect.objectContaining({ errno: EADDRINUSE }));
  expect(kernel.asked).toHaveLength(2);
});

test.each([4, 6] as const)(
  'a family that the kernel takes away (IPv%i) is left on no port, and comes back',
  (lacking) => {
    kernel.answer = () => 0;
    const options = { lanes: 2, port: 51_820, fwmark: 0, gro: true, areOpen: true, wake: () => {} };
    const sockets = new DeviceSockets(options);
    const numbers = [0, 1].map((lane) => sockets.ofLane(lane));
    const kinds = (): unknown =>
      numbers.map(({ udp4Fd, udp6Fd }) => kernel.kinds.get(lacking === 4 ? udp4Fd : udp6Fd) ?? null);
    kernel.answer = ({ family }) => (family === lacking ? EAFNOSUPPORT : 0);
    expect(sockets.change(51_821, undefined, true)).toBe(true);
    expect(sockets.port).toBe(51_821);
    expect(kinds()).toEqual(['stand-in', 'stand-in']);
    // Neither asks the stand-ins for what only a socket has.
    expect(sockets.change(undefined, 7, true)).toBe(true);
    sockets.setGro(0, lacking, false);
    expect([0, 1].map((lane) => sockets.ofLane(lane))).toEqual(numbers);
    kernel.answer = () => 0;
    expect(sockets.change(51_822, undefined, true)).toBe(true);
    expect(kinds()).toEqual(['socket', 'socket']);
    for (const lane of [0, 1]) sockets.close(lane);
  },
);
