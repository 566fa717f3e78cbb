/**
 * Keys as text: base64 of 32 bytes as `wg` writes them, 44 characters with one `=`. Curve25519 private keys are made
 * and turned into public ones by OpenSSL through node:crypto. No function here puts key material into an error.
 */
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';

export const KEY_LENGTH = 32;

/** 43 digits and `=`; the last digit carries only four bits, so that one key has one spelling. */
const KEY_PATTERN = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** PKCS #8 wrapping of an X25519 private key (RFC 8410, section 7): all but the 32 bytes at its end. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** Reads a key; null when the text is not the canonical base64 of 32 bytes. */
export function parseKey(text: string): Uint8Array | null {
  return KEY_PATTERN.test(text) ? Uint8Array.from(Buffer.from(text, 'base64')) : null;
}

/** Writes 32 bytes as base64. */
export function formatKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('base64');
}

/** Draws a private key from the system's random source, clamped as Curve25519 wants it (RFC 7748, section 5). */
export function generatePrivateKey(): Uint8Array {
  return clampPrivateKey(generatePresharedKey());
}

/** Draws 32 random bytes. */
export function generatePresharedKey(): Uint8Array {
  return Uint8Array.from(randomBytes(KEY_LENGTH));
}

/** Public key of a 32-byte private key. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const der = Buffer.concat([PKCS8_HEAD, privateKey]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  der.fill(0);
  return Uint8Array.from(key.export({ format: 'der', type: 'spki' }).subarray(-KEY_LENGTH));
}

/** A private key as Curve25519 uses it: a copy with five bits fixed (RFC 7748, section 5). */
export function clampPrivateKey(key: Uint8Array): Uint8Array {
  const clamped = Uint8Array.from(key);
  clamped[0] = (clamped[0] ?? 0) & 0xf8;
  clamped[31] = ((clamped[31] ?? 0) & 0x7f) | 0x40;
  return clamped;
}
