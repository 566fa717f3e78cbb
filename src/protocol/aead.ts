/** ChaCha20-Poly1305 (RFC 8439) for handshake messages, a few a minute, by node:crypto. Transport messages are sealed by the native layer. */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { TAG_LENGTH } from './constants.ts';

const CIPHER = 'chacha20-poly1305';
const OPTIONS = { authTagLength: TAG_LENGTH } as const;

/** Length of the nonce, bytes. OpenSSL would also take shorter ones, so lengths are checked here. */
const NONCE_LENGTH = 12;

/**
 * Encrypts and authenticates.
 *
 * @param key 32 bytes
 * @param nonce 12 bytes, never used before with this key
 * @param ad authenticated data, any length
 * @returns new bytes: ciphertext and 16-byte tag
 * @throws RangeError for a nonce of another length
 */
export function seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  checkNonce(nonce);
  const cipher = createCipheriv(CIPHER, key, nonce, OPTIONS);
  cipher.setAAD(ad, { plaintextLength: plaintext.length });
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
  sealed.set(ciphertext);
  sealed.set(cipher.getAuthTag(), plaintext.length);
  return sealed;
}

/**
 * Checks and decrypts; null when the tag is wrong or missing.
 *
 * @param sealed ciphertext and 16-byte tag
 * @returns new bytes, the plaintext
 * @throws RangeError for a nonce of another length
 */
export function unseal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, sealed: Uint8Array): Uint8Array | null {
  checkNonce(nonce);
  const length = sealed.length - TAG_LENGTH;
  if (length < 0) return null;
  const decipher = createDecipheriv(CIPHER, key, nonce, OPTIONS);
  decipher.setAAD(ad, { plaintextLength: length });
  decipher.setAuthTag(sealed.subarray(length));
  const plaintext = decipher.update(sealed.subarray(0, length));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    return null;
  }
  return Uint8Array.from(plaintext);
}

function checkNonce(nonce: Uint8Array): void {
  if (nonce.length !== NONCE_LENGTH) throw new RangeError(`expected a nonce of 12 bytes, got ${nonce.length}`);
}
