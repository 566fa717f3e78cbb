/** Misuse of every export is a typed error, never a crash: by name, and by fuzzing in a process of its own. */
import { spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as native from '../../src/native/addon.ts';
import { BOOKS, CIPHER, SEAL, TUN_OFFLOAD, UNSEAL } from '../../src/native/layout.ts';
import type { LaneHandle, LaneOptions } from '../../src/native/types.ts';
import { ARENA_LENGTH, openTestLane, type TestLane } from './support.ts';

const CHILD = fileURLToPath(new URL('misuse-child.mjs', import.meta.url));
const SEED = Number(process.env.GIGATUN_FUZZ_SEED ?? Date.now() % 2 ** 31);
const RUNS = 1000;

let lane: TestLane;
beforeAll(() => {
  lane = openTestLane();
  native.setKey(lane.handle, 0, new Uint8Array(32), CIPHER.CHACHA20_POLY1305);
});
afterAll(() => native.closeLane(lane.handle));

/** As root in a network namespace of its own, so that interfaces and ports it makes are nobody else's. */
function fuzz(): ReturnType<typeof spawnSync> & { stdout: string; stderr: string } {
  const args = [process.execPath, CHILD, String(SEED), String(RUNS)];
  const root = process.getuid?.() === 0;
  const [command = '', ...rest] = root ? ['unshare', '-n', ...args] : args;
  return spawnSync(command, rest, { encoding: 'utf8', timeout: 120_000 });
}

test(`arbitrary calls succeed or throw typed errors (seed ${SEED})`, { timeout: 130_000 }, () => {
  const { status, signal, stdout, stderr } = fuzz();
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  const outcomes = JSON.parse(stdout) as Record<string, number>;
  for (const name of ['success', 'TypeError', 'RangeError', 'system']) expect(outcomes[name]).toBeGreaterThan(100);
});

describe('handles', () => {
  test('a closed handle is a TypeError for every verb, and closing twice is fine', () => {
    const { handle, wakeFd } = openTestLane();
    native.closeLane(handle);
    native.closeLane(handle);
    expect(() => native.wait(handle, 0, 0, 0)).toThrow(TypeError);
    expect(() => native.readTun(handle, 0, 0, 0, 0, 0, 0)).toThrow(TypeError);
    expect(() => native.seal(handle, 0, 0, 0)).toThrow(TypeError);
    expect(() => native.setKey(handle, 0, null)).toThrow(TypeError);
    expect(() => native.book(handle, 0)).toThrow(TypeError);
    expect(() => native.wake(wakeFd)).toThrow(RangeError);
  });

  test.each([undefined, null, {}, 1, 'x', new Uint8Array(32)])('%s is no handle', (value) => {
    expect(() => native.book(value as unknown as LaneHandle, 0)).toThrow(TypeError);
  });

  test('a detached arena holds no descriptor, and detached books stop the lane', () => {
    const arena = new Uint8Array(65536);
    const books = new Float64Array(BOOKS.CELLS);
    const none = { tunFd: -1, udp4Fd: -1, udp6Fd: -1 };
    const { handle } = native.openLane({ arena, books, ...none, aead: 'openssl', bookTime: true });
    structuredClone(arena, { transfer: [arena.buffer] });
    expect(() => native.unseal(handle, 0, 1, 0)).toThrow(RangeError);
    expect(native.unseal(handle, 0, 0, 0)).toBe(0);
    structuredClone(books, { transfer: [books.buffer] });
    expect(() => native.unseal(handle, 0, 0, 0)).toThrow(RangeError);
    native.closeLane(handle);
  });
});

describe('openLane', () => {
  const options = (): LaneOptions => ({
    arena: new Uint8Array(4096),
    books: new Float64Array(BOOKS.CELLS),
    tunFd: -1,
    udp4Fd: -1,
    udp6Fd: -1,
    aead: 'auto',
    bookTime: true,
  });

  test.each([
    ['arena of words', { arena: new Int32Array(10) }, TypeError],
    ['no books', { books: null }, TypeError],
    ['short books', { books: new Float64Array(BOOKS.CELLS - 1) }, RangeError],
    ['an unknown AEAD', { aead: 'rot13' }, RangeError],
    ['standard input for a TUN', { tunFd: 0 }, RangeError],
    ['a pipe for a socket', { udp4Fd: 1 }, RangeError],
    ['a fractional descriptor', { udp6Fd: 1.5 }, RangeError],
    ['a number for a flag', { bookTime: 1 }, TypeError],
  ])('refuses %s', (_, wrong, kind) => {
    expect(() => native.openLane({ ...options(), ...wrong } as unknown as LaneOptions)).toThrow(kind);
  });

  test('an IPv6 socket is no IPv4 socket', () => {
    const { fd } = native.openUdp({
      family: 6,
      port: 0,
      reusePort: false,
      joinPort: false,
      fwmark: 0,
      gro: true,
      bufferLength: 65536,
    });
    expect(() => native.openLane({ ...options(), udp4Fd: fd })).toThrow(RangeError);
    closeSync(fd);
  });
});

describe('descriptors of batches', () => {
  const inArena = ARENA_LENGTH - 64;

  test.each([
    ['beyond the arena', ARENA_LENGTH, 1],
    ['half beyond it', ARENA_LENGTH - 4, 1],
    ['too many', 0, 1025],
    ['at an odd place', 2, 1],
    ['at a negative place', -4, 1],
    ['of a fractional number', 0, 1.5],
  ])('%s are a RangeError', (_, offset, count) => {
    for (const verb of [native.seal, native.unseal, native.sendUdp, native.writeTun]) {
      expect(() => verb(lane.handle, offset, count, 0)).toThrow(RangeError);
    }
  });

  test('one bad message refuses the batch before any is touched', () => {
    const good = [0, 0, 0, 65_536, 40, 0, 0, 48, 131_072, -1, 0, 0];
    const bad = good.with(SEAL.OUT_OFFSET, inArena + 1);
    lane.words.set([...good, ...bad], 0);
    lane.arena.fill(0x55, 131_072, 131_136);
    expect(() => native.seal(lane.handle, 0, 2, 0)).toThrow(RangeError);
    expect(lane.arena.subarray(131_072, 131_136).every((byte) => byte === 0x55)).toBe(true);
    lane.words.set([...good, ...good.with(SEAL.OUT_OFFSET, inArena)], 0);
    native.seal(lane.handle, 0, 2, 0);
    lane.words.set([0, 0, 0, inArena, 64, 7, 7, 0, 0, 0, 0, inArena, 65, 7, 7, 0], 0);
    expect(() => native.unseal(lane.handle, 0, 2, 0)).toThrow(RangeError);
    expect(lane.words[UNSEAL.RESULT]).toBe(7);
    expect(native.unseal(lane.handle, 0, 1, 0)).toBe(1);
  });
});

describe('descriptors of files', () => {
  test('wake touches nothing but an eventfd', () => {
    for (const fd of [0, 1, 2]) expect(() => native.wake(fd)).toThrow(RangeError);
    expect(() => native.wake('1' as unknown as number)).toThrow(TypeError);
  });

  test('openTun refuses names that are too long rather than cutting them', () => {
    const options = { name: 'x'.repeat(16), multiQueue: false, offloads: TUN_OFFLOAD.CSUM };
    expect(() => native.openTun(options)).toThrow(RangeError);
    expect(() => native.openTun({ ...options, name: 'a\0b' })).toThrow(RangeError);
  });
});
