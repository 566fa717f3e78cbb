/** UDP sockets over loopback: what is opened, and what a batch of groups becomes at the other end. */
import { closeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GigatunError } from '../../src/errors.ts';
import { ACTIVITY } from '../../src/ledger/catalog.ts';
import * as native from '../../src/native/addon.ts';
import { BOOKS, ENDPOINT, READY, UDP_RECEIVE, UDP_SEND } from '../../src/native/layout.ts';
import type { UdpOpened } from '../../src/native/types.ts';
import { type Endpoint, readEndpoint, writeEndpoint } from '../../src/packet/endpoint.ts';
import { openTestLane, type TestLane } from './support.ts';

const SEND_AT = 0;
const RECEIVE_AT = 8192;
const ENDPOINTS_AT = 16384;
const DATA_AT = 65536;
const BUFFER_AT = 1 << 20;
const NEXT = ACTIVITY.USER_CONTROL;
const ENODEV = 19;
const EINVAL = 22;
const EADDRINUSE = 98;
const ENETUNREACH = 101;
/** An interface index that no interface has. */
const NO_INTERFACE = 0x7fff_fff0;

const LOOPBACK = { 4: Uint8Array.of(127, 0, 0, 1), 6: Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? 1 : 0)) };
const plain = { port: 0, reusePort: false, joinPort: false, fwmark: 0, gro: true, bufferLength: 7 << 20 };

interface Group {
  readonly length: number;
  readonly segmentLength?: number;
  readonly trafficClass?: number;
  readonly to: Endpoint;
}

let lane: TestLane;
let sockets: Record<4 | 6, UdpOpened>;

beforeEach(() => {
  sockets = { 4: native.openUdp({ family: 4, ...plain }), 6: native.openUdp({ family: 6, ...plain }) };
  lane = openTestLane({ udp4Fd: sockets[4].fd, udp6Fd: sockets[6].fd });
  for (let i = DATA_AT; i < BUFFER_AT; i++) lane.arena[i] = (i * 31) ^ (i >> 8);
});

afterEach(() => {
  native.closeLane(lane.handle);
  closeSync(sockets[4].fd);
  closeSync(sockets[6].fd);
});

function loopback(family: 4 | 6, local: Partial<Endpoint> = {}): Endpoint {
  const to = { family, address: LOOPBACK[family], port: sockets[family].port, scope: 0 };
  return { ...to, localAddress: null, localInterface: 0, ...local };
}

/** Sends groups that all start at DATA_AT; gives each group's result. */
function send(groups: readonly Group[]): number[] {
  for (const [i, group] of groups.entries()) {
    const endpointAt = ENDPOINTS_AT + i * ENDPOINT.WORDS * 4;
    writeEndpoint(lane.arena, endpointAt, group.to);
    const { length, segmentLength = 0, trafficClass = -1 } = group;
    lane.words.set(
      [DATA_AT, length, segmentLength, trafficClass, endpointAt, 77, 1, 0],
      SEND_AT / 4 + i * UDP_SEND.WORDS,
    );
  }
  const sent = native.sendUdp(lane.handle, SEND_AT, groups.length, NEXT);
  const results = groups.map((_, i) => lane.words[SEND_AT / 4 + i * UDP_SEND.WORDS + UDP_SEND.RESULT] ?? 0);
  expect(sent).toBe(results.filter((result) => result >= 0).length);
  return results;
}

interface Received {
  readonly bytes: Uint8Array;
  readonly segmentLength: number;
  readonly trafficClass: number;
  readonly from: Endpoint | null;
}

function receive(family: 4 | 6): Received[] {
  const count = native.receiveUdp(lane.handle, family, RECEIVE_AT, 64, BUFFER_AT, lane.arena.length - BUFFER_AT, NEXT);
  return Array.from({ length: count }, (_, i) => {
    const at = RECEIVE_AT / 4 + i * UDP_RECEIVE.WORDS;
    const [offset = 0, length = 0, segmentLength = 0, trafficClass = 0] = lane.words.subarray(at);
    expect(offset % 64).toBe(0);
    const from = readEndpoint(lane.arena, (at + UDP_RECEIVE.ENDPOINT) * 4);
    return { bytes: lane.arena.slice(offset, offset + length), segmentLength, trafficClass, from };
  });
}

describe('openUdp', () => {
  test('grants offloads and forced buffers, and tells its port', () => {
    for (const socket of Object.values(sockets)) {
      expect(socket.port).toBeGreaterThan(0);
      expect(socket.gso).toBe(true);
      expect(socket.gro).toBe(true);
      expect([64, 128]).toContain(socket.gsoDatagramsMax);
      expect(socket.receiveBufferLength).toBeGreaterThan(100_000);
      expect(socket.sendBufferLength).toBeGreaterThan(100_000);
    }
    if (process.getuid?.() === 0) expect(sockets[4].receiveBufferLength).toBe(2 * (7 << 20));
  });

  test('refuses a port that is taken as BUSY', () => {
    let caught: unknown;
    try {
      native.openUdp({ family: 4, ...plain, port: sockets[4].port });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(GigatunError);
    expect(caught).toMatchObject({ code: 'BUSY', errno: EADDRINUSE, syscall: 'bind' });
  });

  test('lets sockets share a port that was opened to be shared, and both families have the same one', () => {
    const first = native.openUdp({ family: 4, ...plain, reusePort: true });
    const joining = { ...plain, reusePort: true, joinPort: true, port: first.port };
    const second = native.openUdp({ family: 4, ...joining });
    const sixth = native.openUdp({ family: 6, ...joining });
    expect([second.port, sixth.port]).toEqual([first.port, first.port]);
    for (const { fd } of [first, second, sixth]) closeSync(fd);
  });

  test('refuses a port that others share as BUSY, to all who do not join', () => {
    const first = native.openUdp({ family: 4, ...plain, reusePort: true });
    for (const reusePort of [false, true]) {
      const open = (): UdpOpened => native.openUdp({ family: 4, ...plain, reusePort, port: first.port });
      expect(open).toThrow(expect.objectContaining({ code: 'BUSY', errno: EADDRINUSE }));
    }
    closeSync(first.fd);
  });

  test.each([4, 6] as const)('sets GRO as it is told, also of a socket that is open, IPv%i', (family) => {
    const { fd, port } = sockets[family];
    const to = loopback(family);
    const off = native.openUdp({ family, ...plain, gro: false, fd });
    expect(off).toMatchObject({ fd, port, gro: false, gso: true });
    expect(send([{ length: 30, segmentLength: 10, to }])).toEqual([30]);
    expect(receive(family).map(({ bytes, segmentLength }) => [bytes.length, segmentLength])).toEqual([
      [10, 0],
      [10, 0],
      [10, 0],
    ]);
    expect(native.openUdp({ family, ...plain, fd }).gro).toBe(true);
    expect(send([{ length: 30, segmentLength: 10, to }])).toEqual([30]);
    expect(receive(family).map(({ bytes, segmentLength }) => [bytes.length, segmentLength])).toEqual([[30, 10]]);
  });

  test('adopts no descriptor but a UDP socket of the family', () => {
    for (const fd of [0, sockets[6].fd]) expect(() => native.openUdp({ family: 4, ...plain, fd })).toThrow(RangeError);
  });

  test.each([4, 6] as const)('the kernel takes exactly gsoDatagramsMax datagrams in one group, IPv%i', (family) => {
    const most = sockets[family].gsoDatagramsMax;
    const to = loopback(family);
    expect(send([{ length: most * 10, segmentLength: 10, to }])).toEqual([most * 10]);
    expect(send([{ length: most * 10 + 1, segmentLength: 10, to }])).toEqual([-EINVAL]);
    expect(receive(family).reduce((sum, { bytes }) => sum + bytes.length, 0)).toBe(most * 10);
  });
});

describe.each([4, 6] as const)('over IPv%i', (family) => {
  test('a group arrives whole, with the length of its datagrams', () => {
    expect(send([{ length: 12_345, segmentLength: 1440, to: loopback(family) }])).toEqual([12_345]);
    expect(native.wait(lane.handle, 1000, READY.UDP4 | READY.UDP6, NEXT)).toBe(family === 4 ? READY.UDP4 : READY.UDP6);
    const [received, ...more] = receive(family);
    expect(more).toEqual([]);
    expect(received?.segmentLength).toBe(1440);
    expect(received?.bytes).toEqual(lane.arena.slice(DATA_AT, DATA_AT + 12_345));
    expect(lane.books[BOOKS.SEND_UDP_IO]).toBe(1);
    expect(lane.books[BOOKS.RECV_UDP_IO]).toBe(1);
  });

  test('a datagram says where it came from and which local address and interface it came to', () => {
    send([{ length: 100, to: loopback(family) }]);
    const [received] = receive(family);
    expect(received?.segmentLength).toBe(0);
    expect(received?.from).toEqual(loopback(family, { localAddress: LOOPBACK[family], localInterface: 1 }));
  });

  test('the traffic class goes out and comes in', () => {
    const to = loopback(family);
    send([0, 1, 0x88, 255, -1].map((trafficClass) => ({ length: 100 + (trafficClass & 7), trafficClass, to })));
    expect(receive(family).map(({ trafficClass }) => trafficClass)).toEqual([0, 1, 0x88, 255, 0]);
  });

  test('the answer can be sent from the address that the question came to', () => {
    send([{ length: 10, to: loopback(family) }]);
    const [received] = receive(family);
    if (!received?.from) throw new Error('nothing came');
    expect(send([{ length: 20, to: received.from }])).toEqual([20]);
    expect(receive(family)[0]?.from?.address).toEqual(LOOPBACK[family]);
  });
});

describe('sendUdp', () => {
  test('sends from the local address asked for', () => {
    const localAddress = Uint8Array.of(127, 0, 0, 9);
    expect(send([{ length: 10, to: loopback(4, { localAddress }) }])).toEqual([10]);
    expect(receive(4)[0]?.from?.address).toEqual(localAddress);
  });

  test.each([4, 6] as const)(
    'an IPv%i local address does not tie a datagram to the interface it was seen on',
    (family) => {
      const localAddress = family === 4 ? Uint8Array.of(127, 0, 0, 9) : LOOPBACK[6];
      expect(send([{ length: 10, to: loopback(family, { localAddress, localInterface: NO_INTERFACE }) }])).toEqual([
        10,
      ]);
      expect(receive(family)[0]?.from?.address).toEqual(localAddress);
    },
  );

  test('a link-local one does, for it means nothing without its interface', () => {
    const localAddress = Uint8Array.of(0xfe, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    const kept = send([{ length: 10, to: loopback(6, { localAddress, localInterface: NO_INTERFACE }) }]);
    expect(kept).toEqual([-ENODEV]);
  });

  test.each([4, 6] as const)('an IPv%i datagram leaves through the interface that a negative one names', (family) => {
    const through = (localInterface: number, localAddress: Uint8Array | null = null): Group => ({
      length: 10,
      to: loopback(family, { localInterface, localAddress }),
    });
    const own = LOOPBACK[family];
    const groups = [through(-1), through(-1, own), through(-NO_INTERFACE), through(-NO_INTERFACE, own), through(1)];
    expect(send(groups)).toEqual([10, 10, -ENODEV, -ENODEV, 10]);
    expect(receive(family).length).toBe(3);
  });

  test('a local address that this machine does not have is that one group its failure', () => {
    const stale = loopback(4, { localAddress: Uint8Array.of(192, 0, 2, 1) });
    const results = send([
      { length: 10, to: loopback(4) },
      { length: 11, to: stale },
      { length: 12, to: loopback(6) },
    ]);
    expect(results).toEqual([10, expect.any(Number), 12]);
    expect([-EINVAL, -ENETUNREACH]).toContain(results[1]);
    expect(receive(4).length + receive(6).length).toBe(2);
  });

  test('keeps the order of groups to one family', () => {
    const lengths = Array.from({ length: 200 }, (_, i) => i + 1);
    expect(send(lengths.map((length) => ({ length, to: loopback(4) })))).toEqual(lengths);
    const received = [receive(4), receive(4), receive(4), receive(4)].flat();
    expect(received.map(({ bytes }) => bytes.length)).toEqual(lengths);
  });

  test('an unreachable endpoint does not stop the receive that learns of it', () => {
    const closed = native.openUdp({ family: 4, ...plain });
    closeSync(closed.fd);
    send([
      { length: 10, to: { ...loopback(4), port: closed.port } },
      { length: 11, to: loopback(4) },
    ]);
    expect(receive(4).map(({ bytes }) => bytes.length)).toEqual([11]);
  });
});

test('receiveUdp of a family that the lane does not have is a system error', () => {
  const other = openTestLane();
  expect(() => native.receiveUdp(other.handle, 6, 0, 1, 4096, 70_000, NEXT)).toThrow(
    expect.objectContaining({ code: 'EBADF', syscall: 'recvmmsg' }),
  );
  native.closeLane(other.handle);
});

describe('a socket that takes the number of another', () => {
  const standIn = { family: 4, ...plain, standIn: true } as const;

  test('is there under that number, and the other is gone, also for a lane that waits', () => {
    const before = sockets[4];
    const next = native.openUdp({ family: 4, ...plain });
    const placed = native.openUdp({ family: 4, ...plain, fd: next.fd, replaces: before.fd });
    expect(placed).toMatchObject({ fd: before.fd, port: next.port });
    expect(() => closeSync(next.fd)).toThrow(/EBADF/);
    closeSync(native.openUdp({ family: 4, ...plain, port: before.port }).fd);
    const to = { ...loopback(4), port: next.port };
    expect(send([{ length: 100, to }])).toEqual([100]);
    expect(receive(4).map(({ from }) => from?.port)).toEqual([next.port]);
  });

  test('may be a stand-in, which sends nothing and gets nothing, and a socket again', () => {
    const { fd, port } = sockets[4];
    expect(native.openUdp({ ...standIn, replaces: fd })).toMatchObject({ fd, port: 0 });
    expect(send([{ length: 100, to: loopback(4) }])).toEqual([-EINVAL]);
    expect(native.wait(lane.handle, 0, READY.UDP4, NEXT)).toBe(0);
    expect(receive(4)).toEqual([]);
    const again = native.openUdp({ family: 4, ...plain, port, replaces: fd });
    expect(again).toMatchObject({ fd, port });
    expect(send([{ length: 100, to: loopback(4) }])).toEqual([100]);
  });

  test('a lane can start on a stand-in', () => {
    const { fd } = native.openUdp(standIn);
    const other = openTestLane({ udp4Fd: fd, udp6Fd: fd });
    expect(native.wait(other.handle, 0, READY.UDP4 | READY.UDP6, NEXT)).toBe(0);
    native.closeLane(other.handle);
    closeSync(fd);
  });

  test.each([
    ['standard input', () => 0],
    ['an eventfd', () => lane.wakeFd],
    ['nothing', () => 1_000_000],
  ])('replaces no other file: %s', (_, replaces) => {
    expect(() => native.openUdp({ ...standIn, replaces: replaces() })).toThrow(RangeError);
    expect(() => native.openUdp({ family: 4, ...plain, replaces: replaces() })).toThrow(RangeError);
  });

  test('leaves the other as it is when it cannot be opened', () => {
    const busy = { family: 4, ...plain, port: sockets[4].port, replaces: sockets[4].fd } as const;
    expect(() => native.openUdp(busy)).toThrow(expect.objectContaining({ code: 'BUSY' }));
    expect(send([{ length: 100, to: loopback(4) }])).toEqual([100]);
  });
});
