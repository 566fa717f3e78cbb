/**
 * Seals cookies (paper, section 5.4.7: XChaCha20-Poly1305, 16 bytes with a mac1 as associated data) in script, allocating
 * nothing: under a flood a lane answers tens of thousands of initiations a second. A nonce is 16 random bytes, of which
 * HChaCha20 makes a subkey once, and 8 that count; so each reply costs two blocks of ChaCha20 and three of Poly1305.
 * CookieChecker, over @noble/ciphers, is its slow twin.
 */
import { chacha20Rounds } from './chacha20-rounds.ts';
import { COOKIE_NONCE_LENGTH, KEY_LENGTH, MAC_LENGTH } from './constants.ts';
import { Poly1305 } from './poly1305.ts';

/** 'expand 32-byte k' (RFC 8439, section 2.3). */
const SIGMA = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574] as const;
const KEY_WORD = 4;
const COUNTER_WORD = 12;
/** Where the counting half of a nonce stands in a block's input, behind 32 zero bits (draft-irtf-cfrg-xchacha, section 2.3). */
const COUNT_WORD = 14;
const WORDS = 16;
const MAC_WORDS = MAC_LENGTH / 4;
const KEY_WORDS = KEY_LENGTH / 4;
/** Of the authenticated words: the associated data, the ciphertext, and both lengths. */
const SEALED_WORD = MAC_WORDS;
const LENGTHS_WORD = 2 * MAC_WORDS;

export class CookieSealer {
  readonly #input: Int32Array = new Int32Array(WORDS);
  readonly #block: Int32Array = new Int32Array(WORDS);
  readonly #oneTimeKey: Int32Array = new Int32Array(KEY_WORDS);
  readonly #authenticated: Int32Array = new Int32Array(LENGTHS_WORD + MAC_WORDS);
  readonly #tag: Int32Array = new Int32Array(MAC_WORDS);
  readonly #nonce: Int32Array = new Int32Array(COOKIE_NONCE_LENGTH / 4);
  readonly #poly: Poly1305 = new Poly1305();

  /**
   * Sets the key (32 bytes) and the nonce of the first reply (24 random bytes); nonces count from there, up to 2^64 of them.
   * Throws RangeError for other lengths.
   */
  setKey(key: Uint8Array, nonce: Uint8Array): void {
    if (key.length !== KEY_LENGTH || nonce.length !== COOKIE_NONCE_LENGTH)
      throw new RangeError(`expected 32 and 24 bytes, got ${key.length} and ${nonce.length}`);
    load(nonce, this.#nonce, 0);
    this.#input.set(SIGMA);
    load(key, this.#input, KEY_WORD);
    this.#input.set(this.#nonce.subarray(0, MAC_WORDS), COUNTER_WORD);
    chacha20Rounds(this.#input, this.#block);
    // HChaCha20 (the draft's section 2.2): first and last row are the subkey.
    this.#input.set(this.#block.subarray(0, MAC_WORDS), KEY_WORD);
    this.#input.set(this.#block.subarray(COUNTER_WORD), KEY_WORD + MAC_WORDS);
    this.#input.fill(0, COUNTER_WORD);
    this.#authenticated[LENGTHS_WORD] = MAC_LENGTH;
    this.#authenticated[LENGTHS_WORD + 2] = MAC_LENGTH;
  }

  /**
   * Writes nonce and sealed cookie, 24 + 32 bytes, to `offset` of a view.
   *
   * @param mac1 offset in the same view of the mac1 that is answered, 16 bytes
   * @param cookie 16 bytes
   */
  seal(view: DataView, offset: number, mac1: number, cookie: DataView): void {
    const block = this.#block;
    const words = this.#authenticated;
    const nonce = this.#nonce;
    this.#input[COUNT_WORD] = nonce[4];
    this.#input[COUNT_WORD + 1] = nonce[5];
    this.#run(0);
    for (let word = 0; word < KEY_WORDS; word += 1) this.#oneTimeKey[word] = block[word];
    this.#run(1);
    for (let word = 0; word < MAC_WORDS; word += 1) {
      words[word] = view.getInt32(mac1 + 4 * word, true);
      words[SEALED_WORD + word] = cookie.getInt32(4 * word, true) ^ block[word];
    }
    this.#authenticate();
    store(nonce, view, offset);
    for (let word = 0; word < MAC_WORDS; word += 1) {
      view.setInt32(offset + COOKIE_NONCE_LENGTH + 4 * word, words[SEALED_WORD + word], true);
      view.setInt32(offset + COOKIE_NONCE_LENGTH + MAC_LENGTH + 4 * word, this.#tag[word], true);
    }
    nonce[4] = (nonce[4] + 1) | 0;
    if (nonce[4] === 0) nonce[5] = (nonce[5] + 1) | 0;
  }

  /** Forgets all. */
  clear(): void {
    for (const secret of [this.#input, this.#block, this.#oneTimeKey, this.#authenticated, this.#tag]) secret.fill(0);
  }

  /** Makes block `number` of the key stream. */
  #run(number: number): void {
    this.#input[COUNTER_WORD] = number;
    chacha20Rounds(this.#input, this.#block);
    for (let word = 0; word < WORDS; word += 1) this.#block[word] += this.#input[word];
  }

  #authenticate(): void {
    this.#poly.begin(this.#oneTimeKey);
    for (let word = 0; word < this.#authenticated.length; word += MAC_WORDS) this.#poly.add(this.#authenticated, word);
    this.#poly.finish(this.#oneTimeKey, this.#tag, 0);
  }
}

function load(bytes: Uint8Array, words: Int32Array, at: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let word = 0; word < bytes.length >> 2; word += 1) words[at + word] = view.getInt32(4 * word, true);
}

function store(words: Int32Array, view: DataView, offset: number): void {
  for (let word = 0; word < words.length; word += 1) view.setInt32(offset + 4 * word, words[word], true);
}
