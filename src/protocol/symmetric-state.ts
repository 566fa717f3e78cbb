/**
 * The part of a Noise handshake that both sides grow in step: a chaining key, from which keys come, and a hash of
 * everything said so far (Noise revision 34, section 5.2). Each key seals one message part with nonce 0, because in
 * this pattern a new key is mixed in before each part.
 */
import { seal, unseal } from './aead.ts';
import { type Cipher, NOISE_CONSTRUCTIONS } from './cipher.ts';
import { hash, kdf } from './hash.ts';

const ZERO_NONCE = new Uint8Array(12);
const NOTHING = new Uint8Array(0);
const FIRST_CHAINING_KEYS: Readonly<Record<Cipher, Uint8Array>> = {
  'chacha20-poly1305': hash(Buffer.from(NOISE_CONSTRUCTIONS['chacha20-poly1305'])),
  'aes-256-gcm': hash(Buffer.from(NOISE_CONSTRUCTIONS['aes-256-gcm'])),
};

export class SymmetricState {
  readonly cipher: Cipher;
  #chainingKey: Uint8Array;
  #hash: Uint8Array;

  private constructor(cipher: Cipher, chainingKey: Uint8Array, handshakeHash: Uint8Array) {
    this.cipher = cipher;
    this.#chainingKey = chainingKey;
    this.#hash = handshakeHash;
  }

  /**
   * The state before the first message.
   *
   * @param cipher names the Noise protocol
   * @param prologue any length, equal on both sides
   * @param responderStatic 32 bytes, known to the initiator beforehand
   */
  static start(cipher: Cipher, prologue: Uint8Array, responderStatic: Uint8Array): SymmetricState {
    const first = FIRST_CHAINING_KEYS[cipher];
    const state = new SymmetricState(cipher, Uint8Array.from(first), Uint8Array.from(first));
    state.mixHash(prologue);
    state.mixHash(responderStatic);
    return state;
  }

  /** Hash of everything said so far, 32 bytes; a copy. */
  get handshakeHash(): Uint8Array {
    return Uint8Array.from(this.#hash);
  }

  /** Whether `clear` or `split` has ended this state. */
  get isCleared(): boolean {
    return this.#chainingKey.every((byte) => byte === 0) && this.#hash.every((byte) => byte === 0);
  }

  clone(): SymmetricState {
    return new SymmetricState(this.cipher, Uint8Array.from(this.#chainingKey), Uint8Array.from(this.#hash));
  }

  mixHash(data: Uint8Array): void {
    this.#hash = hash(this.#hash, data);
  }

  /** Mixes in a public value: in a pattern with a preshared key, the ephemeral public keys. */
  mixPublic(data: Uint8Array): void {
    this.mixHash(data);
    this.mixKey(data).fill(0);
  }

  /** Mixes in a secret, which is zeroed, and returns the key that follows from it (32 bytes; `seal` and `unseal` zero it). */
  mixSecret(secret: Uint8Array): Uint8Array {
    const key = this.mixKey(secret);
    secret.fill(0);
    return key;
  }

  /** Mixes in key material, which stays the caller's, and returns the key that follows from it. */
  mixKey(input: Uint8Array): Uint8Array {
    const [chainingKey, key] = kdf(this.#chainingKey, input, 2);
    this.#replaceChainingKey(chainingKey);
    return key;
  }

  /** Mixes in the preshared key (Noise section 9.2) and returns the key that follows from it. */
  mixKeyAndHash(presharedKey: Uint8Array): Uint8Array {
    const [chainingKey, temporary, key] = kdf(this.#chainingKey, presharedKey, 3);
    this.#replaceChainingKey(chainingKey);
    this.mixHash(temporary);
    temporary.fill(0);
    return key;
  }

  /** Seals a message part with a key of its own, which is zeroed, and mixes in the ciphertext. */
  seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const sealed = seal(this.cipher, key, ZERO_NONCE, this.#hash, plaintext);
    key.fill(0);
    this.mixHash(sealed);
    return sealed;
  }

  /** Reverse of `seal`; null when the part is not authentic. The state is then of no more use. */
  unseal(key: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    const plaintext = unseal(this.cipher, key, ZERO_NONCE, this.#hash, sealed);
    key.fill(0);
    if (plaintext !== null) this.mixHash(sealed);
    return plaintext;
  }

  /** Ends the handshake: the initiator's sending key and its receiving key, 32 bytes each. The state is zeroed. */
  split(): { initiatorKey: Uint8Array; responderKey: Uint8Array } {
    const [initiatorKey, responderKey] = kdf(this.#chainingKey, NOTHING, 2);
    this.clear();
    return { initiatorKey, responderKey };
  }

  clear(): void {
    this.#chainingKey.fill(0);
    this.#hash.fill(0);
  }

  #replaceChainingKey(chainingKey: Uint8Array): void {
    this.#chainingKey.fill(0);
    this.#chainingKey = chainingKey;
  }
}
