/**
 * Poly1305 (RFC 8439, section 2.5) over whole blocks in script, allocating nothing: for the tags of cookie replies, of which
 * a lane under a flood makes tens of thousands a second. Numbers of 130 bits are six limbs of 22 bits: sums of their
 * products stay below 2^53, and so exact. @noble/ciphers is its slow twin in the tests.
 */

const LIMBS = 6;
const LIMB_BITS = 22;
const LIMB = 2 ** LIMB_BITS;
/** Bits of the last limb that lie below 2^130. */
const TOP = 2 ** 20;
/** 2^132 modulo 2^130 - 5. */
const WRAP = 20;
const WORDS = 4;
/** Section 2.5.1: bits of r that are cleared. */
const CLAMP = Int32Array.of(0x0fff_ffff, 0x0fff_fffc, 0x0fff_fffc, 0x0fff_fffc);

export class Poly1305 {
  readonly #r: Float64Array = new Float64Array(LIMBS);
  readonly #h: Float64Array = new Float64Array(LIMBS);
  readonly #product: Float64Array = new Float64Array(LIMBS);
  readonly #block: Float64Array = new Float64Array(LIMBS);
  readonly #words: Int32Array = new Int32Array(WORDS);

  /** Begins a message. `key`: 8 little-endian words, for this one message; the last four are to be given to `finish` again. */
  begin(key: Int32Array): void {
    for (let word = 0; word < WORDS; word += 1) this.#words[word] = key[word] & CLAMP[word];
    toLimbs(this.#words, 0, this.#r);
    this.#h.fill(0);
  }

  /** Takes a block of 16 bytes: the four words from `at` on. */
  add(words: Int32Array, at: number): void {
    const h = this.#h;
    const block = this.#block;
    toLimbs(words, at, block);
    block[LIMBS - 1] += 2 ** (128 - LIMB_BITS * (LIMBS - 1));
    for (let limb = 0; limb < LIMBS; limb += 1) h[limb] += block[limb];
    this.#multiply();
  }

  /** Writes the tag, four words, to `at` of `target`. */
  finish(key: Int32Array, target: Int32Array, at: number): void {
    const h = this.#h;
    carry(h);
    reduceTop(h);
    this.#subtractPrime();
    let over = 0;
    for (let word = 0; word < WORDS; word += 1) {
      const sum = wordOf(h, word) + (key[WORDS + word] >>> 0) + over;
      target[at + word] = sum | 0;
      over = Math.floor(sum / 2 ** 32);
    }
  }

  /** h = h * r, carried so far that each limb is a little more than 22 bits long at most. */
  #multiply(): void {
    const h = this.#h;
    const r = this.#r;
    const product = this.#product;
    for (let to = 0; to < LIMBS; to += 1) {
      let low = 0;
      let high = 0;
      for (let from = 0; from <= to; from += 1) low += h[from] * r[to - from];
      for (let from = to + 1; from < LIMBS; from += 1) high += h[from] * r[LIMBS + to - from];
      product[to] = low + WRAP * high;
    }
    h.set(product);
    carry(h);
  }

  /** Makes h, below 2^130, less than 2^130 - 5. */
  #subtractPrime(): void {
    const h = this.#h;
    const other = this.#block;
    other.set(h);
    other[0] += 5;
    for (let limb = 0; limb < LIMBS - 1; limb += 1) {
      const over = Math.floor(other[limb] / LIMB);
      other[limb] -= over * LIMB;
      other[limb + 1] += over;
    }
    const isLarge = Math.floor(other[LIMBS - 1] / TOP);
    other[LIMBS - 1] -= isLarge * TOP;
    for (let limb = 0; limb < LIMBS; limb += 1) h[limb] += isLarge * (other[limb] - h[limb]);
  }
}

/** 128 bits, four words from `at` on, as limbs. */
function toLimbs(words: Int32Array, at: number, limbs: Float64Array): void {
  for (let limb = 0; limb < LIMBS; limb += 1) {
    const bit = limb * LIMB_BITS;
    const word = bit >> 5;
    const shift = bit & 31;
    const next = word + 1 < WORDS ? words[at + word + 1] : 0;
    limbs[limb] = ((words[at + word] >>> shift) | ((next << 1) << (31 - shift))) & (LIMB - 1);
  }
}

/** Moves what exceeds each limb to the next, what exceeds the last to the first, and what exceeds that then to the second. */
function carry(limbs: Float64Array): void {
  let over = 0;
  for (let limb = 0; limb < LIMBS; limb += 1) {
    const sum = limbs[limb] + over;
    over = Math.floor(sum / LIMB);
    limbs[limb] = sum - over * LIMB;
  }
  limbs[0] += over * WRAP;
  over = Math.floor(limbs[0] / LIMB);
  limbs[0] -= over * LIMB;
  limbs[1] += over;
}

/** Folds what lies above 2^130, twice: the second time a carry may have reached it once more. */
function reduceTop(limbs: Float64Array): void {
  for (let time = 0; time < 2; time += 1) {
    const top = Math.floor(limbs[LIMBS - 1] / TOP);
    limbs[LIMBS - 1] -= top * TOP;
    limbs[0] += 5 * top;
    carry(limbs);
  }
}

/** Bits 32 * word to 32 * word + 31, as a number from 0 on. */
function wordOf(limbs: Float64Array, word: number): number {
  const bit = word * 32;
  const limb = Math.floor(bit / LIMB_BITS);
  const skipped = bit - limb * LIMB_BITS;
  const value = limbs[limb] + limbs[limb + 1] * LIMB + (limb + 2 < LIMBS ? limbs[limb + 2] % 2 ** 9 : 0) * LIMB * LIMB;
  return Math.floor(value / 2 ** skipped) % 2 ** 32;
}
