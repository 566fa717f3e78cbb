/**
 * The equations of a block: with as many parities as datagrams are missing, each missing one is a sum of products of parities and
 * of the datagrams that are there. Its length comes first: by that a wrong one mostly shows before much is done.
 */
import type { LaneContext } from '../../lane-context.ts';
import { ACTIVITY } from '../../ledger/catalog.ts';
import { ACCUMULATE, BOOKS } from '../../native/layout.ts';
import { TAG_LENGTH, TRANSPORT_HEADER_LENGTH } from '../../protocol/constants.ts';
import { BLOCK_PARITIES_MAX, BLOCK_SPAN } from '../../protocol/parity-message.ts';
import { REMADE_BYTES } from '../settings.ts';
import type { ParityBlocks } from './blocks.ts';
import { coefficient } from './code.ts';
import { invert, product, product16 } from './galois.ts';
import type { KeptDatagrams } from './kept.ts';

/** A parity begins with the lengths. */
const LENGTH_BYTES = 2;

export class Remaker {
  readonly #lane: LaneContext;
  readonly #kept: KeptDatagrams;
  readonly #blocks: ParityBlocks;
  /** Where what is remade lies, and how much of it there is. */
  readonly #offset: number;
  #used = 0;
  /** Of the block at hand: places that are missing, and the numbers of as many parities. */
  #missing = 0;
  readonly #places: Uint8Array = new Uint8Array(BLOCK_PARITIES_MAX);
  readonly #numbers: Uint8Array = new Uint8Array(BLOCK_PARITIES_MAX);
  readonly #matrix: Uint8Array = new Uint8Array(BLOCK_PARITIES_MAX * BLOCK_PARITIES_MAX);
  readonly #inverted: Uint8Array = new Uint8Array(BLOCK_PARITIES_MAX * BLOCK_PARITIES_MAX);

  /** `offset`: of REMADE_BYTES in the arena. */
  constructor(lane: LaneContext, kept: KeptDatagrams, blocks: ParityBlocks, offset: number) {
    this.#lane = lane;
    this.#kept = kept;
    this.#blocks = blocks;
    this.#offset = offset;
  }

  /** Remakes what is missing of a block if that is possible by now. Returns how many cannot be what was sent. */
  tryBlock(block: number): number {
    if (!this.#findMissing(block)) return 0;
    if (this.#missing > 0 && !this.#findParities(block)) return 0;
    this.#blocks.finish(block);
    if (this.#missing === 0) return 0;
    const { native, handle, ledger } = this.#lane;
    const next = ledger.books[BOOKS.ACTIVITY];
    native.book(handle, ACTIVITY.USER_RX_HISTORY);
    const refused = this.#remakeAll(block);
    native.book(handle, next);
    return refused;
  }

  /** False if more are missing than can ever be remade. */
  #findMissing(block: number): boolean {
    const blocks = this.#blocks;
    this.#missing = 0;
    for (let place = 0; place < BLOCK_SPAN; place += 1) {
      if (!blocks.has(block, place) || this.#slotOf(block, place) !== -1) continue;
      if (this.#missing === BLOCK_PARITIES_MAX) return false;
      this.#places[this.#missing] = place;
      this.#missing += 1;
    }
    return true;
  }

  /** Takes as many parities as are missing; false if there are fewer. */
  #findParities(block: number): boolean {
    const { parities, positions } = this.#blocks;
    let found = 0;
    for (let number = 0; number < BLOCK_PARITIES_MAX && found < this.#missing; number += 1) {
      const isThere = ((parities[block] >>> number) & 1) === 1;
      if (!isThere || !this.#kept.holds(positions[block * BLOCK_PARITIES_MAX + number])) continue;
      this.#numbers[found] = number;
      found += 1;
    }
    return found === this.#missing;
  }

  #remakeAll(block: number): number {
    const size = this.#missing;
    for (let row = 0; row < size; row += 1)
      for (let column = 0; column < size; column += 1)
        this.#matrix[row * size + column] = coefficient(this.#numbers[row], this.#places[column]);
    if (!invert(this.#matrix, this.#inverted, size)) return size;
    let refused = 0;
    for (let missing = 0; missing < size; missing += 1) if (!this.#remake(block, missing)) refused += 1;
    return refused;
  }

  /** Remakes the missing datagram of this number and hands it over. */
  #remake(block: number, missing: number): boolean {
    const { injector } = this.#lane;
    const { covered, firsts, keypairs, paths } = this.#blocks;
    const length = this.#lengthOf(block, missing);
    const keypair = keypairs[block];
    if (keypair === null || length < TAG_LENGTH || length > covered[block] - LENGTH_BYTES) return false;
    if (injector?.waiting === 0) this.#used = 0;
    const room = (TRANSPORT_HEADER_LENGTH + length + 15) & ~15;
    if (this.#used + room > REMADE_BYTES) return false;
    const out = this.#offset + this.#used + TRANSPORT_HEADER_LENGTH;
    this.#used += room;
    this.#sum(block, missing, out, length);
    const counter = firsts[block] + this.#places[missing];
    return injector?.inject(keypair, counter, out, length, paths[block]) ?? false;
  }

  /** Bytes of ciphertext and tag that a missing datagram had. */
  #lengthOf(block: number, missing: number): number {
    const { view } = this.#lane.arena;
    let length = 0;
    for (let parity = 0; parity < this.#missing; parity += 1)
      length ^= product16(this.#ofParity(missing, parity), view.getUint16(this.#parityOffset(block, parity)));
    for (let place = 0; place < BLOCK_SPAN; place += 1) {
      const slot = this.#blocks.has(block, place) ? this.#slotOf(block, place) : -1;
      if (slot !== -1) length ^= product16(this.#ofDatagram(missing, place), this.#kept.lengthIn(slot));
    }
    return length;
  }

  #sum(block: number, missing: number, out: number, length: number): void {
    const { native, handle, arena } = this.#lane;
    const blocks = this.#blocks;
    // By words, as the room is: shared memory is filled one element after the other.
    arena.words.fill(0, out >> 2, (out + length + 3) >> 2);
    let products = 0;
    for (let parity = 0; parity < this.#missing; parity += 1) {
      const offset = this.#parityOffset(block, parity) + LENGTH_BYTES;
      this.#addProduct(products, offset, out, length, this.#ofParity(missing, parity));
      products += 1;
    }
    for (let place = 0; place < BLOCK_SPAN; place += 1) {
      const slot = blocks.has(block, place) ? this.#slotOf(block, place) : -1;
      if (slot === -1) continue;
      const there = Math.min(length, this.#kept.lengthIn(slot));
      this.#addProduct(products, this.#kept.offsetIn(slot), out, there, this.#ofDatagram(missing, place));
      products += 1;
    }
    native.accumulate(handle, arena.accumulates, products, ACTIVITY.USER_RX_HISTORY);
  }

  #addProduct(product: number, offset: number, out: number, length: number, factor: number): void {
    const { words, accumulates } = this.#lane.arena;
    const at = (accumulates >> 2) + product * ACCUMULATE.WORDS;
    words[at + ACCUMULATE.IN_OFFSET] = offset;
    words[at + ACCUMULATE.OUT_OFFSET] = out;
    words[at + ACCUMULATE.LENGTH] = length;
    words[at + ACCUMULATE.COEFFICIENT] = factor;
  }

  /** What a parity counts in a missing datagram. */
  #ofParity(missing: number, parity: number): number {
    return this.#inverted[missing * this.#missing + parity];
  }

  /** What a datagram that is there counts in a missing one: what it counts in the parities, which it is to be taken out of. */
  #ofDatagram(missing: number, place: number): number {
    let factor = 0;
    for (let parity = 0; parity < this.#missing; parity += 1)
      factor ^= product(this.#ofParity(missing, parity), coefficient(this.#numbers[parity], place));
    return factor;
  }

  #slotOf(block: number, place: number): number {
    const { keypairs, firsts } = this.#blocks;
    return this.#kept.slotOf(keypairs[block]?.localIndex ?? 0, firsts[block] + place);
  }

  #parityOffset(block: number, parity: number): number {
    return this.#kept.offsetOf(this.#blocks.positions[block * BLOCK_PARITIES_MAX + this.#numbers[parity]]);
  }
}
