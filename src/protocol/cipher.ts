/**
 * The ciphers of a handshake and of the keypair that it yields: WireGuard's, and AES-256-GCM between two gigatuns. Each is
 * a Noise protocol of its own, told apart by the name that is hashed first; nothing on the wire names it. Which one a peer
 * may use is its configuration's choice.
 */

export type Cipher = 'chacha20-poly1305' | 'aes-256-gcm';

/** One cipher and no other, or `auto`: AES-256-GCM where it is fast and the peer takes it, else WireGuard's. */
export type CipherChoice = Cipher | 'auto';

/** In the order in which an initiation is tried: WireGuard's first. */
export const CIPHERS: readonly Cipher[] = ['chacha20-poly1305', 'aes-256-gcm'];

/** What is chosen where nothing is said: only what every WireGuard peer knows. */
export const CIPHER_DEFAULT: CipherChoice = 'chacha20-poly1305';

/** Noise protocol names (Noise revision 34, section 8), hashed into the first chaining key. */
export const NOISE_CONSTRUCTIONS: Readonly<Record<Cipher, string>> = {
  'chacha20-poly1305': 'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s',
  'aes-256-gcm': 'Noise_IKpsk2_25519_AESGCM_BLAKE2s',
};

/** Whether a choice lets a cipher be used. */
export function allows(choice: CipherChoice, cipher: Cipher): boolean {
  return choice === 'auto' || choice === cipher;
}

/** Which ciphers the peers of a device may use, all choices taken together. */
export class CipherCensus {
  readonly #counts: Record<Cipher, number> = { 'chacha20-poly1305': 0, 'aes-256-gcm': 0 };

  add(choice: CipherChoice): void {
    this.#count(choice, 1);
  }

  remove(choice: CipherChoice): void {
    this.#count(choice, -1);
  }

  /** Whether any peer may use it. */
  has(cipher: Cipher): boolean {
    return this.#counts[cipher] > 0;
  }

  #count(choice: CipherChoice, by: number): void {
    for (const cipher of CIPHERS) if (allows(choice, cipher)) this.#counts[cipher] += by;
  }
}
