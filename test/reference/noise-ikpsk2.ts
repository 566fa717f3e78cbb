/**
 * Noise_IKpsk2_25519_CIPHER_BLAKE2s word by word after revision 34 of the Noise framework, slow and without a care for
 * secrets: one object that plays both parties, who know all keys of each other. For any cipher of 32-byte keys.
 */
import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { blake2s } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';

export interface ReferenceCipher {
  /** As in the protocol's name: ChaChaPoly or AESGCM. */
  readonly name: string;
  /** Section 5.1: ENCRYPT(k, n, ad, plaintext), with the cipher's own layout of the nonce. */
  readonly encrypt: (k: Uint8Array, n: bigint, ad: Uint8Array, plaintext: Uint8Array) => Uint8Array;
}

/** Private keys of both parties, 32 bytes each. */
export interface ReferenceKeys {
  readonly initiatorStatic: Uint8Array;
  readonly initiatorEphemeral: Uint8Array;
  readonly responderStatic: Uint8Array;
  readonly responderEphemeral: Uint8Array;
  readonly psk: Uint8Array;
}

export interface ReferenceHandshake {
  readonly messages: readonly [Uint8Array, Uint8Array];
  readonly hash: Uint8Array;
  /** Transport keys: of the initiator, of the responder. */
  readonly keys: readonly [Uint8Array, Uint8Array];
}

const EMPTY = new Uint8Array(0);

/** Both messages with these payloads, and what follows from them. */
export function referenceHandshake(
  cipher: ReferenceCipher,
  prologue: Uint8Array,
  keys: ReferenceKeys,
  payloads: readonly [Uint8Array, Uint8Array],
): ReferenceHandshake {
  const name = Buffer.from(`Noise_IKpsk2_25519_${cipher.name}_BLAKE2s`);
  let h: Uint8Array = name.length <= 32 ? Buffer.concat([name], 32) : blake2s(name);
  let ck = h;
  let k: Uint8Array = EMPTY;
  let n = 0n;
  const mixHash = (data: Uint8Array): void => {
    h = blake2s(Buffer.concat([h, data]));
  };
  const mixKey = (input: Uint8Array): void => {
    [ck, k] = hkdf(ck, input, 2);
    n = 0n;
  };
  const mixKeyAndHash = (input: Uint8Array): void => {
    const [chainingKey, temporary, key] = hkdf(ck, input, 3);
    [ck, k, n] = [chainingKey, key, 0n];
    mixHash(temporary);
  };
  const encryptAndHash = (plaintext: Uint8Array): Uint8Array => {
    const ciphertext = cipher.encrypt(k, n++, h, plaintext);
    mixHash(ciphertext);
    return ciphertext;
  };
  const e = (ephemeral: Uint8Array): Uint8Array => {
    mixHash(publicOf(ephemeral));
    mixKey(publicOf(ephemeral)); // only in patterns with a psk (section 9.2)
    return publicOf(ephemeral);
  };
  const { initiatorStatic, initiatorEphemeral, responderStatic, responderEphemeral, psk } = keys;
  mixHash(prologue);
  mixHash(publicOf(responderStatic));

  const first = [e(initiatorEphemeral)];
  mixKey(dh(initiatorEphemeral, responderStatic));
  first.push(encryptAndHash(publicOf(initiatorStatic)));
  mixKey(dh(initiatorStatic, responderStatic));
  first.push(encryptAndHash(payloads[0]));

  const second = [e(responderEphemeral)];
  mixKey(dh(initiatorEphemeral, responderEphemeral));
  mixKey(dh(initiatorStatic, responderEphemeral));
  mixKeyAndHash(psk);
  second.push(encryptAndHash(payloads[1]));

  const [initiatorKey, responderKey] = hkdf(ck, EMPTY, 2);
  return { messages: [Buffer.concat(first), Buffer.concat(second)], hash: h, keys: [initiatorKey, responderKey] };
}

/** Section 4.3. */
function hkdf(chainingKey: Uint8Array, input: Uint8Array, count: 2 | 3): Uint8Array[] {
  const temporary = hmac(blake2s, chainingKey, input);
  const first = hmac(blake2s, temporary, Uint8Array.of(1));
  const second = hmac(blake2s, temporary, Buffer.concat([first, Uint8Array.of(2)]));
  const third = hmac(blake2s, temporary, Buffer.concat([second, Uint8Array.of(3)]));
  return [first, second, third].slice(0, count);
}

function publicOf(privateKey: Uint8Array): Uint8Array {
  const { x = '' } = createPublicKey(importPrivate(privateKey)).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
}

function dh(privateKey: Uint8Array, otherPrivateKey: Uint8Array): Uint8Array {
  const publicKey = createPublicKey(importPrivate(otherPrivateKey));
  return diffieHellman({ privateKey: importPrivate(privateKey), publicKey });
}

function importPrivate(bytes: Uint8Array) {
  const key = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), bytes]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}
