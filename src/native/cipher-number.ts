/** What native code calls the ciphers of the protocol. */
import type { Cipher } from '../protocol/cipher.ts';
import { CIPHER } from './layout.ts';

/** By name, as `setKey` takes them. */
export const CIPHER_NUMBERS: Readonly<Record<Cipher, number>> = {
  'chacha20-poly1305': CIPHER.CHACHA20_POLY1305,
  'aes-256-gcm': CIPHER.AES_256_GCM,
};
