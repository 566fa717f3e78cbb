/**
 * Which peer has which prefix: the control lane's book of allowed IPs, of which the lanes' routing tables are built. A prefix
 * has one owner; who gets it takes it from the other. Each peer's prefixes are kept in the order in which it got them.
 *
 * There may be hundreds of thousands, so that an entry is some numbers in columns and no object: its address, its length,
 * its owner, its neighbours among the owner's prefixes, and the next with the same hash.
 */
import { maskedWord } from './allowed-ips.ts';
import { type PrefixColumns, TableBuilder } from './allowed-ips-builder.ts';

export interface Prefix {
  /** 4 or 16 bytes in wire order. */
  readonly address: Uint8Array;
  /** Prefix length, 0 to 32 or 128. */
  readonly length: number;
}

const NONE = -1;
const WORDS = 4;
const ENTRIES_FIRST = 64;
/** In the column of lengths: IPv6 prefixes have it set. */
const IPV6 = 0x100;
const LENGTH_MASK = 0xff;
/** Odd, with about half of the bits set: it spreads what is counted up (Knuth, "The Art of Computer Programming", 6.4). */
const MULTIPLIER = 0x9e3779b1;

export class PrefixOwners {
  /** Masked address words, WORDS per entry; IPv4 has one. */
  #keys: Int32Array = new Int32Array(ENTRIES_FIRST * WORDS);
  #shapes: Uint16Array = new Uint16Array(ENTRIES_FIRST);
  #owners: Int32Array = new Int32Array(ENTRIES_FIRST);
  #before: Int32Array = new Int32Array(ENTRIES_FIRST);
  /** The owner's next prefix; of a free entry, the next free one. */
  #after: Int32Array = new Int32Array(ENTRIES_FIRST);
  #nextOfHash: Int32Array = new Int32Array(ENTRIES_FIRST);
  #firstOfHash: Int32Array = new Int32Array(ENTRIES_FIRST).fill(NONE);
  #firstFree = NONE;
  #used = 0;
  #count = 0;
  /** By peer. */
  readonly #first: number[] = [];
  readonly #last: number[] = [];
  /** The prefix at hand: its masked words and its shape. */
  readonly #key: Int32Array = new Int32Array(WORDS);
  #shape = 0;
  /** As built last; null when its prefixes have changed since. */
  readonly #tables: { 4: Int32Array | null; 6: Int32Array | null } = { 4: null, 6: null };

  /** Prefixes that have an owner. */
  get count(): number {
    return this.#count;
  }

  /** Gives a prefix to a peer, as its last; bits behind its length are ignored. Says whether it had another owner, or none. */
  add(prefix: Prefix, peer: number): boolean {
    this.#hold(prefix);
    const known = this.#find();
    const isNew = known === NONE || this.#owners[known] !== peer;
    if (known !== NONE) this.#unlink(known);
    if (isNew) this.#changed(this.#shape);
    this.#link(known === NONE ? this.#append() : known, peer);
    return isNew;
  }

  /** Takes a prefix from a peer; says whether it was its owner. */
  remove(prefix: Prefix, peer: number): boolean {
    this.#hold(prefix);
    const entry = this.#find();
    if (entry === NONE || this.#owners[entry] !== peer) return false;
    this.#free(entry);
    return true;
  }

  /** Takes all prefixes from a peer; says whether it had any. */
  removeAll(peer: number): boolean {
    const had = (this.#first[peer] ?? NONE) !== NONE;
    for (let entry = this.#first[peer] ?? NONE; entry !== NONE; entry = this.#first[peer] ?? NONE) this.#free(entry);
    return had;
  }

  /** A peer's prefixes, in order. */
  of(peer: number): Prefix[] {
    const prefixes: Prefix[] = [];
    for (let entry = this.#first[peer] ?? NONE; entry !== NONE; entry = this.#after[entry])
      prefixes.push(this.#prefixAt(entry));
    return prefixes;
  }

  /** Routing table of one family's prefixes, in shared memory; the same as before while they are the same. Not to be written to. */
  table(family: 4 | 6): Int32Array {
    const keyWords = family === 4 ? 1 : 4;
    this.#tables[family] ??= new TableBuilder(this.#columns(this.#entriesOf(family), keyWords), keyWords).finish();
    return this.#tables[family];
  }

  #changed(shape: number): void {
    this.#tables[(shape & IPV6) === 0 ? 4 : 6] = null;
  }

  #entriesOf(family: 4 | 6): Int32Array {
    const entries = new Int32Array(this.#used);
    const flag = family === 4 ? 0 : IPV6;
    let count = 0;
    for (let entry = 0; entry < this.#used; entry += 1) {
      if (this.#owners[entry] < 0 || (this.#shapes[entry] & IPV6) !== flag) continue;
      entries[count] = entry;
      count += 1;
    }
    return entries.subarray(0, count);
  }

  #columns(entries: Int32Array, keyWords: 1 | 4): PrefixColumns {
    const keys = new Int32Array(entries.length * keyWords);
    entries.forEach((entry, at) => {
      for (let word = 0; word < keyWords; word += 1) keys[at * keyWords + word] = this.#keys[entry * WORDS + word];
    });
    const lengths = Uint8Array.from(entries, (entry) => this.#shapes[entry] & LENGTH_MASK);
    return { keys, lengths, peers: entries.map((entry) => this.#owners[entry]) };
  }

  #hold({ address, length }: Prefix): void {
    this.#shape = length | (address.length === 16 ? IPV6 : 0);
    for (let word = 0; word < WORDS; word += 1)
      this.#key[word] = word * 4 < address.length ? maskedWord(address, length, word) : 0;
  }

  #hash(keys: Int32Array, at: number, shape: number): number {
    let hash = shape;
    for (let word = 0; word < WORDS; word += 1) hash = Math.imul(hash ^ (hash >>> 15) ^ keys[at + word], MULTIPLIER);
    return (hash ^ (hash >>> 15)) & (this.#firstOfHash.length - 1);
  }

  /** The entry of the prefix at hand. */
  #find(): number {
    let entry = this.#firstOfHash[this.#hash(this.#key, 0, this.#shape)];
    while (entry !== NONE && !this.#isHeld(entry)) entry = this.#nextOfHash[entry];
    return entry;
  }

  #isHeld(entry: number): boolean {
    if (this.#shapes[entry] !== this.#shape) return false;
    for (let word = 0; word < WORDS; word += 1) if (this.#keys[entry * WORDS + word] !== this.#key[word]) return false;
    return true;
  }

  /** An entry for the prefix at hand, found by its hash, of no owner yet. */
  #append(): number {
    if (this.#firstFree === NONE && this.#used === this.#shapes.length) this.#grow();
    const entry = this.#firstFree === NONE ? this.#used : this.#firstFree;
    if (entry === this.#firstFree) this.#firstFree = this.#after[entry];
    else this.#used += 1;
    this.#keys.set(this.#key, entry * WORDS);
    this.#shapes[entry] = this.#shape;
    this.#enter(entry);
    this.#count += 1;
    return entry;
  }

  #enter(entry: number): void {
    const hash = this.#hash(this.#keys, entry * WORDS, this.#shapes[entry]);
    this.#nextOfHash[entry] = this.#firstOfHash[hash];
    this.#firstOfHash[hash] = entry;
  }

  #free(entry: number): void {
    this.#changed(this.#shapes[entry]);
    this.#unlink(entry);
    const hash = this.#hash(this.#keys, entry * WORDS, this.#shapes[entry]);
    if (this.#firstOfHash[hash] === entry) this.#firstOfHash[hash] = this.#nextOfHash[entry];
    else {
      let before = this.#firstOfHash[hash];
      while (this.#nextOfHash[before] !== entry) before = this.#nextOfHash[before];
      this.#nextOfHash[before] = this.#nextOfHash[entry];
    }
    this.#owners[entry] = NONE;
    this.#after[entry] = this.#firstFree;
    this.#firstFree = entry;
    this.#count -= 1;
  }

  #link(entry: number, peer: number): void {
    const last = this.#last[peer] ?? NONE;
    this.#owners[entry] = peer;
    this.#before[entry] = last;
    this.#after[entry] = NONE;
    if (last === NONE) this.#first[peer] = entry;
    else this.#after[last] = entry;
    this.#last[peer] = entry;
  }

  #unlink(entry: number): void {
    const peer = this.#owners[entry];
    const before = this.#before[entry];
    const after = this.#after[entry];
    if (before === NONE) this.#first[peer] = after;
    else this.#after[before] = after;
    if (after === NONE) this.#last[peer] = before;
    else this.#before[after] = before;
  }

  #grow(): void {
    const entries = this.#shapes.length * 2;
    this.#keys = grown(this.#keys, new Int32Array(entries * WORDS));
    this.#shapes = grown(this.#shapes, new Uint16Array(entries));
    this.#owners = grown(this.#owners, new Int32Array(entries));
    this.#before = grown(this.#before, new Int32Array(entries));
    this.#after = grown(this.#after, new Int32Array(entries));
    this.#nextOfHash = new Int32Array(entries);
    this.#firstOfHash = new Int32Array(entries).fill(NONE);
    for (let entry = 0; entry < this.#used; entry += 1) this.#enter(entry);
  }

  #prefixAt(entry: number): Prefix {
    const shape = this.#shapes[entry];
    const address = new Uint8Array((shape & IPV6) === 0 ? 4 : 16);
    for (let at = 0; at < address.length; at += 1)
      address[at] = this.#keys[entry * WORDS + (at >> 2)] >>> (24 - 8 * (at & 3));
    return { address, length: shape & LENGTH_MASK };
  }
}

function grown<Column extends Int32Array | Uint16Array>(column: Column, into: Column): Column {
  into.set(column);
  return into;
}
