/**
 * Makes parity of a peer's sealed datagrams, which lie in its ring: each is noted as it was sealed, in the order of counters. A
 * block closes when it is full, when its first datagram has waited for FecDelay, or when the keypair changes; when the batch is
 * sent, the parities of all closed blocks follow. They are summed up in the arena's room for control messages, by one native
 * call for all parities of a block, and leave as one group. Nothing is allocated.
 *
 *     onSealed (each datagram) -> [block closes] -> onSent, onDue -> accumulate -> sendMessage
 */
import type { LaneContext } from '../../lane-context.ts';
import { ACTIVITY, COUNTER } from '../../ledger/catalog.ts';
import { ACCUMULATE, BOOKS } from '../../native/layout.ts';
import { NO_PATH } from '../../path/path-types.ts';
import { TRANSPORT_HEADER_LENGTH, TRANSPORT_RECEIVER_OFFSET } from '../../protocol/constants.ts';
import { BLOCK_SPAN, PARITY_HEADER_LENGTH, writeParity } from '../../protocol/parity-message.ts';
import { HISTORY_CELL } from '../history-cells.ts';
import type { PeerHistory, SealedWatch } from '../peer-history.ts';
import { coefficient } from './code.ts';
import { product16 } from './galois.ts';
import { ParityPlan } from './plan.ts';

/** Datagrams, and blocks, between two sendings of parity: more than a batch and an open block have. */
const NOTED_MAX = 1_024;
/** A parity begins with the lengths. */
const LENGTH_BYTES = 2;

export class ParityEncoder implements SealedWatch {
  dueMs: number = Number.POSITIVE_INFINITY;
  readonly #lane: LaneContext;
  readonly #plan: ParityPlan = new ParityPlan();
  /** Datagrams of all blocks, one behind the other: position in the ring, length with header, place in the block. */
  #datagrams = 0;
  readonly #positions: Float64Array = new Float64Array(NOTED_MAX);
  readonly #lengths: Int32Array = new Int32Array(NOTED_MAX);
  readonly #places: Uint8Array = new Uint8Array(NOTED_MAX);
  /** Closed blocks; the open one comes behind them. */
  #closed = 0;
  readonly #indices: Int32Array = new Int32Array(NOTED_MAX);
  readonly #firsts: Float64Array = new Float64Array(NOTED_MAX);
  readonly #masksLow: Int32Array = new Int32Array(NOTED_MAX);
  readonly #masksHigh: Int32Array = new Int32Array(NOTED_MAX);
  readonly #starts: Int32Array = new Int32Array(NOTED_MAX + 1);
  readonly #longest: Int32Array = new Int32Array(NOTED_MAX);
  #isSending = false;

  constructor(lane: LaneContext) {
    this.#lane = lane;
  }

  onSealed(history: PeerHistory, counter: number, offset: number, length: number, atMs: number): void {
    const { settings, ring } = history;
    this.#plan.update(settings, history.paths);
    if (!this.#plan.isOn || ring === null) return;
    const index = this.#lane.arena.view.getInt32(offset + TRANSPORT_RECEIVER_OFFSET, true);
    if (this.#isOpen && !this.#takes(index, counter)) this.#close();
    if (this.#closed === NOTED_MAX || this.#datagrams === NOTED_MAX) return;
    if (!this.#isOpen) this.#open(index, counter, atMs + settings.fec.delayMs);
    this.#add(counter, ring.positionOf(offset), length);
    if (this.#datagrams - this.#starts[this.#closed] >= settings.fec.data) this.#close();
  }

  onSent(history: PeerHistory): void {
    if (this.#closed > 0 && !this.#isSending) this.#send(history);
  }

  onDue(history: PeerHistory, nowMs: number): void {
    if (this.#isOpen && this.dueMs <= nowMs) this.#close();
    this.onSent(history);
  }

  get #isOpen(): boolean {
    return this.#datagrams > this.#starts[this.#closed];
  }

  #takes(index: number, counter: number): boolean {
    return index === this.#indices[this.#closed] && counter - this.#firsts[this.#closed] < BLOCK_SPAN;
  }

  #open(index: number, first: number, dueMs: number): void {
    const block = this.#closed;
    this.#indices[block] = index;
    this.#firsts[block] = first;
    this.#masksLow[block] = 0;
    this.#masksHigh[block] = 0;
    this.#longest[block] = 0;
    this.dueMs = dueMs;
  }

  #add(counter: number, position: number, length: number): void {
    const block = this.#closed;
    const at = this.#datagrams;
    const place = counter - this.#firsts[block];
    this.#positions[at] = position;
    this.#lengths[at] = length;
    this.#places[at] = place;
    if (place < 32) this.#masksLow[block] |= 1 << place;
    else this.#masksHigh[block] |= 1 << (place - 32);
    this.#longest[block] = Math.max(this.#longest[block], length);
    this.#datagrams = at + 1;
  }

  #close(): void {
    this.#closed += 1;
    this.#starts[this.#closed] = this.#datagrams;
    this.dueMs = Number.POSITIVE_INFINITY;
  }

  #send(history: PeerHistory): void {
    const { native, handle, ledger } = this.#lane;
    const next = ledger.books[BOOKS.ACTIVITY];
    this.#isSending = true;
    for (let block = 0; block < this.#closed; block += 1) this.#sendBlock(history, block);
    this.#isSending = false;
    this.#forgetClosed();
    native.book(handle, next);
  }

  /** The open block becomes the first. */
  #forgetClosed(): void {
    const open = this.#closed;
    const start = this.#starts[open];
    this.#positions.copyWithin(0, start, this.#datagrams);
    this.#lengths.copyWithin(0, start, this.#datagrams);
    this.#places.copyWithin(0, start, this.#datagrams);
    this.#indices[0] = this.#indices[open];
    this.#firsts[0] = this.#firsts[open];
    this.#masksLow[0] = this.#masksLow[open];
    this.#masksHigh[0] = this.#masksHigh[open];
    this.#longest[0] = this.#longest[open];
    this.#datagrams -= start;
    this.#closed = 0;
  }

  /** Sends a block's parities, as many at a time as there is room for. */
  #sendBlock(history: PeerHistory, block: number): void {
    const { arena, native, handle, sender, ledger } = this.#lane;
    const parities = this.#plan.parities(this.#starts[block + 1] - this.#starts[block]);
    const covered = LENGTH_BYTES + this.#longest[block] - TRANSPORT_HEADER_LENGTH;
    const stride = (PARITY_HEADER_LENGTH + covered + 15) & ~15;
    const atOnce = Math.floor(arena.controlOutLength / stride);
    for (let from = 0; from < parities; from += atOnce) {
      native.book(handle, ACTIVITY.USER_TX_HISTORY);
      const count = Math.min(atOnce, parities - from);
      if (!this.#sum(history, block, from, count, stride, covered)) return;
      for (let number = from; number < from + count; number += 1)
        this.#writeHeader(block, number, parities, arena.controlOut + (number - from) * stride, covered);
      const length = PARITY_HEADER_LENGTH + covered;
      if (!sender?.sendMessage(history.peer, arena.controlOut, length, NO_PATH, count, stride)) return;
      ledger.counts[COUNTER.PARITY_TX] += count;
      history.cells[HISTORY_CELL.PARITY_TX] += count;
    }
  }

  /** Sums up `count` parities from number `from` on; false if a datagram is gone from the ring. */
  #sum({ ring }: PeerHistory, block: number, from: number, count: number, stride: number, covered: number): boolean {
    const { native, handle, arena } = this.#lane;
    const { words, controlOut, accumulates } = arena;
    for (let parity = 0; parity < count; parity += 1) {
      const sum = (controlOut + parity * stride + PARITY_HEADER_LENGTH) >> 2;
      // By words: shared memory is filled one element after the other.
      words.fill(0, sum, sum + ((covered + 3) >> 2));
    }
    let at = accumulates >> 2;
    for (let datagram = this.#starts[block]; datagram < this.#starts[block + 1]; datagram += 1) {
      const offset = ring === null ? -1 : ring.offsetOf(this.#positions[datagram]);
      if (offset === -1) return false;
      for (let parity = 0; parity < count; parity += 1) {
        words[at + ACCUMULATE.IN_OFFSET] = offset + TRANSPORT_HEADER_LENGTH;
        words[at + ACCUMULATE.OUT_OFFSET] = controlOut + parity * stride + PARITY_HEADER_LENGTH + LENGTH_BYTES;
        words[at + ACCUMULATE.LENGTH] = this.#lengths[datagram] - TRANSPORT_HEADER_LENGTH;
        words[at + ACCUMULATE.COEFFICIENT] = coefficient(from + parity, this.#places[datagram]);
        at += ACCUMULATE.WORDS;
      }
    }
    const products = (at - (accumulates >> 2)) / ACCUMULATE.WORDS;
    native.accumulate(handle, accumulates, products, ACTIVITY.USER_TX_HISTORY);
    return true;
  }

  #writeHeader(block: number, number: number, parities: number, offset: number, covered: number): void {
    const { view } = this.#lane.arena;
    let lengths = 0;
    for (let datagram = this.#starts[block]; datagram < this.#starts[block + 1]; datagram += 1)
      lengths ^= product16(
        coefficient(number, this.#places[datagram]),
        this.#lengths[datagram] - TRANSPORT_HEADER_LENGTH,
      );
    const index = this.#indices[block];
    const maskLow = this.#masksLow[block];
    const maskHigh = this.#masksHigh[block];
    writeParity(view, offset, index, this.#firsts[block], maskLow, maskHigh, number, parities, covered);
    view.setUint16(offset + PARITY_HEADER_LENGTH, lengths);
  }
}
