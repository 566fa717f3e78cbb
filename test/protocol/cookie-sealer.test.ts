/** Cookies sealed on the lane, held equal to @noble/ciphers and to what a CookieGenerator takes. */
import { poly1305 } from '@noble/ciphers/_poly1305.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chacha20Rounds } from '../../src/protocol/chacha20-rounds.ts';
import { CookieSealer } from '../../src/protocol/cookie-sealer.ts';
import { Poly1305 } from '../../src/protocol/poly1305.ts';
import { bytesFrom } from '../support/arbitrary-packets.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
/** Bytes with many zeros and ones, where carries are long. */
const edgy = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    bytes(length),
    fc
      .array(fc.constantFrom(0, 255, 254, 1, 3, 252, 251), { minLength: length, maxLength: length })
      .map((list) => Uint8Array.from(list)),
  );

function wordsOf(source: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(source).buffer);
}

describe('ChaCha20 rounds', () => {
  it('give the block of RFC 8439, section 2.3.2', () => {
    const key = Uint8Array.from({ length: 32 }, (_, at) => at);
    const input = Int32Array.of(
      0x61707865,
      0x3320646e,
      0x79622d32,
      0x6b206574,
      ...wordsOf(key),
      1,
      0x09000000,
      0x4a000000,
      0,
    );
    const output = new Int32Array(16);
    chacha20Rounds(input, output);
    const block = output.map((word, at) => word + input[at]);
    const text = Buffer.from(block.buffer).toString('hex');
    expect(text.slice(0, 64)).toBe('10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e');
    expect(text.slice(64)).toBe('d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e');
  });
});

describe('Poly1305', () => {
  /** The tag of whole blocks. */
  function tagOf(message: Uint8Array, key: Uint8Array): Uint8Array {
    const [tag, words, poly] = [new Int32Array(4), wordsOf(message), new Poly1305()];
    poly.begin(wordsOf(key));
    for (let at = 0; at < words.length; at += 4) poly.add(words, at);
    poly.finish(wordsOf(key), tag, 0);
    return new Uint8Array(tag.buffer);
  }

  it('equals the library, also where carries run through', () => {
    const messages = fc.integer({ min: 1, max: 8 }).chain((blocks) => edgy(16 * blocks));
    fc.assert(
      fc.property(messages, edgy(32), (message, key) => {
        expect(tagOf(message, key)).toEqual(Uint8Array.from(poly1305(message, key)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives the answers of RFC 8439, appendix A.3, at the edge of its prime', () => {
    const tag = (r: string, s: string, message: string): string =>
      Buffer.from(tagOf(Buffer.from(message, 'hex'), Buffer.from(r + s, 'hex'))).toString('hex');
    const [zero, ones, two] = ['00'.repeat(16), 'ff'.repeat(16), `02${'00'.repeat(15)}`];
    const one = `01${'00'.repeat(15)}`;
    // Test vectors 7 to 11.
    expect(tag(two, zero, ones)).toBe(`03${'00'.repeat(15)}`);
    expect(tag(two, ones, two)).toBe(`03${'00'.repeat(15)}`);
    expect(tag(one, zero, `${ones}f0${'ff'.repeat(15)}11${'00'.repeat(15)}`)).toBe(`05${'00'.repeat(15)}`);
    expect(tag(one, zero, `${ones}fb${'fe'.repeat(15)}${'01'.repeat(16)}`)).toBe(zero);
    expect(tag(two, zero, `fd${'ff'.repeat(15)}`)).toBe(`fa${'ff'.repeat(15)}`);
  });
});

describe('a cookie sealer', () => {
  it('seals as the library does, with nonces that count from the first', () => {
    fc.assert(
      fc.property(bytes(32), bytes(24), bytes(16), bytes(16), (key, nonce, mac1, cookie) => {
        const sealer = new CookieSealer();
        sealer.setKey(key, nonce);
        const memory = new Uint8Array(16 + 56);
        memory.set(mac1);
        const view = new DataView(memory.buffer);
        const count = new DataView(nonce.buffer, nonce.byteOffset).getBigUint64(16, true);
        for (let reply = 0n; reply < 3n; reply += 1n) {
          sealer.seal(view, 16, 0, new DataView(cookie.buffer, cookie.byteOffset, 16));
          const used = memory.slice(16, 40);
          expect(used.subarray(0, 16)).toEqual(nonce.subarray(0, 16));
          expect(new DataView(used.buffer).getBigUint64(16, true)).toBe((count + reply) & (2n ** 64n - 1n));
          const sealed = xchacha20poly1305(key, used, mac1).encrypt(cookie);
          expect(Buffer.compare(memory.subarray(40), sealed)).toBe(0);
        }
      }),
    );
  });

  it('carries its count into the upper half of a nonce', () => {
    const sealer = new CookieSealer();
    const nonce = Uint8Array.of(...bytesFrom(1, 16), 255, 255, 255, 255, 7, 0, 0, 0);
    sealer.setKey(bytesFrom(2, 32), nonce);
    const view = new DataView(new ArrayBuffer(72));
    for (let reply = 0; reply < 2; reply += 1) sealer.seal(view, 16, 0, new DataView(new ArrayBuffer(16)));
    expect([view.getUint32(32, true), view.getUint32(36, true)]).toEqual([0, 8]);
  });

  it('takes a key of 32 and a nonce of 24 bytes, and no others', () => {
    const sealer = new CookieSealer();
    expect(() => sealer.setKey(new Uint8Array(31), new Uint8Array(24))).toThrow(RangeError);
    expect(() => sealer.setKey(new Uint8Array(32), new Uint8Array(23))).toThrow(RangeError);
  });
});
