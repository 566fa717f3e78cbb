/**
 * X25519 (RFC 7748) by node:crypto, which is many times faster than script. Private keys come in as DER, although that
 * takes half a millisecond: a JWK would leave them behind in strings, which nobody can zero. Inside, they belong to
 * OpenSSL, which clears them when the KeyObject is collected. Public keys go the quick way, as JWK.
 */
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { KEY_LENGTH } from './constants.ts';

/** A private key and its public key (32 bytes). */
export interface DhKeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
}

/** PKCS #8 PrivateKeyInfo of X25519, up to the key. */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
/** A public key as JWK (RFC 8037), without the key itself. */
const PUBLIC_JWK = { kty: 'OKP', crv: 'X25519' } as const;
/** How a generated pair's public key comes out; the private key stays a KeyObject. */
const PUBLIC_AS_JWK = { publicKeyEncoding: { format: 'jwk' } } as const;

/**
 * Makes a key pair of a private key, which is clamped as RFC 7748 says.
 *
 * @param privateKey 32 bytes; stays the caller's, who zeroes it
 * @throws RangeError if it is not 32 bytes long
 */
export function importKeyPair(privateKey: Uint8Array): DhKeyPair {
  if (privateKey.length !== KEY_LENGTH) {
    throw new RangeError(`expected a private key of ${KEY_LENGTH} bytes, got ${privateKey.length}`);
  }
  const der = Buffer.concat([PRIVATE_PREFIX, privateKey]);
  const imported = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return { privateKey: imported, publicKey: bytesOf(createPublicKey(imported).export({ format: 'jwk' })) };
}

/** The private key as 32 bytes, clamped as RFC 7748 says, which the caller zeroes. */
export function exportPrivateKey(privateKey: KeyObject): Uint8Array {
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  const key = Uint8Array.from(der.subarray(-KEY_LENGTH));
  der.fill(0);
  key[0] &= 0xf8;
  key[KEY_LENGTH - 1] = (key[KEY_LENGTH - 1] & 0x7f) | 0x40;
  return key;
}

/**
 * A new key pair from OpenSSL's own random numbers, for whoever drives the protocol: a tenth of what an import takes, and
 * the private key never lies in script's memory.
 *
 * The public key has to come out with the pair. Exported later, it stops the process for good once in many thousand times:
 * `export` holds the pair's lock while it makes strings, and if those start a garbage collection that finds the finished
 * generation, Node.js locks again in its destructor (KeyPairGenConfig, src/crypto/crypto_keygen.h).
 */
export function generateKeyPair(): DhKeyPair {
  const made: { readonly privateKey: KeyObject; readonly publicKey: unknown } = generateKeyPairSync(
    'x25519',
    PUBLIC_AS_JWK,
  );
  const { publicKey } = made;
  if (!isPublicJwk(publicKey)) throw new TypeError('expected the public key of a new X25519 pair as JWK, got none');
  return { privateKey: made.privateKey, publicKey: bytesOf(publicKey) };
}

function isPublicJwk(value: unknown): value is { readonly x: string } {
  return typeof value === 'object' && value !== null && 'x' in value && typeof value.x === 'string';
}

function bytesOf({ x = '' }: { readonly x?: string }): Uint8Array {
  return Uint8Array.from(Buffer.from(x, 'base64url'));
}

/**
 * The shared secret, or null when it is all zeros: the public key has low order and would make a handshake that anybody
 * can join (paper, section 5.4; RFC 7748, section 6.1).
 *
 * @param publicKey 32 bytes, of any content
 * @returns 32 new bytes, which the caller zeroes
 */
export function sharedSecret(privateKey: KeyObject, publicKey: Uint8Array): Uint8Array | null {
  const imported = importPublicKey(publicKey);
  try {
    const secret = diffieHellman({ privateKey, publicKey: imported });
    return secret.every((byte) => byte === 0) ? null : secret;
  } catch {
    // OpenSSL itself refuses to derive an all-zero secret, and nothing else can fail with keys of the right length.
    return null;
  }
}

interface ImportedKey {
  readonly x: string;
  readonly key: KeyObject;
}

/** The last two public keys that were imported: a handshake uses the other's static and ephemeral key twice each. */
let lastImported: ImportedKey | null = null;
let importedBefore: ImportedKey | null = null;

function importPublicKey(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('base64url');
  if (lastImported?.x === x) return lastImported.key;
  const known = importedBefore?.x === x ? importedBefore : null;
  importedBefore = lastImported;
  lastImported = known ?? { x, key: createPublicKey({ key: { ...PUBLIC_JWK, x }, format: 'jwk' }) };
  return lastImported.key;
}
