/** The AEADs of the handshake against Wycheproof: those that messages use, and XChaCha20-Poly1305 as cookies do. */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { describe, expect, it } from 'vitest';
import { seal, unseal } from '../../src/protocol/aead.ts';
import type { Cipher } from '../../src/protocol/cipher.ts';
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

function ofMessages(cipher: Cipher): Aead {
  return {
    seal: (key, nonce, ad, plaintext) => seal(cipher, key, nonce, ad, plaintext),
    unseal: (key, nonce, ad, sealed) => unseal(cipher, key, nonce, ad, sealed),
  };
}

const anyCase = (): boolean => true;
/** Keys of 256 bits, nonces of 96 and tags of 128: the file has others, which a handshake cannot express. */
const gcmCase = ({ key, iv, tag }: AeadCase): boolean => key.length === 64 && iv.length === 24 && tag.length === 32;

const FILES: readonly [string, string, number, (test: AeadCase) => boolean, number, Aead][] = [
  ['ChaCha20-Poly1305', 'wycheproof-chacha20_poly1305.json', 325, anyCase, 325, ofMessages('chacha20-poly1305')],
  ['AES-256-GCM', 'wycheproof-aes_gcm.json', 316, gcmCase, 66, ofMessages('aes-256-gcm')],
  ['XChaCha20-Poly1305', 'wycheproof-xchacha20_poly1305.json', 315, anyCase, 315, XCHACHA],
];

for (const [name, fileName, count, isOurs, oursCount, aead] of FILES) {
  describe.skipIf(!vectorsArePresent)(vectorTitle(`${name} against Wycheproof`), () => {
    const file = loadVectors<WycheproofFile<AeadCase>>(fileName, ABSENT);
    const cases = casesOf(file).filter(isOurs);

    it(`reads ${oursCount} of ${count} cases`, () => {
      expect([file.numberOfTests, cases.length]).toEqual([count, oursCount]);
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
