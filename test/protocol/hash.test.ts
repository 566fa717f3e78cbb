import { createHash, hkdfSync } from 'node:crypto';
import { blake2s } from '@noble/hashes/blake2.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hash, kdf, mac } from '../../src/protocol/hash.ts';
import { toHex } from '../vectors/load.ts';

describe('HASH', () => {
  it('gives the digest of "abc" in RFC 7693, appendix B', () => {
    expect(toHex(hash(Buffer.from('abc')))).toBe('508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982');
  });

  it('does not depend on how its input is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 8 }), (parts) => {
        expect(hash(...parts)).toEqual(hash(Buffer.concat(parts)));
      }),
    );
  });

  it("agrees with OpenSSL's BLAKE2s", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        expect(toHex(hash(input))).toBe(createHash('blake2s256').update(input).digest('hex'));
      }),
    );
  });
});

describe('MAC', () => {
  it('passes the self-test of RFC 7693, appendix E, with the library that is its twin', () => {
    const total = blake2s.create({});
    for (const outputLength of [16, 20, 28, 32]) {
      for (const inputLength of [0, 3, 64, 65, 255, 1024]) {
        const input = selfTestBytes(inputLength, inputLength);
        total.update(blake2s(input, { dkLen: outputLength }));
        const key = selfTestBytes(outputLength, outputLength);
        total.update(blake2s(input, { dkLen: outputLength, key }));
      }
    }
    expect(toHex(total.digest())).toBe('6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe');
  });

  it('is keyed BLAKE2s with 16 bytes of output, over all parts', () => {
    const key = selfTestBytes(32, 1);
    const input = selfTestBytes(132, 2);
    expect(mac(key, input.subarray(0, 100), input.subarray(100))).toEqual(blake2s(input, { key, dkLen: 16 }));
    expect(mac(key, input)).not.toEqual(blake2s(input, { key }).subarray(0, 16));
  });
});

describe('KDF', () => {
  it("agrees with OpenSSL's HKDF over HMAC-BLAKE2s for one, two and three keys", () => {
    const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const input = fc.uint8Array({ maxLength: 64 });
    fc.assert(
      fc.property(key, input, fc.constantFrom(1 as const, 2 as const, 3 as const), (chainingKey, material, count) => {
        const expected = hkdfSync('blake2s256', material, chainingKey, new Uint8Array(0), 32 * count);
        expect(toHex(Buffer.concat(kdf(chainingKey, material, count)))).toBe(toHex(new Uint8Array(expected)));
      }),
    );
  });
});

/** The deterministic bytes of RFC 7693, appendix E (a Fibonacci generator). */
function selfTestBytes(length: number, seed: number): Uint8Array {
  let before = Math.imul(0xdead4bad, seed) >>> 0;
  let last = 1;
  return Uint8Array.from({ length }, () => {
    const sum = (before + last) >>> 0;
    before = last;
    last = sum;
    return sum >>> 24;
  });
}
