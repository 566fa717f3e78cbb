/**
 * Keyed BLAKE2s-128 (RFC 7693) in script, for the MACs of handshake messages on the control lane: half a microsecond for
 * an initiation, a tenth of what a general library takes. (Lanes check theirs by the batch, in native code.) The key's own
 * block is hashed once, when the key is set. @noble/hashes is its slow twin in the tests.
 */

/** Length of a MAC, bytes. */
const MAC_BYTES = 16;
const KEY_BYTES_MAX = 32;
const BLOCK_BYTES = 64;
const BLOCK_WORDS = 16;
const ROUNDS_WORDS = 160;

/** RFC 7693, section 2.6. */
const IV = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

/** RFC 7693, section 2.7: the order in which the words of a block enter each of the ten rounds. */
const SIGMA = Uint8Array.of(
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  ...[14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  ...[11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  ...[7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  ...[9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  ...[2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  ...[12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  ...[13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  ...[6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  ...[10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
);

export class KeyedBlake2s {
  /** The MAC that was computed last. */
  readonly mac: Uint8Array = new Uint8Array(MAC_BYTES);
  readonly #macView: DataView = new DataView(this.mac.buffer);
  /** State behind the block that holds the key. */
  readonly #keyed: Int32Array = new Int32Array(8);
  readonly #state: Int32Array = new Int32Array(8);
  readonly #words: Int32Array = new Int32Array(BLOCK_WORDS);

  /** Sets the key, 1 to 32 bytes; nothing of it is kept but a state that it leads to. Throws RangeError for another length. */
  setKey(key: Uint8Array): void {
    if (key.length < 1 || key.length > KEY_BYTES_MAX)
      throw new RangeError(`expected a key of 1 to ${KEY_BYTES_MAX} bytes, got ${key.length}`);
    this.#keyed.set(IV);
    // Section 2.5: one tree of depth one, the lengths of key and digest.
    this.#keyed[0] ^= 0x0101_0000 ^ (key.length << 8) ^ MAC_BYTES;
    this.#words.fill(0);
    for (let at = 0; at < key.length; at += 1) this.#words[at >> 2] |= key[at] << ((at & 3) << 3);
    compress(this.#keyed, this.#words, BLOCK_BYTES, false);
    this.#words.fill(0);
  }

  /** Computes the MAC of `length` bytes (1 to 2^31 - 65) at `offset` of a view, into `mac`. */
  compute(view: DataView, offset: number, length: number): void {
    const state = this.#state;
    state.set(this.#keyed);
    let done = 0;
    for (; length - done > BLOCK_BYTES; done += BLOCK_BYTES) {
      this.#load(view, offset + done, BLOCK_BYTES);
      compress(state, this.#words, BLOCK_BYTES + done + BLOCK_BYTES, false);
    }
    this.#load(view, offset + done, length - done);
    compress(state, this.#words, BLOCK_BYTES + length, true);
    for (let word = 0; word < MAC_BYTES / 4; word += 1) this.#macView.setInt32(4 * word, state[word], true);
  }

  /** Forgets key and MAC. */
  clear(): void {
    for (const secret of [this.#keyed, this.#state, this.#words, this.mac]) secret.fill(0);
  }

  /** The next block; what it lacks to 64 bytes is zeros. */
  #load(view: DataView, offset: number, length: number): void {
    const words = this.#words;
    const whole = length >> 2;
    for (let word = 0; word < whole; word += 1) words[word] = view.getInt32(offset + 4 * word, true);
    for (let word = whole; word < BLOCK_WORDS; word += 1) words[word] = 0;
    for (let at = 4 * whole; at < length; at += 1) words[whole] |= view.getUint8(offset + at) << ((at & 3) << 3);
  }
}

/**
 * The compression function F (RFC 7693, section 3.2), its eight mixings G written out: as calls, or over an array instead
 * of variables, they take three times as long.
 *
 * @param count bytes hashed so far, this block included; below 2^32
 */
function compress(state: Int32Array, words: Int32Array, count: number, isLast: boolean): void {
  let v0 = state[0];
  let v1 = state[1];
  let v2 = state[2];
  let v3 = state[3];
  let v4 = state[4];
  let v5 = state[5];
  let v6 = state[6];
  let v7 = state[7];
  let v8 = IV[0];
  let v9 = IV[1];
  let v10 = IV[2];
  let v11 = IV[3];
  let v12 = IV[4] ^ count;
  let v13 = IV[5];
  let v14 = isLast ? ~IV[6] : IV[6];
  let v15 = IV[7];
  for (let at = 0; at < ROUNDS_WORDS; at += BLOCK_WORDS) {
    v0 = (v0 + v4 + words[SIGMA[at + 0]]) | 0;
    v12 ^= v0;
    v12 = (v12 >>> 16) | (v12 << 16);
    v8 = (v8 + v12) | 0;
    v4 ^= v8;
    v4 = (v4 >>> 12) | (v4 << 20);
    v0 = (v0 + v4 + words[SIGMA[at + 1]]) | 0;
    v12 ^= v0;
    v12 = (v12 >>> 8) | (v12 << 24);
    v8 = (v8 + v12) | 0;
    v4 ^= v8;
    v4 = (v4 >>> 7) | (v4 << 25);
    v1 = (v1 + v5 + words[SIGMA[at + 2]]) | 0;
    v13 ^= v1;
    v13 = (v13 >>> 16) | (v13 << 16);
    v9 = (v9 + v13) | 0;
    v5 ^= v9;
    v5 = (v5 >>> 12) | (v5 << 20);
    v1 = (v1 + v5 + words[SIGMA[at + 3]]) | 0;
    v13 ^= v1;
    v13 = (v13 >>> 8) | (v13 << 24);
    v9 = (v9 + v13) | 0;
    v5 ^= v9;
    v5 = (v5 >>> 7) | (v5 << 25);
    v2 = (v2 + v6 + words[SIGMA[at + 4]]) | 0;
    v14 ^= v2;
    v14 = (v14 >>> 16) | (v14 << 16);
    v10 = (v10 + v14) | 0;
    v6 ^= v10;
    v6 = (v6 >>> 12) | (v6 << 20);
    v2 = (v2 + v6 + words[SIGMA[at + 5]]) | 0;
    v14 ^= v2;
    v14 = (v14 >>> 8) | (v14 << 24);
    v10 = (v10 + v14) | 0;
    v6 ^= v10;
    v6 = (v6 >>> 7) | (v6 << 25);
    v3 = (v3 + v7 + words[SIGMA[at + 6]]) | 0;
    v15 ^= v3;
    v15 = (v15 >>> 16) | (v15 << 16);
    v11 = (v11 + v15) | 0;
    v7 ^= v11;
    v7 = (v7 >>> 12) | (v7 << 20);
    v3 = (v3 + v7 + words[SIGMA[at + 7]]) | 0;
    v15 ^= v3;
    v15 = (v15 >>> 8) | (v15 << 24);
    v11 = (v11 + v15) | 0;
    v7 ^= v11;
    v7 = (v7 >>> 7) | (v7 << 25);
    v0 = (v0 + v5 + words[SIGMA[at + 8]]) | 0;
    v15 ^= v0;
    v15 = (v15 >>> 16) | (v15 << 16);
    v10 = (v10 + v15) | 0;
    v5 ^= v10;
    v5 = (v5 >>> 12) | (v5 << 20);
    v0 = (v0 + v5 + words[SIGMA[at + 9]]) | 0;
    v15 ^= v0;
    v15 = (v15 >>> 8) | (v15 << 24);
    v10 = (v10 + v15) | 0;
    v5 ^= v10;
    v5 = (v5 >>> 7) | (v5 << 25);
    v1 = (v1 + v6 + words[SIGMA[at + 10]]) | 0;
    v12 ^= v1;
    v12 = (v12 >>> 16) | (v12 << 16);
    v11 = (v11 + v12) | 0;
    v6 ^= v11;
    v6 = (v6 >>> 12) | (v6 << 20);
    v1 = (v1 + v6 + words[SIGMA[at + 11]]) | 0;
    v12 ^= v1;
    v12 = (v12 >>> 8) | (v12 << 24);
    v11 = (v11 + v12) | 0;
    v6 ^= v11;
    v6 = (v6 >>> 7) | (v6 << 25);
    v2 = (v2 + v7 + words[SIGMA[at + 12]]) | 0;
    v13 ^= v2;
    v13 = (v13 >>> 16) | (v13 << 16);
    v8 = (v8 + v13) | 0;
    v7 ^= v8;
    v7 = (v7 >>> 12) | (v7 << 20);
    v2 = (v2 + v7 + words[SIGMA[at + 13]]) | 0;
    v13 ^= v2;
    v13 = (v13 >>> 8) | (v13 << 24);
    v8 = (v8 + v13) | 0;
    v7 ^= v8;
    v7 = (v7 >>> 7) | (v7 << 25);
    v3 = (v3 + v4 + words[SIGMA[at + 14]]) | 0;
    v14 ^= v3;
    v14 = (v14 >>> 16) | (v14 << 16);
    v9 = (v9 + v14) | 0;
    v4 ^= v9;
    v4 = (v4 >>> 12) | (v4 << 20);
    v3 = (v3 + v4 + words[SIGMA[at + 15]]) | 0;
    v14 ^= v3;
    v14 = (v14 >>> 8) | (v14 << 24);
    v9 = (v9 + v14) | 0;
    v4 ^= v9;
    v4 = (v4 >>> 7) | (v4 << 25);
  }
  state[0] ^= v0 ^ v8;
  state[1] ^= v1 ^ v9;
  state[2] ^= v2 ^ v10;
  state[3] ^= v3 ^ v11;
  state[4] ^= v4 ^ v12;
  state[5] ^= v5 ^ v13;
  state[6] ^= v6 ^ v14;
  state[7] ^= v7 ^ v15;
}
