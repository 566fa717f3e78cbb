/**
 * Builds one family's allowed-IPs table: prefixes in, one flat table in shared memory out. Prefixes are sorted by key and
 * length, so that those below any node stand together and a covering prefix stands before what it covers; then nodes are
 * made from the root down. Time and memory grow with the number of prefixes only: half of each node's branches are filled.
 */
import {
  HEADER_TAIL_WORDS,
  leafOf,
  MASK_AT,
  MISS,
  NO_PEER,
  NODE_ALIGN,
  SHAPE,
  SHIFT_AT,
  SINGLE_LENGTH_MAX,
  SINGLE_PEER_AT,
  STRIDE_MAX,
} from './allowed-ips-layout.ts';

/** Prefixes of one family, in no order. */
export interface PrefixColumns {
  /** Address words, bits behind the prefix's length zero: one per prefix, or four. */
  readonly keys: Int32Array;
  readonly lengths: Uint8Array;
  readonly peers: Int32Array;
}

export class TableBuilder {
  readonly #keyWords: number;
  /** Sorted, each prefix once: its masked key words, its length, and its leaf. */
  readonly #keys: Int32Array;
  readonly #lengths: Uint8Array;
  readonly #leaves: Int32Array;
  #words: Int32Array;
  #used: number;

  /** Takes prefixes of one family, of equal ones the last; `keyWords` is 1 for IPv4 and 4 for IPv6. */
  constructor({ keys, lengths, peers }: PrefixColumns, keyWords: 1 | 4) {
    this.#keyWords = keyWords;
    const order = sortedOnce(lengths, keys, keyWords);
    this.#keys = new Int32Array(order.length * keyWords);
    order.forEach((from, to) => {
      for (let word = 0; word < keyWords; word += 1) this.#keys[to * keyWords + word] = keys[from * keyWords + word];
    });
    this.#lengths = Uint8Array.from(order, (from) => lengths[from]);
    this.#leaves = Int32Array.from(order, (from) => leafOf(peers[from]));
    this.#words = new Int32Array(NODE_ALIGN + order.length * 8).fill(leafOf(NO_PEER), 0, NODE_ALIGN);
    this.#used = NODE_ALIGN;
  }

  finish(): Int32Array {
    this.#setWord(0, this.#branch(0, this.#lengths.length, 0, leafOf(NO_PEER)));
    const table = new Int32Array(new SharedArrayBuffer(this.#used * 4));
    table.set(this.#words.subarray(0, this.#used));
    return table;
  }

  /**
   * The branch to prefixes `from` to `to` (not included), which share their first `depth` bits. `inherited` is the leaf of
   * the longest prefix that covers them all.
   */
  #branch(from: number, to: number, depth: number, inherited: number): number {
    if (from === to) return inherited;
    const endsHere = this.#lengths[from] === depth;
    if (endsHere) return this.#branch(from + 1, to, depth, this.#leaves[from]);
    const isSingle = to - from === 1 && inherited === leafOf(NO_PEER) && this.#lengths[from] <= SINGLE_LENGTH_MAX;
    return isSingle ? this.#single(from) : this.#node(from, to, inherited);
  }

  #single(prefix: number): number {
    const words = Math.min(this.#keyWords, SINGLE_LENGTH_MAX / 32);
    const single = this.#used;
    this.#used += words + 1;
    this.#grow();
    for (let word = 0; word < words; word += 1) this.#words[single + word] = this.#keys[prefix * this.#keyWords + word];
    const peer = ~this.#leaves[prefix] - 1;
    this.#words[single + words] = (peer << SINGLE_PEER_AT) | this.#lengths[prefix];
    return single * 2 + 1;
  }

  /** A node that skips what its prefixes share. One that ends just there stands first and is the leaf of all unfilled branches. */
  #node(from: number, to: number, inherited: number): number {
    const length = this.#sharedLength(from, to);
    const first = this.#lengths[from] === length ? from + 1 : from;
    const filler = first === from ? inherited : this.#leaves[from];
    const stride = this.#stride(first, to, length);
    const node = this.#append(from, length, stride, inherited);
    const branches = node + this.#keyWords + HEADER_TAIL_WORDS;
    if (stride === 0) this.#setWord(branches, this.#branch(first, to, length, filler));
    else {
      this.#words.fill(filler, branches, branches + 2 ** stride);
      this.#fillBranches(first, to, length, stride, branches);
    }
    return node * 2;
  }

  /** Prefixes that end within the stride fill all branches that they cover; the others get nodes below theirs. */
  #fillBranches(first: number, to: number, length: number, stride: number, branches: number): void {
    for (let at = first; at < to; ) {
      const number = this.#bits(at, length, stride);
      const missing = length + stride - this.#lengths[at];
      if (missing > 0) {
        this.#words.fill(this.#leaves[at], branches + number, branches + number + 2 ** missing);
        at += 1;
      } else {
        const end = this.#runEnd(at, to, length, stride);
        this.#setWord(branches + number, this.#branch(at, end, length + stride, this.#words[branches + number]));
        at = end;
      }
    }
  }

  /** Bits that the node branches on: as many as keep half of the branches filled; 0 when all prefixes go one way. */
  #stride(first: number, to: number, length: number): number {
    if (to - first === 0 || (to - first === 1 && this.#lengths[first] > length)) return 0;
    if (this.#sharedLength(first, to) > length) return 0;
    const roomBits = 32 - (length & 31);
    let stride = Math.min(STRIDE_MAX, roomBits, Math.floor(Math.log2(to - first)) + 1);
    while (stride > 1 && this.#filled(first, to, length, stride) < 2 ** (stride - 1)) stride -= 1;
    return stride;
  }

  #filled(first: number, to: number, length: number, stride: number): number {
    let count = 0;
    let last = -1;
    for (let at = first; at < to; at += 1) {
      const number = this.#bits(at, length, stride);
      if (number !== last) count += 1;
      last = number;
    }
    return count;
  }

  #runEnd(at: number, to: number, length: number, stride: number): number {
    const number = this.#bits(at, length, stride);
    let end = at + 1;
    while (end < to && this.#bits(end, length, stride) === number) end += 1;
    return end;
  }

  /** `stride` bits of a key, 1 to 18, from bit `length` on; they do not lie across words. */
  #bits(at: number, length: number, stride: number): number {
    return (this.#keys[at * this.#keyWords + (length >>> 5)] << (length & 31)) >>> (32 - stride);
  }

  /** Leading bits that all these prefixes share: the first and the last differ most. */
  #sharedLength(from: number, to: number): number {
    let atMost = this.#lengths[from];
    for (let at = from + 1; at < to; at += 1) atMost = Math.min(atMost, this.#lengths[at]);
    for (let word = 0; word * 32 < atMost; word += 1) {
      const left = this.#keys[from * this.#keyWords + word];
      const differing = Math.clz32(left ^ this.#keys[(to - 1) * this.#keyWords + word]);
      if (differing < 32) return Math.min(atMost, word * 32 + differing);
    }
    return atMost;
  }

  #append(prefix: number, length: number, stride: number, miss: number): number {
    const node = Math.ceil(this.#used / NODE_ALIGN) * NODE_ALIGN;
    this.#used = node + this.#keyWords + HEADER_TAIL_WORDS + 2 ** stride;
    this.#grow();
    for (let word = 0; word < this.#keyWords; word += 1) this.#words[node + word] = this.#keyWord(prefix, word, length);
    const shift = stride === 0 ? 0 : 32 - (length & 31) - stride;
    this.#words[node + this.#keyWords + SHAPE] = length | (shift << SHIFT_AT) | ((2 ** stride - 1) << MASK_AT);
    this.#words[node + this.#keyWords + MISS] = miss;
    return node;
  }

  #keyWord(prefix: number, word: number, length: number): number {
    return this.#keys[prefix * this.#keyWords + word] & maskOf(length - word * 32);
  }

  /** For what `#branch` returns: an assignment would have taken the words from before it, which may have moved. */
  #setWord(at: number, value: number): void {
    this.#words[at] = value;
  }

  #grow(): void {
    if (this.#used <= this.#words.length) return;
    const grown = new Int32Array(this.#used * 2);
    grown.set(this.#words);
    this.#words = grown;
  }
}

/** The mask of so many leading bits of a word; fewer than none are none, more than 32 are all. */
export function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

/** Positions of the prefixes in order of key and length; of equal ones only the last. */
function sortedOnce(lengths: Uint8Array, keys: Int32Array, keyWords: number): Uint32Array {
  const compare = (left: number, right: number): number => {
    for (let word = 0; word < keyWords; word += 1) {
      const difference = (keys[left * keyWords + word] >>> 0) - (keys[right * keyWords + word] >>> 0);
      if (difference !== 0) return difference;
    }
    return lengths[left] - lengths[right];
  };
  // Sorting is stable: equal prefixes keep their order.
  const order = Uint32Array.from(lengths, (_, at) => at).sort(compare);
  return order.filter((prefix, at) => at + 1 === order.length || compare(prefix, order[at + 1]) !== 0);
}
