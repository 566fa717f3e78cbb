/**
 * The hash functions of the handshake (paper, section 5.4): HASH is BLAKE2s-256, MAC is keyed BLAKE2s-128, HMAC is
 * HMAC-BLAKE2s, and KDF is HKDF over it. Each takes its input in parts, as if they were joined. HASH and HMAC are
 * node:crypto's, three times as fast as script; keyed BLAKE2s, which OpenSSL does not offer there, is our own.
 */
import { createHash, createHmac } from 'node:crypto';
import { KeyedBlake2s } from './keyed-blake2s.ts';

const HASH = 'blake2s256';

/** BLAKE2s-256 of all parts; returns 32 new bytes. */
export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  const state = createHash(HASH);
  for (const part of parts) state.update(part);
  return state.digest();
}

/**
 * Keyed BLAKE2s-128 of all parts; returns 16 new bytes.
 *
 * @param key 1 to 32 bytes
 */
export function mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const input = parts.length === 1 ? parts[0] : Buffer.concat(parts);
  const keyed = new KeyedBlake2s();
  keyed.setKey(key);
  keyed.compute(new DataView(input.buffer, input.byteOffset, input.length), 0, input.length);
  const result = Uint8Array.from(keyed.mac);
  keyed.clear();
  return result;
}

/**
 * HKDF (RFC 5869) without info, as Noise uses it: `count` keys of 32 bytes from a chaining key and an input.
 *
 * @param chainingKey 32 bytes
 * @param input any length, also 0
 * @returns `count` new arrays of 32 bytes
 */
export function kdf(chainingKey: Uint8Array, input: Uint8Array, count: 1 | 2 | 3): Uint8Array[] {
  const secret = createHmac(HASH, chainingKey).update(input).digest();
  const outputs: Uint8Array[] = [];
  let last: Uint8Array = new Uint8Array(0);
  for (let number = 1; number <= count; number++) {
    last = createHmac(HASH, secret).update(last).update(Uint8Array.of(number)).digest();
    outputs.push(last);
  }
  secret.fill(0);
  return outputs;
}
