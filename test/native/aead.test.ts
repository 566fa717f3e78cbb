/** Seal and unseal through the addon, held equal to node:crypto and @noble/ciphers as slow twins. */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GigatunError } from '../../src/errors.ts';
import { ACTIVITY } from '../../src/ledger/catalog.ts';
import { closeLane, seal, setKey, unseal } from '../../src/native/addon.ts';
import { CIPHER, SEAL, UNSEAL } from '../../src/native/layout.ts';
import { openTestLane, slowSum, type TestLane, titled } from './support.ts';

const SLOT = 5;
const COLUMN = 0;
const HEAD_AT = 4096;
const PAYLOAD_AT = 8192;
const OUT_AT = 131072;
const NEXT = ACTIVITY.USER_CONTROL;

const CIPHERS = { 'chacha20-poly1305': CIPHER.CHACHA20_POLY1305, 'aes-256-gcm': CIPHER.AES_256_GCM } as const;
const CIPHER_NAMES = ['chacha20-poly1305', 'aes-256-gcm'] as const;

interface Message {
  readonly cipher: keyof typeof CIPHERS;
  readonly key: Uint8Array;
  readonly nonceLow: number;
  readonly nonceHigh: number;
  readonly head: Uint8Array;
  readonly payload: Uint8Array;
  readonly padding: number;
  /** Null for none. */
  readonly checksum: { readonly start: number; readonly field: number; readonly seed: number } | null;
}

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

/** Bytes of any length up to `lengthMax`, drawn from a seed: far faster than drawing each. */
const bytes = (lengthMax: number): fc.Arbitrary<Uint8Array> =>
  fc.tuple(fc.nat(lengthMax), fc.integer()).map(([length, seed]) => {
    let state = seed;
    return Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      return state >>> 24;
    });
  });

const message: fc.Arbitrary<Message> = fc
  .record({
    cipher: fc.constantFrom(...CIPHER_NAMES),
    key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    nonceLow: word,
    nonceHigh: word,
    head: bytes(80),
    payload: bytes(3000),
    padding: fc.nat(40),
    start: fc.nat(60),
    field: fc.nat(60),
    seed: fc.nat(),
    wanted: fc.boolean(),
  })
  .map(({ start, field, seed, wanted, ...rest }) => {
    const fits = Math.max(start, field + 2) <= rest.head.length + rest.payload.length;
    return { ...rest, checksum: wanted && fits ? { start, field, seed } : null };
  });

/** Noise revision 34, sections 12.3 and 12.4. */
function nonceOf({ cipher, nonceLow, nonceHigh }: Message): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeInt32LE(nonceLow, 4);
  nonce.writeInt32LE(nonceHigh, 8);
  if (cipher === 'aes-256-gcm') nonce.subarray(4).reverse();
  return nonce;
}

/** The padded packet with its checksum, made byte by byte. */
function packetOf({ head, payload, padding, checksum }: Message): Buffer {
  const packet = Buffer.concat([head, payload]);
  if (checksum !== null) {
    const field = 0xffff - slowSum(packet.subarray(checksum.start), checksum.seed);
    packet.writeUInt16BE(field === 0 ? 0xffff : field, checksum.field);
  }
  return Buffer.concat([packet, Buffer.alloc(padding)]);
}

/** For node:crypto, whose types know AES-256-GCM alone to have this interface by its own name. */
const cipherOf = ({ cipher }: Message): 'chacha20-poly1305' => cipher as 'chacha20-poly1305';

function sealWithTwin(item: Message): Uint8Array {
  const cipher = createCipheriv(cipherOf(item), item.key, nonceOf(item), { authTagLength: 16 });
  return Buffer.concat([cipher.update(packetOf(item)), cipher.final(), cipher.getAuthTag()]);
}

function paddedLength({ head, payload, padding }: Message): number {
  return head.length + payload.length + padding;
}

function putSeal(lane: TestLane, item: Message, index = 0, slot = SLOT): void {
  const headAt = HEAD_AT + index * 8192;
  const payloadAt = PAYLOAD_AT + index * 8192;
  lane.arena.set(item.head, headAt);
  lane.arena.set(item.payload, payloadAt);
  const d = COLUMN / 4 + index * SEAL.WORDS;
  const { start, field, seed } = item.checksum ?? { start: -1, field: 0, seed: 0 };
  const gather = [headAt, item.head.length, payloadAt, item.payload.length, paddedLength(item), OUT_AT + index * 8192];
  lane.words.set([slot, item.nonceLow, item.nonceHigh, ...gather, start, field, seed], d);
}

function sealOne(lane: TestLane, item: Message): Uint8Array {
  setKey(lane.handle, SLOT, item.key, CIPHERS[item.cipher]);
  putSeal(lane, item);
  seal(lane.handle, COLUMN, 1, NEXT);
  return lane.arena.slice(OUT_AT, OUT_AT + paddedLength(item) + 16);
}

function unsealOne(lane: TestLane, item: Message, sealed: Uint8Array, slot = SLOT): { result: number; sum: number } {
  setKey(lane.handle, SLOT, item.key, CIPHERS[item.cipher]);
  lane.arena.set(sealed, OUT_AT);
  lane.words.set([slot, item.nonceLow, item.nonceHigh, OUT_AT, sealed.length, 7, 7, 7], COLUMN / 4);
  const good = unseal(lane.handle, COLUMN, 1, NEXT);
  const [result = 0, sum = 0] = lane.words.subarray(COLUMN / 4 + UNSEAL.RESULT);
  expect(good).toBe(result < 0 ? 0 : 1);
  return { result, sum };
}

let lane: TestLane;

/** Why this back end cannot be tested here, or null. */
function backEndMissing(aead: 'openssl' | 'ipsec-mb'): string | null {
  try {
    closeLane(openTestLane({ aead }).handle);
    return null;
  } catch (error) {
    if (error instanceof GigatunError && error.code === 'UNSUPPORTED') return error.message;
    throw error;
  }
}

describe.each([
  ['openssl' as const, null],
  ['ipsec-mb' as const, backEndMissing('ipsec-mb')],
])('with %s', (aead, missing) => {
  describe.skipIf(missing !== null)(titled('lanes', missing), () => {
    beforeEach(() => {
      lane = openTestLane({ aead });
      expect(lane.aead).toBe(aead);
    });
    afterEach(() => closeLane(lane.handle));

    describe('seal', () => {
      test('equals node:crypto over the packet that is gathered, checksummed and padded byte by byte', () => {
        fc.assert(
          fc.property(message, (item) => {
            expect(sealOne(lane, item)).toEqual(new Uint8Array(sealWithTwin(item)));
          }),
          { numRuns: 400 },
        );
      });

      test('equals @noble/ciphers', () => {
        fc.assert(
          fc.property(message, (item) => {
            const noble = item.cipher === 'aes-256-gcm' ? gcm : chacha20poly1305;
            const twin = noble(item.key, nonceOf(item)).encrypt(packetOf(item));
            expect(sealOne(lane, item)).toEqual(twin);
          }),
          { numRuns: 100 },
        );
      });

      test('writes nothing around its output, and leaves head and payload alone', () => {
        fc.assert(
          fc.property(message, (item) => {
            lane.arena.fill(0xaa, OUT_AT - 128, OUT_AT + 8192);
            sealOne(lane, item);
            const end = OUT_AT + paddedLength(item) + 16;
            expect(lane.arena.subarray(OUT_AT - 128, OUT_AT).every((byte) => byte === 0xaa)).toBe(true);
            expect(lane.arena.subarray(end, OUT_AT + 8192).every((byte) => byte === 0xaa)).toBe(true);
            expect(lane.arena.slice(HEAD_AT, HEAD_AT + item.head.length)).toEqual(item.head);
            expect(lane.arena.slice(PAYLOAD_AT, PAYLOAD_AT + item.payload.length)).toEqual(item.payload);
          }),
          { numRuns: 100 },
        );
      });

      test('a batch over several keys and both ciphers equals its messages one by one', () => {
        const batch = fc.array(message, { minLength: 2, maxLength: 12 });
        fc.assert(
          fc.property(batch, (items) => {
            for (const [i, { key, cipher }] of items.slice(0, 3).entries())
              setKey(lane.handle, i, key, CIPHERS[cipher]);
            for (const [i, item] of items.entries()) putSeal(lane, item, i, i % 3);
            seal(lane.handle, COLUMN, items.length, NEXT);
            for (const [i, item] of items.entries()) {
              const { key, cipher } = items[i % 3] ?? item;
              const twin = sealWithTwin({ ...item, key, cipher });
              const at = OUT_AT + i * 8192;
              expect(lane.arena.slice(at, at + twin.length)).toEqual(new Uint8Array(twin));
            }
          }),
          { numRuns: 50 },
        );
      });

      test('a checksum that comes to 0 is stored as 0xffff', () => {
        const head = Uint8Array.of(0xff, 0xff, 0, 0);
        const checksum = { start: 0, field: 2, seed: 0 };
        const item: Message = {
          cipher: 'aes-256-gcm',
          key: new Uint8Array(32),
          nonceLow: 0,
          nonceHigh: 0,
          head,
          payload: new Uint8Array(0),
          padding: 0,
          checksum,
        };
        const sealed = sealOne(lane, item);
        expect(unsealOne(lane, item, sealed).result).toBe(4);
        expect([...lane.arena.subarray(OUT_AT, OUT_AT + 4)]).toEqual([0xff, 0xff, 0xff, 0xff]);
      });
    });

    describe('unseal', () => {
      test('gives back what node:crypto sealed, with its length and sum', () => {
        fc.assert(
          fc.property(message, (item) => {
            const packet = packetOf(item);
            const { result, sum } = unsealOne(lane, item, sealWithTwin(item));
            expect(result).toBe(packet.length);
            expect(sum % 0xffff).toBe(slowSum(packet) % 0xffff);
            expect(lane.arena.slice(OUT_AT, OUT_AT + result)).toEqual(new Uint8Array(packet));
          }),
          { numRuns: 400 },
        );
      });

      test('refuses a message with any bit turned, and zeroes it', () => {
        fc.assert(
          fc.property(message, fc.nat(), fc.nat(7), (item, place, bit) => {
            const sealed = sealWithTwin(item);
            const at = place % sealed.length;
            sealed[at] = (sealed[at] ?? 0) ^ (1 << bit);
            expect(unsealOne(lane, item, sealed)).toEqual({ result: -1, sum: 0 });
            expect(lane.arena.subarray(OUT_AT, OUT_AT + sealed.length - 16).every((byte) => byte === 0)).toBe(true);
          }),
          { numRuns: 200 },
        );
      });

      test('refuses another nonce, another key and an empty slot, and goes on with the right ones', () => {
        const [item] = fc.sample(message, { numRuns: 1, seed: 7 });
        if (item === undefined) throw new Error('unreachable');
        const sealed = sealWithTwin(item);
        expect(unsealOne(lane, { ...item, nonceHigh: item.nonceHigh ^ 1 }, sealed).result).toBe(-1);
        expect(unsealOne(lane, { ...item, key: item.key.map((byte) => byte ^ 1) }, sealed).result).toBe(-1);
        expect(unsealOne(lane, item, sealed, SLOT + 1)).toEqual({ result: -1, sum: 0 });
        expect(unsealOne(lane, item, sealed, 2 ** 31 - 1).result).toBe(-1);
        expect(unsealOne(lane, item, sealed).result).toBe(paddedLength(item));
      });
    });

    describe.each(CIPHER_NAMES)('setKey for %s', (cipher) => {
      const item: Message = {
        cipher,
        key: new Uint8Array(32).fill(1),
        nonceLow: 1,
        nonceHigh: 0,
        head: new Uint8Array(20),
        payload: new Uint8Array(0),
        padding: 0,
        checksum: null,
      };

      test('a cleared slot seals no more', () => {
        sealOne(lane, item);
        setKey(lane.handle, SLOT, null);
        expect(() => seal(lane.handle, COLUMN, 1, NEXT)).toThrow(RangeError);
      });

      test('a slot set again uses the new key, though the last message used the old one', () => {
        const first = sealOne(lane, item);
        const second = sealOne(lane, { ...item, key: new Uint8Array(32).fill(2) });
        expect(second).not.toEqual(first);
        expect(second).toEqual(new Uint8Array(sealWithTwin({ ...item, key: new Uint8Array(32).fill(2) })));
      });

      test('a slot set again uses the new cipher with the same key', () => {
        const first = sealOne(lane, item);
        for (const other of CIPHER_NAMES.filter((name) => name !== cipher)) {
          const second = sealOne(lane, { ...item, cipher: other });
          expect(second).toEqual(new Uint8Array(sealWithTwin({ ...item, cipher: other })));
          expect(unsealOne(lane, { ...item, cipher: other }, first).result).toBe(-1);
        }
        expect(unsealOne(lane, item, first).result).toBe(20);
      });

      test('one slot seals and unseals in turn', () => {
        const sealed = sealOne(lane, item);
        for (let round = 0; round < 3; round++) {
          expect(unsealOne(lane, item, sealed).result).toBe(20);
          expect(sealOne(lane, item)).toEqual(sealed);
        }
      });

      test('the key is copied', () => {
        const key = item.key.slice();
        setKey(lane.handle, SLOT, key, CIPHERS[cipher]);
        key.fill(9);
        putSeal(lane, item);
        seal(lane.handle, COLUMN, 1, NEXT);
        expect(lane.arena.slice(OUT_AT, OUT_AT + 36)).toEqual(new Uint8Array(sealWithTwin(item)));
      });

      test('the last slot works; the one behind it, a short key and an unknown cipher are RangeErrors', () => {
        setKey(lane.handle, 2 ** 20 - 1, item.key, CIPHERS[cipher]);
        expect(() => setKey(lane.handle, 2 ** 20, item.key, CIPHERS[cipher])).toThrow(RangeError);
        expect(() => setKey(lane.handle, 0, new Uint8Array(31), CIPHERS[cipher])).toThrow(RangeError);
        expect(() => setKey(lane.handle, 0, item.key, CIPHER.COUNT)).toThrow(RangeError);
      });
    });

    test('what is sealed here is opened by node:crypto', () => {
      const [item] = fc.sample(message, { numRuns: 1, seed: 3 });
      if (item === undefined) throw new Error('unreachable');
      const sealed = sealOne(lane, item);
      const decipher = createDecipheriv(cipherOf(item), item.key, nonceOf(item), { authTagLength: 16 });
      decipher.setAuthTag(sealed.subarray(-16));
      expect(Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])).toEqual(packetOf(item));
    });
  });
});
