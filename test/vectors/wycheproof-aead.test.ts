/** The AEADs of the handshake against Wycheproof: ChaCha20-Poly1305 as messages use it, XChaCha20-Poly1305 as cookies do. */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { describe, expect, it } from 'vitest';
import { seal, unseal } from '../../src/protocol/aead.ts';
import { fromHex, loadVectors, toHex, vectorsArePresent, vectorTitle } from './load.ts';
import { ABSENT, type AeadCase, casesOf, type WycheproofFile } from './wycheproof.ts';

interface Aead {
  seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Null or an exception means: refused. */
  unseal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, sealed: Uint8Array): Uint8Array | null;
}

const XCHACHA: Aead = {
  seal: (key, nonce, ad, plaintext) => xchacha20poly1305(key, nonce, ad).encrypt(plaintext),
  unseal: (key, nonce, ad, sealed) => xchacha20poly1305(key, nonce, ad).decrypt(sealed),
};

const FILES: readonly [string, string, number, Aead][] = [
  ['ChaCha20-Poly1305', 'wycheproof-chacha20_poly1305.json', 325, { seal, unseal }],
  ['XChaCha20-Poly1305', 'wycheproof-xchacha20_poly1305.json', 315, XCHACHA],
];

for (const [name, fileName, count, aead] of FILES) {
  describe.skipIf(!vectorsArePresent)(vectorTitle(`${name} against Wycheproof`), () => {
    const file = loadVectors<WycheproofFile<AeadCase>>(fileName, ABSENT);
    const cases = casesOf(file);

    it(`reads all ${count} cases`, () => {
      expect([file.numberOfTests, cases.length]).toEqual([count, count]);
    });

    it('seals every valid case to the ciphertext and tag given', () => {
      for (const test of cases.filter(({ result }) => result === 'valid')) {
        const sealed = aead.seal(fromHex(test.key), fromHex(test.iv), fromHex(test.aad), fromHex(test.msg));
        expect(toHex(sealed), `case ${test.tcId}`).toBe(test.ct + test.tag);
      }
    });

    it('unseals exactly the valid cases', () => {
      for (const test of cases) {
        expect(toHex(unsealed(aead, test)), `case ${test.tcId} ${test.comment}`).toBe(
          test.result === 'valid' ? test.msg : REFUSED,
        );
      }
    });
  });
}

const REFUSED = 'ff'.repeat(7);

function unsealed(aead: Aead, test: AeadCase): Uint8Array {
  const sealed = fromHex(test.ct + test.tag);
  try {
    return aead.unseal(fromHex(test.key), fromHex(test.iv), fromHex(test.aad), sealed) ?? fromHex(REFUSED);
  } catch {
    return fromHex(REFUSED);
  }
}
