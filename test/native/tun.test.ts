/**
 * TUN interfaces against the kernel. Each is moved into a network namespace of its own as soon as it is open, so that
 * nothing of this machine's network changes:
 *
 *     test process ── fd ── [gt0 192.0.2.1/30, in namespace] ── programs that send to 192.0.2.2
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ACTIVITY } from '../../src/ledger/catalog.ts';
import * as native from '../../src/native/addon.ts';
import { BOOKS, READY, TUN_OFFLOAD, TUN_READ, TUN_WRITE, VIRTIO_HEADER_LENGTH } from '../../src/native/layout.ts';
import type { TunOpened } from '../../src/native/types.ts';
import { openTestLane, run, type TestLane, titled, tunMissing } from './support.ts';

const BASE_OFFLOADS = TUN_OFFLOAD.CSUM | TUN_OFFLOAD.TSO4 | TUN_OFFLOAD.TSO6;
const BUFFER_AT = 1 << 20;
const NEXT = ACTIVITY.USER_CONTROL;
const EIO = 5;
const EINVAL = 22;
const NAMESPACE = `gigatun-test-${process.pid}`;
const NAME = 'gt-native';
const missing = tunMissing();

const inside = (...command: string[]): string => run('ip', 'netns', 'exec', NAMESPACE, ...command);

function openTun(offloads = BASE_OFFLOADS): TunOpened {
  const tun = native.openTun({ name: NAME, multiQueue: false, offloads });
  run('ip', 'link', 'set', tun.name, 'netns', NAMESPACE);
  return tun;
}

describe.skipIf(missing !== null)(titled('a TUN', missing), () => {
  let tun: TunOpened;
  let lane: TestLane;

  beforeEach(() => {
    run('ip', 'netns', 'add', NAMESPACE);
    tun = openTun();
    lane = openTestLane({ tunFd: tun.fd });
  });

  afterEach(() => {
    native.closeLane(lane.handle);
    closeSync(tun.fd);
    run('ip', 'netns', 'delete', NAMESPACE);
  });

  const bringUp = (): void => {
    inside('sh', '-c', `echo 1 > /proc/sys/net/ipv6/conf/${NAME}/disable_ipv6`);
    inside('ip', 'address', 'add', '192.0.2.1/30', 'dev', NAME);
    inside('ip', 'link', 'set', NAME, 'up');
  };

  const read = (packetsMax = 64, bytesMax = 1 << 20): number =>
    native.readTun(lane.handle, 0, packetsMax, BUFFER_AT, lane.arena.length - BUFFER_AT, bytesMax, NEXT);

  /** Where packet `index` of the last read lies: offset and length, virtio header included. */
  const place = (index: number): [number, number] => {
    const [offset = 0, length = 0] = lane.words.subarray(index * TUN_READ.WORDS);
    expect((offset + VIRTIO_HEADER_LENGTH) % 16).toBe(0);
    return [offset, length];
  };

  /** Writes one packet in pieces of the arena; gives its result. */
  const write = (...pieces: [number, number][]): number => {
    lane.words.set(pieces.flat(), 1024);
    lane.words.set([4096, pieces.length, 7, 1], 0);
    native.writeTun(lane.handle, 0, 1, NEXT);
    return lane.words[TUN_WRITE.RESULT] ?? 0;
  };

  test('has its name and offloads, and USO only where the kernel grants it', () => {
    expect(tun).toMatchObject({ name: NAME, offloads: BASE_OFFLOADS });
    const wanted = BASE_OFFLOADS | TUN_OFFLOAD.USO4 | TUN_OFFLOAD.USO6;
    const other = native.openTun({ name: 'gt-test%d', multiQueue: false, offloads: wanted });
    expect(other.name).toMatch(/^gt-test\d+$/);
    expect([BASE_OFFLOADS, wanted]).toContain(other.offloads);
    closeSync(other.fd);
  });

  test('tells index, MTU and state from whichever namespace it is in', () => {
    const down = native.linkInfo(tun.fd, '', -1);
    expect(down).toMatchObject({ mtu: 1500, up: false, txQueueLength: 500 });
    bringUp();
    inside('ip', 'link', 'set', NAME, 'mtu', '1420');
    const set = { index: down.index, mtu: 1420, up: true, txQueueLength: 20 };
    expect(native.linkInfo(tun.fd, '', 20)).toEqual(set);
    expect(native.linkInfo(tun.fd, '', -1)).toEqual(set);
    expect(() => native.linkInfo(-1, NAME, -1)).toThrow(expect.objectContaining({ code: 'ENODEV' }));
    expect(native.linkInfo(-1, 'lo', -1).index).toBe(1);
  });

  test('that is down reads as empty, and refuses writes with EIO', () => {
    expect(read()).toBe(0);
    const length = VIRTIO_HEADER_LENGTH + 20;
    lane.arena[65536 + VIRTIO_HEADER_LENGTH] = 0x45;
    expect(write([65536, length])).toBe(-EIO);
    bringUp();
    expect(write([65536, length])).toBe(length);
    expect(write([65536, VIRTIO_HEADER_LENGTH])).toBe(-EINVAL);
  });

  test('carries a datagram out, and its answer, written in three pieces, back', async () => {
    bringUp();
    const script = `const s = require('dgram').createSocket('udp4').on('message', (m) => process.exit(String(m) === 'ping' ? 0 : 2));
      s.send('ping', 7, '192.0.2.2'); setTimeout(() => process.exit(3), 8000);`;
    const args = ['netns', 'exec', NAMESPACE, process.execPath, '-e', script];
    const done = new Promise((resolve) => spawn('ip', args, { stdio: 'ignore' }).on('exit', resolve));
    expect(native.wait(lane.handle, 8000, READY.TUN, NEXT)).toBe(READY.TUN);
    expect(read()).toBe(1);
    const [offset, length] = place(0);
    const at = offset + VIRTIO_HEADER_LENGTH;
    const ip = lane.arena.subarray(at, offset + length);
    expect([ip[0], ip[9], ip.length]).toEqual([0x45, 17, 32]);
    expect([...ip.subarray(12, 20)]).toEqual([192, 0, 2, 1, 192, 0, 2, 2]);
    turnAround(ip);
    expect(write([offset, VIRTIO_HEADER_LENGTH], [at, 21], [at + 21, 11])).toBe(length);
    expect(await done).toBe(0);
    expect(lane.books[BOOKS.READ_TUN_IO]).toBe(1);
    expect(lane.books[BOOKS.WRITE_TUN_IO]).toBe(1);
  });

  test('gives several packets at once, within the limits asked for', () => {
    bringUp();
    const script = `const s = require('dgram').createSocket('udp4'); let n = 0;
      for (let i = 0; i < 10; i++) s.send(Buffer.alloc(100 + i), 9, '192.0.2.2', () => ++n === 10 && s.close());`;
    inside(process.execPath, '-e', script);
    expect(read(4)).toBe(4);
    expect(read(64, 100)).toBe(1);
    expect(read()).toBe(5);
    expect(read()).toBe(0);
    const [first, length] = place(0);
    const [second] = place(1);
    expect(length).toBe(VIRTIO_HEADER_LENGTH + 28 + 105);
    expect(second - (first + length)).toBeGreaterThanOrEqual(0);
    expect(second - (first + length)).toBeLessThan(16);
  });

  test('that is deleted wakes the lane with TUN_FAILED, and reading it throws EBADFD', () => {
    bringUp();
    inside('ip', 'link', 'delete', NAME);
    expect(native.wait(lane.handle, 5000, READY.TUN, NEXT) & READY.TUN_FAILED).toBe(READY.TUN_FAILED);
    expect(() => read()).toThrow(expect.objectContaining({ code: 'EBADFD', errno: 77, syscall: 'read' }));
  });

  test('can be adopted by its descriptor, which no other file can', () => {
    const adopted = native.openTun({ name: '', multiQueue: false, offloads: BASE_OFFLOADS, fd: tun.fd });
    expect(adopted).toEqual(tun);
  });

  test.each([
    ['an eventfd', () => lane.wakeFd, /another kind of file/],
    ['nothing', () => 1_000_000, /another kind of file, or none/],
    ['a TUN without an interface', () => openSync('/dev/net/tun', 'r+'), /without an interface/],
  ])('%s cannot be adopted, stays open, and the error says what to pass', (_, descriptor, why) => {
    const fd = descriptor();
    const adopt = (): unknown => native.openTun({ name: '', multiQueue: false, offloads: 0, fd });
    expect(adopt).toThrow(expect.objectContaining({ code: 'CONFIG', message: expect.stringMatching(why) }));
    expect(adopt).toThrow(/TUNSETIFF with IFF_TUN \| IFF_NO_PI \| IFF_VNET_HDR/);
    if (fd !== lane.wakeFd && fd < 1_000_000) closeSync(fd);
  });

  test('that changes is heard of by a lane that watches links, and by no other', () => {
    const watching = openTestLane({ watchLink: true });
    const here = native.openTun({ name: `gt-l${process.pid}`, multiQueue: false, offloads: 0 });
    for (const length of ['77', '78']) {
      run('ip', 'link', 'set', here.name, 'txqueuelen', length);
      expect(native.wait(watching.handle, 5_000, READY.LINK, NEXT)).toBe(READY.LINK);
    }
    expect(native.wait(lane.handle, 0, READY.LINK, NEXT)).toBe(0);
    expect(native.wait(watching.handle, 0, READY.TUN, NEXT)).toBe(0);
    native.closeLane(watching.handle);
    closeSync(here.fd);
  });
});

describe.skipIf(missing !== null)(titled('TUN names and queues', missing), () => {
  test('a name that is in use is BUSY, unless both ask for queues', () => {
    const options = { name: 'gt-queues', multiQueue: true, offloads: BASE_OFFLOADS };
    const first = native.openTun(options);
    const second = native.openTun(options);
    expect(second.name).toBe(first.name);
    closeSync(first.fd);
    closeSync(second.fd);
    const single = native.openTun({ ...options, multiQueue: false });
    expect(() => native.openTun({ ...options, multiQueue: false })).toThrow(expect.objectContaining({ code: 'BUSY' }));
    closeSync(single.fd);
  });

  test('lanes on queues live and die with their worker threads', async () => {
    const before = native.openTun({ name: 'gt-first', multiQueue: true, offloads: BASE_OFFLOADS });
    closeSync(before.fd);
    await Promise.all(Array.from({ length: 4 }, () => liveAndDie()));
    const after = native.openTun({ name: 'gt-second', multiQueue: true, offloads: BASE_OFFLOADS });
    closeSync(after.fd);
    expect(after.fd).toBe(before.fd);
  });
});

/** A worker opens lanes, uses them, and is ended without closing them: its eventfds must be gone afterwards. */
async function liveAndDie(): Promise<void> {
  const script = `
    const addon = require('node-gyp-build')(require('node:worker_threads').workerData);
    globalThis.lanes = Array.from({ length: 5 }, () => addon.openLane({ arena: new Uint8Array(new SharedArrayBuffer(65536)),
      books: new Float64Array(64), tunFd: -1, udp4Fd: -1, udp6Fd: -1, aead: 'openssl', bookTime: true }));
    for (const { handle } of lanes) { addon.setKey(handle, 1, new Uint8Array(32), 0); addon.wait(handle, 1, 0, 11); }
    addon.closeLane(lanes[0].handle);`;
  const root = new URL('../..', import.meta.url).pathname;
  const worker = new Worker(script, { eval: true, workerData: root });
  await new Promise<void>((resolve, reject) => worker.on('exit', () => resolve()).on('error', reject));
}

/** Swaps the ends of a UDP packet over IPv4; its checksums stay right. */
function turnAround(ip: Uint8Array): void {
  const [from, to] = [ip.slice(12, 16), ip.slice(16, 20)];
  const [fromPort, toPort] = [ip.slice(20, 22), ip.slice(22, 24)];
  ip.set([...to, ...from, ...toPort, ...fromPort], 12);
}
