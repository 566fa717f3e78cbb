/**
 * Allowed IPs: longest prefix -> peer, for both families. The control lane builds a table with `buildAllowedIps` and
 * gives it to the lanes whole; lanes only look up. A table is one flat Int32Array: a path-compressed binary trie whose
 * nodes hold a prefix, its length, the peer (or -1) and two children. No lane ever sees a half-changed table.
 */

export interface AllowedIp {
  /** 4 or 16 bytes in wire order; bits behind `length` are ignored. */
  readonly address: Uint8Array;
  /** Prefix length, 0 to 32 or 128. */
  readonly length: number;
  readonly peer: number;
}

export const NO_PEER = -1;

/** Words of a node behind its key words. */
const LENGTH = 0;
const PEER = 1;
const CHILD = 2;
const NODE_TAIL_WORDS = 4;
const NONE = -1;

/** Node words by family: IPv4 has one key word, IPv6 four. */
const IPV4_NODE = 1 + NODE_TAIL_WORDS;
const IPV6_NODE = 4 + NODE_TAIL_WORDS;

/** Longest match for an IPv4 address given as its big-endian 32-bit value; NO_PEER if there is none. */
export function lookupIpv4(table: Int32Array, address: number): number {
  let peer = NO_PEER;
  let node = 0;
  do {
    const length = table[node + 1 + LENGTH];
    if (length > 0 && (table[node] ^ address) >>> (32 - length) !== 0) return peer;
    const here = table[node + 1 + PEER];
    if (here !== NO_PEER) peer = here;
    if (length === 32) return peer;
    node = table[node + 1 + CHILD + ((address >>> (31 - length)) & 1)];
  } while (node !== NONE);
  return peer;
}

/** Longest match for an IPv6 address given as four big-endian words. */
export function lookupIpv6(table: Int32Array, w0: number, w1: number, w2: number, w3: number): number {
  let peer = NO_PEER;
  let node = 0;
  do {
    const length = table[node + 4 + LENGTH];
    if (!matchesIpv6(table, node, length, w0, w1, w2, w3)) return peer;
    const here = table[node + 4 + PEER];
    if (here !== NO_PEER) peer = here;
    if (length === 128) return peer;
    const word = length < 32 ? w0 : length < 64 ? w1 : length < 96 ? w2 : w3;
    node = table[node + 4 + CHILD + ((word >>> (31 - (length & 31))) & 1)];
  } while (node !== NONE);
  return peer;
}

function matchesIpv6(
  table: Int32Array,
  node: number,
  length: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): boolean {
  if (length === 0) return true;
  if (length <= 32) return (table[node] ^ w0) >>> (32 - length) === 0;
  if (table[node] !== w0) return false;
  if (length <= 64) return (table[node + 1] ^ w1) >>> (64 - length) === 0;
  if (table[node + 1] !== w1) return false;
  if (length <= 96) return (table[node + 2] ^ w2) >>> (96 - length) === 0;
  return table[node + 2] === w2 && (table[node + 3] ^ w3) >>> (128 - length) === 0;
}

/** Both families' tables in shared memory. A prefix that stands twice belongs to the last peer that names it. */
export function buildAllowedIps(prefixes: readonly AllowedIp[]): { ipv4: Int32Array; ipv6: Int32Array } {
  const ipv4 = new TrieBuilder(1);
  const ipv6 = new TrieBuilder(4);
  for (const prefix of prefixes) (prefix.address.length === 4 ? ipv4 : ipv6).insert(prefix);
  return { ipv4: ipv4.finish(), ipv6: ipv6.finish() };
}

/** An empty table of one family. */
export function emptyTable(family: 4 | 6): Int32Array {
  return new TrieBuilder(family === 4 ? 1 : 4).finish();
}

/** Builds one family's trie. Node 0 is the root: the empty prefix. */
class TrieBuilder {
  readonly #keyWords: number;
  readonly #nodeWords: number;
  #words: Int32Array;
  #used: number;

  constructor(keyWords: number) {
    this.#keyWords = keyWords;
    this.#nodeWords = keyWords === 1 ? IPV4_NODE : IPV6_NODE;
    this.#words = new Int32Array(this.#nodeWords * 64);
    this.#used = 0;
    this.#append(new Int32Array(keyWords), 0, NO_PEER);
  }

  insert(prefix: AllowedIp): void {
    const key = maskedKey(prefix.address, prefix.length, this.#keyWords);
    let node = 0;
    for (;;) {
      if (this.#length(node) === prefix.length) {
        this.#words[node + this.#keyWords + PEER] = prefix.peer;
        return;
      }
      const link = node + this.#keyWords + CHILD + bitAt(key, this.#length(node));
      const child = this.#words[link];
      if (child === NONE) {
        this.#setWord(link, this.#append(key, prefix.length, prefix.peer));
        return;
      }
      const common = this.#commonLength(child, key, Math.min(this.#length(child), prefix.length));
      if (common < this.#length(child)) {
        this.#splitLink(link, child, key, common);
        node = this.#words[link];
      } else node = child;
    }
  }

  finish(): Int32Array {
    const table = new Int32Array(new SharedArrayBuffer(this.#used * 4));
    table.set(this.#words.subarray(0, this.#used));
    return table;
  }

  /** Puts a node of `common` bits between a link and its child. */
  #splitLink(link: number, child: number, key: Int32Array, common: number): void {
    const middle = this.#append(maskKey(key, common), common, NO_PEER);
    const childBit = bitAt(this.#words.subarray(child, child + this.#keyWords), common);
    this.#words[middle + this.#keyWords + CHILD + childBit] = child;
    this.#words[link] = middle;
  }

  #length(node: number): number {
    return this.#words[node + this.#keyWords + LENGTH];
  }

  #setWord(at: number, value: number): void {
    this.#words[at] = value;
  }

  #append(key: Int32Array, length: number, peer: number): number {
    if (this.#used + this.#nodeWords > this.#words.length) {
      const grown = new Int32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    const node = this.#used;
    this.#words.set(key, node);
    this.#words.set([length, peer, NONE, NONE], node + this.#keyWords);
    this.#used += this.#nodeWords;
    return node;
  }

  #commonLength(node: number, key: Int32Array, atMost: number): number {
    for (let word = 0; word * 32 < atMost; word += 1) {
      const differing = Math.clz32(this.#words[node + word] ^ key[word]);
      if (differing < 32) return Math.min(atMost, word * 32 + differing);
    }
    return atMost;
  }
}

function maskedKey(address: Uint8Array, length: number, keyWords: number): Int32Array {
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
  const key = new Int32Array(keyWords);
  for (let word = 0; word < keyWords; word += 1) key[word] = view.getInt32(word * 4);
  return maskKey(key, length);
}

/** A copy of the key with all bits behind `length` zero. */
function maskKey(key: Int32Array, length: number): Int32Array {
  return key.map((word, index) => {
    const bits = Math.max(0, Math.min(32, length - index * 32));
    return bits === 0 ? 0 : word & (-1 << (32 - bits));
  });
}

function bitAt(key: Int32Array, bit: number): number {
  return (key[bit >>> 5] >>> (31 - (bit & 31))) & 1;
}
