/** The verbs for floods of handshake messages, against @noble's BLAKE2s and XChaCha20-Poly1305. */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2s } from '@noble/hashes/blake2.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as native from '../../src/native/addon.ts';
import { BOOKS, ENDPOINT, HANDSHAKE, HANDSHAKE_KEYS, MACS } from '../../src/native/layout.ts';
import { writeEndpoint } from '../../src/packet/endpoint.ts';
import { seededRandom } from '../protocol/support.ts';
import { openTestLane, type TestLane } from './support.ts';

const SEED = Number(process.env.GIGATUN_FUZZ_SEED ?? Date.now() % 2 ** 31);
const [KEYS, ENDPOINTS, MESSAGES, REPLIES] = [65_536, 131_072, 262_144, 524_288];
const STRIDE = 151;
const INITIATION = 148;
const RESPONSE = 92;

const random = seededRandom(SEED);
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => Math.floor(random() * 256));

let lane: TestLane;
beforeAll(() => {
  lane = openTestLane();
});
afterAll(() => native.closeLane(lane.handle));

interface Keys {
  readonly mac1: Uint8Array;
  readonly sealing: Uint8Array;
  readonly secret: Uint8Array;
  readonly nonce: Uint8Array;
}

function setKeys(): Keys {
  const keys = { mac1: bytes(32), sealing: bytes(32), secret: bytes(32), nonce: bytes(24) };
  lane.arena.set(keys.mac1, KEYS + 4 * HANDSHAKE_KEYS.MAC1);
  lane.arena.set(keys.sealing, KEYS + 4 * HANDSHAKE_KEYS.SEALING);
  lane.arena.set(keys.secret, KEYS + 4 * HANDSHAKE_KEYS.SECRET);
  lane.arena.set(keys.nonce, KEYS + 4 * HANDSHAKE_KEYS.NONCE);
  return keys;
}

const mac = (key: Uint8Array, input: Uint8Array): Uint8Array => blake2s(input, { key, dkLen: 16 });

/** Family, port and address, as they lie in an ENDPOINT record: what a cookie is made of. */
function sourceOf(number: number): Uint8Array {
  const at = ENDPOINTS + number * ENDPOINT.WORDS * 4;
  return lane.arena.slice(at, at + ENDPOINT.SCOPE * 4);
}

type Fault = 'none' | 'mac1' | 'mac2' | 'no mac2';

/** Puts message `number` and its source in place, with MACs that are right but for one bit of the one named. */
function place(number: number, length: number, keys: Keys, fault: Fault): void {
  const family = random() < 0.5 ? 4 : 6;
  const address = bytes(family === 4 ? 4 : 16);
  const port = 1 + Math.floor(random() * 65_535);
  const endpoint = { family, address, port, scope: 7, localAddress: bytes(address.length), localInterface: 3 } as const;
  writeEndpoint(lane.arena, ENDPOINTS + number * ENDPOINT.WORDS * 4, endpoint);
  const message = bytes(length);
  message.set(mac(keys.mac1, message.subarray(0, length - 32)), length - 32);
  message.set(mac(mac(keys.secret, sourceOf(number)), message.subarray(0, length - 16)), length - 16);
  const bit = Math.floor(random() * 128);
  const start = length - (fault === 'mac1' ? 32 : 16);
  if (fault === 'mac1' || fault === 'mac2')
    message[start + (bit >> 3)] = (message[start + (bit >> 3)] ?? 0) ^ (1 << (bit & 7));
  if (fault === 'no mac2') message.fill(0, start);
  lane.arena.set(message, MESSAGES + number * STRIDE);
  const row = [MESSAGES + number * STRIDE, length, ENDPOINTS + number * ENDPOINT.WORDS * 4, REPLIES + number * 65, 99];
  lane.words.set(row, number * HANDSHAKE.WORDS);
}

const faults: readonly Fault[] = ['none', 'mac1', 'mac2', 'no mac2'];
const expected = { none: MACS.MAC1 | MACS.MAC2, mac1: 0, mac2: MACS.MAC1, 'no mac2': MACS.MAC1 } as const;

describe(`checkMacs (seed ${SEED})`, () => {
  test('finds good and bad MACs of batches of any size, of both lengths, in any order', () => {
    for (let round = 0; round < 60; round += 1) {
      const keys = setKeys();
      const wanted = Array.from({ length: 1 + Math.floor(random() * 40) }, (_, number) => {
        const fault = faults[Math.floor(random() * faults.length)] ?? 'none';
        place(number, random() < 0.7 ? INITIATION : RESPONSE, keys, fault);
        return expected[fault];
      });
      native.checkMacs(lane.handle, 0, wanted.length, KEYS, 0);
      expect(wanted.map((_, number) => lane.words[number * HANDSHAKE.WORDS + HANDSHAKE.RESULT])).toEqual(wanted);
    }
  });

  test('sees each bit of either MAC', () => {
    const keys = setKeys();
    place(0, INITIATION, keys, 'none');
    for (let bit = 0; bit < 256; bit += 1) {
      const at = MESSAGES + INITIATION - 32 + (bit >> 3);
      lane.arena[at] = (lane.arena[at] ?? 0) ^ (1 << (bit & 7));
      native.checkMacs(lane.handle, 0, 1, KEYS, 0);
      expect(lane.words[HANDSHAKE.RESULT], `bit ${bit}`).toBe(bit < 128 ? 0 : MACS.MAC1);
      lane.arena[at] = (lane.arena[at] ?? 0) ^ (1 << (bit & 7));
    }
  });

  test('binds a cookie to family, port and address', () => {
    const keys = setKeys();
    for (let byte = 0; byte < 6 * 4; byte += 1) {
      place(0, INITIATION, keys, 'none');
      const isPadding = lane.words[ENDPOINTS >> 2] === 4 && byte >= 12;
      const at = ENDPOINTS + byte;
      lane.arena[at] = (lane.arena[at] ?? 0) ^ 1;
      native.checkMacs(lane.handle, 0, 1, KEYS, 0);
      const isGood = lane.words[HANDSHAKE.RESULT] === (MACS.MAC1 | MACS.MAC2);
      expect(isGood, `byte ${byte}`).toBe(isPadding);
    }
  });
});

describe('sealCookies', () => {
  test('seals what the library seals, with nonces that count on from batch to batch', () => {
    const keys = setKeys();
    // The lower half of the count is about to run over.
    lane.arena.set([250, 255, 255, 255], KEYS + 4 * HANDSHAKE_KEYS.NONCE + 16);
    const first = new DataView(lane.arena.buffer, KEYS + 4 * HANDSHAKE_KEYS.NONCE + 16).getBigUint64(0, true);
    let done = 0n;
    for (const count of [1, 7, 8, 9, 40]) {
      for (let number = 0; number < count; number += 1) place(number, INITIATION, keys, 'no mac2');
      native.sealCookies(lane.handle, 0, count, KEYS, 0);
      for (let number = 0; number < count; number += 1, done += 1n) {
        const message = lane.arena.slice(MESSAGES + number * STRIDE, MESSAGES + number * STRIDE + INITIATION);
        const reply = lane.arena.slice(REPLIES + number * 65, REPLIES + number * 65 + 64);
        expect([...reply.subarray(0, 4)]).toEqual([3, 0, 0, 0]);
        expect(reply.subarray(4, 8)).toEqual(message.subarray(4, 8));
        const nonce = reply.subarray(8, 32);
        expect(nonce.subarray(0, 16)).toEqual(keys.nonce.subarray(0, 16));
        expect(new DataView(nonce.slice().buffer).getBigUint64(16, true)).toBe(first + done);
        const cookie = mac(keys.secret, sourceOf(number));
        const opened = xchacha20poly1305(keys.sealing, nonce, message.subarray(116, 132)).decrypt(reply.subarray(32));
        expect(opened).toEqual(cookie);
      }
    }
  });
});

describe('both', () => {
  test('refuse other lengths and what lies outside the arena, and then do nothing', () => {
    const keys = setKeys();
    place(0, INITIATION, keys, 'none');
    const end = lane.arena.length;
    const good = [...lane.words.subarray(0, HANDSHAKE.WORDS)];
    const bad: readonly (readonly [column: number, value: number])[] = [
      [HANDSHAKE.LENGTH, 0],
      [HANDSHAKE.LENGTH, 147],
      [HANDSHAKE.LENGTH, -1],
      [HANDSHAKE.OFFSET, end - 147],
      [HANDSHAKE.OFFSET, -4],
      [HANDSHAKE.ENDPOINT_OFFSET, end - 44],
      [HANDSHAKE.ENDPOINT_OFFSET, -1],
    ];
    for (const [column, value] of bad) {
      lane.words.set(good, HANDSHAKE.WORDS);
      lane.words[HANDSHAKE.WORDS + column] = value;
      expect(() => native.checkMacs(lane.handle, 0, 2, KEYS, 0), `${column}: ${value}`).toThrow(RangeError);
      expect(() => native.sealCookies(lane.handle, 0, 2, KEYS, 0), `${column}: ${value}`).toThrow(RangeError);
      expect(lane.words[HANDSHAKE.RESULT]).toBe(99);
    }
    lane.words[HANDSHAKE.OUT_OFFSET] = end - 63;
    expect(() => native.sealCookies(lane.handle, 0, 1, KEYS, 0)).toThrow(RangeError);
    expect(() => native.checkMacs(lane.handle, 0, 1, end - 119, 0)).toThrow(RangeError);
    expect(() => native.checkMacs(lane.handle, 0, 1_025, KEYS, 0)).toThrow(RangeError);
    native.checkMacs(lane.handle, 0, 1, KEYS, 0);
    expect(lane.words[HANDSHAKE.RESULT]).toBe(MACS.MAC1 | MACS.MAC2);
  });

  test('leave the time with the activity at hand', () => {
    setKeys();
    native.book(lane.handle, 7);
    const before = lane.books[BOOKS.ACTIVITY_NS + 7] ?? 0;
    native.checkMacs(lane.handle, 0, 0, KEYS, 11);
    expect(lane.books[BOOKS.ACTIVITY]).toBe(11);
    expect(lane.books[BOOKS.ACTIVITY_NS + 7]).toBeGreaterThan(before);
  });
});
