/**
 * Numbers that a device gives out: receiver indices, which strangers see and which are therefore random, and dense
 * numbers for slots in tables, smallest free first.
 */

/** Hears of each index (int32) that comes into use and of each that is free again. */
export interface IndexWatcher {
  take(index: number): void;
  release(index: number): void;
}

/** Finds by receiver index whose handshake or keypair it is. */
export class IndexTable<Owner> {
  readonly #owners = new Map<number, Owner>();
  readonly #random: (length: number) => Uint8Array;
  readonly #watcher: IndexWatcher | null;

  constructor(random: (length: number) => Uint8Array, watcher: IndexWatcher | null = null) {
    this.#random = random;
    this.#watcher = watcher;
  }

  /** A random int32, not 0 and not in use. */
  take(owner: Owner): number {
    for (;;) {
      const bytes = this.#random(4);
      const index = new DataView(bytes.buffer, bytes.byteOffset, 4).getInt32(0, true);
      if (index === 0 || this.#owners.has(index)) continue;
      this.#owners.set(index, owner);
      this.#watcher?.take(index);
      return index;
    }
  }

  find(index: number): Owner | undefined {
    return this.#owners.get(index);
  }

  release(index: number): void {
    if (this.#owners.delete(index)) this.#watcher?.release(index);
  }
}

/** Whole numbers from 0, the smallest free one first. */
export class DenseIds {
  readonly #taken: boolean[] = [];
  #smallestFree = 0;

  take(): number {
    const id = this.#smallestFree;
    this.#taken[id] = true;
    while (this.#taken[this.#smallestFree] === true) this.#smallestFree++;
    return id;
  }

  release(id: number): void {
    this.#taken[id] = false;
    this.#smallestFree = Math.min(this.#smallestFree, id);
  }
}
