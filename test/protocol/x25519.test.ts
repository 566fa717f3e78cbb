import { describe, expect, it } from 'vitest';
import { exportPrivateKey, generateKeyPair, importKeyPair, sharedSecret } from '../../src/protocol/x25519.ts';
import { fromHex, toHex } from '../vectors/load.ts';

const BASE_POINT = `09${'00'.repeat(31)}`;

describe('X25519', () => {
  it('multiplies as the two examples of RFC 7748, section 5.2', () => {
    expect(
      multiply(
        'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
        'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
      ),
    ).toBe('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552');
    expect(
      multiply(
        '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
        'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
      ),
    ).toBe('95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957');
  });

  it('iterates as RFC 7748, section 5.2, for one and a thousand rounds', () => {
    let scalar = BASE_POINT;
    let point = BASE_POINT;
    const after: string[] = [];
    for (let round = 1; round <= 1000; round++) {
      [scalar, point] = [multiply(scalar, point), scalar];
      after[round] = scalar;
    }
    expect(after[1]).toBe('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079');
    expect(after[1000]).toBe('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51');
  });

  it('agrees on the secret of RFC 7748, section 6.1', () => {
    const alice = importKeyPair(fromHex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'));
    const bob = importKeyPair(fromHex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'));
    expect(toHex(alice.publicKey)).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
    expect(toHex(bob.publicKey)).toBe('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
    const secret = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
    expect(toHex(sharedSecret(alice.privateKey, bob.publicKey) ?? new Uint8Array(0))).toBe(secret);
    expect(toHex(sharedSecret(bob.privateKey, alice.publicKey) ?? new Uint8Array(0))).toBe(secret);
  });

  it('refuses a public key of low order', () => {
    const { privateKey } = importKeyPair(new Uint8Array(32).fill(0x42));
    expect(sharedSecret(privateKey, new Uint8Array(32))).toBeNull();
    expect(sharedSecret(privateKey, fromHex(`01${'00'.repeat(31)}`))).toBeNull();
  });

  it('makes pairs whose halves belong together, each another', () => {
    const pairs = Array.from({ length: 20 }, () => generateKeyPair());
    for (const { privateKey, publicKey } of pairs)
      expect(importKeyPair(exportPrivateKey(privateKey)).publicKey).toEqual(publicKey);
    expect(new Set(pairs.map(({ publicKey }) => publicKey.join())).size).toBe(20);
  });

  it('takes each of several public keys for what it is, whatever the order', () => {
    const own = importKeyPair(new Uint8Array(32).fill(0x42));
    const others = [1, 2, 3, 4].map((byte) => importKeyPair(new Uint8Array(32).fill(byte)));
    for (const at of [0, 1, 0, 1, 2, 0, 3, 3, 1, 2]) {
      const { privateKey, publicKey } = others[at];
      expect(sharedSecret(own.privateKey, publicKey)).toEqual(sharedSecret(privateKey, own.publicKey));
    }
  });

  it('refuses a private key of another length', () => {
    for (const length of [0, 31, 33]) expect(() => importKeyPair(new Uint8Array(length))).toThrow(RangeError);
  });
});

function multiply(scalar: string, point: string): string {
  const product = sharedSecret(importKeyPair(fromHex(scalar)).privateKey, fromHex(point));
  return product === null ? 'zero' : toHex(product);
}
