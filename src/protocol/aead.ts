/**
 * ChaCha20-Poly1305 (RFC 8439) and AES-256-GCM (NIST SP 800-38D) for handshake messages, a few a minute, by node:crypto.
 * Transport messages are sealed by the native layer.
 */
import {
  type CipherChaCha20Poly1305,
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  type DecipherChaCha20Poly1305,
  type DecipherGCM,
} from 'node:crypto';
import type { Cipher } from './cipher.ts';
import { TAG_LENGTH } from './constants.ts';

const OPTIONS = { authTagLength: TAG_LENGTH } as const;

/** Length of the nonce, bytes. OpenSSL would also take others, so lengths are checked here. */
const NONCE_LENGTH = 12;

/**
 * Encrypts and authenticates.
 *
 * @param key 32 bytes
 * @param nonce 12 bytes, never used before with this key and cipher
 * @param ad authenticated data, any length
 * @returns new bytes: ciphertext and 16-byte tag
 * @throws RangeError for a nonce of another length
 */
export function seal(
  cipher: Cipher,
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  checkNonce(nonce);
  const sealing = sealingWith(cipher, key, nonce);
  sealing.setAAD(ad, { plaintextLength: plaintext.length });
  const ciphertext = sealing.update(plaintext);
  sealing.final();
  const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
  sealed.set(ciphertext);
  sealed.set(sealing.getAuthTag(), plaintext.length);
  return sealed;
}

/**
 * Checks and decrypts; null when the tag is wrong or missing.
 *
 * @param sealed ciphertext and 16-byte tag
 * @returns new bytes, the plaintext
 * @throws RangeError for a nonce of another length
 */
export function unseal(
  cipher: Cipher,
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | null {
  checkNonce(nonce);
  const length = sealed.length - TAG_LENGTH;
  if (length < 0) return null;
  const unsealing = unsealingWith(cipher, key, nonce);
  unsealing.setAAD(ad, { plaintextLength: length });
  unsealing.setAuthTag(sealed.subarray(length));
  const plaintext = unsealing.update(sealed.subarray(0, length));
  try {
    unsealing.final();
  } catch {
    plaintext.fill(0);
    return null;
  }
  return Uint8Array.from(plaintext);
}

/** The two names are one call to OpenSSL, and two types to TypeScript. */
function sealingWith(cipher: Cipher, key: Uint8Array, nonce: Uint8Array): CipherGCM | CipherChaCha20Poly1305 {
  if (cipher === 'aes-256-gcm') return createCipheriv(cipher, key, nonce, OPTIONS);
  return createCipheriv(cipher, key, nonce, OPTIONS);
}

function unsealingWith(cipher: Cipher, key: Uint8Array, nonce: Uint8Array): DecipherGCM | DecipherChaCha20Poly1305 {
  if (cipher === 'aes-256-gcm') return createDecipheriv(cipher, key, nonce, OPTIONS);
  return createDecipheriv(cipher, key, nonce, OPTIONS);
}

function checkNonce(nonce: Uint8Array): void {
  if (nonce.length !== NONCE_LENGTH) throw new RangeError(`expected a nonce of 12 bytes, got ${nonce.length}`);
}
