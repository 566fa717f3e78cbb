/**
 * Remakes datagrams that got lost from those that came and from parity. From the first parity message on, the sealed bytes of
 * what comes are kept for a while; a parity message says which datagrams it covers, and if as many are missing as there are
 * parities, or fewer, they follow from the rest. What is remade is nothing but a guess until its tag was found good, on the way of
 * all datagrams: so a peer that lies about its parity, which only it can do, wastes its own losses.
 *
 *     keep (each run, sealed) -> confirm -> takeParity -> [missing? -> accumulate -> inject]
 */
import type { InboundBatch } from '../../inbound/batch.ts';
import type { LaneContext } from '../../lane-context.ts';
import { UNSEAL } from '../../native/layout.ts';
import {
  BLOCK_SPAN,
  PARITY_HEADER_LENGTH,
  parityFirst,
  parityIndex,
  parityLength,
  parityMaskHigh,
  parityMaskLow,
  parityNumber,
} from '../../protocol/parity-message.ts';
import type { LaneKeypair } from '../../tables/peers.ts';
import { HISTORY_CELL } from '../history-cells.ts';
import type { ParityReceiver } from '../parity-receiver.ts';
import type { PeerHistory } from '../peer-history.ts';
import { KEPT_BYTES, REMADE_BYTES } from '../settings.ts';
import { BLOCKS_MAX, ParityBlocks } from './blocks.ts';
import { KeptDatagrams } from './kept.ts';
import { Remaker } from './remake.ts';

/** Without parity for so long, nothing is kept any more, ms. */
const IDLE_MS = 10_000;

export class ParityDecoder implements ParityReceiver {
  readonly #lane: LaneContext;
  readonly #history: PeerHistory;
  readonly #blocks: ParityBlocks = new ParityBlocks();
  #kept: KeptDatagrams | null = null;
  #remaker: Remaker | null = null;
  #memory = -1;
  #heardMs = Number.NEGATIVE_INFINITY;
  /** The newest datagram that came, and its keypair's index. */
  #newest = -1;
  #newestIndex = 0;

  constructor(lane: LaneContext, history: PeerHistory) {
    this.#lane = lane;
    this.#history = history;
  }

  keep(batch: InboundBatch, keypair: LaneKeypair, first: number, end: number): void {
    const kept = this.#kept;
    if (kept === null || !this.isExpecting(this.#lane.nowMs())) return;
    const { bytes, words, unseals } = this.#lane.arena;
    for (let message = first; message < end; message += 1) {
      const unseal = (unseals >> 2) + message * UNSEAL.WORDS;
      const offset = words[unseal + UNSEAL.OFFSET];
      const length = words[unseal + UNSEAL.LENGTH];
      kept.putDatagram(bytes, message, keypair.localIndex, batch.counters[message], offset, length);
    }
  }

  confirm(batch: InboundBatch, keypair: LaneKeypair, first: number, end: number): void {
    const kept = this.#kept;
    if (kept === null || batch.isRemade) return;
    const { localIndex } = keypair;
    if (localIndex !== this.#newestIndex) this.#newest = -1;
    this.#newestIndex = localIndex;
    let isLate = false;
    for (let message = first; message < end; message += 1) {
      const counter = batch.counters[message];
      if (batch.fresh[message] === 0) {
        kept.refuse(message, localIndex, counter);
        continue;
      }
      kept.confirm(message, localIndex, counter);
      if (counter < this.#newest) isLate = true;
      else this.#newest = counter;
    }
    // A block that waits lacks older ones than its parity.
    if (isLate && this.#blocks.waiting > 0) this.#tryWaiting();
  }

  takeParity(offset: number, length: number, path: number): void {
    const { view } = this.#lane.arena;
    const covered = parityLength(view, offset, length);
    const keypair = covered === 0 ? undefined : this.#lane.receivers.get(parityIndex(view, offset));
    if (keypair === undefined || keypair.peer !== this.#history.peer) this.#refuse();
    else if (this.#begin()) this.#takeBlock(keypair, offset, covered, path);
  }

  /** Whether parity came lately, so that what is missing may be remade. */
  isExpecting(nowMs: number): boolean {
    return nowMs - this.#heardMs < IDLE_MS;
  }

  /** Gives memory back; the object is of no use any more. */
  close(): void {
    if (this.#memory !== -1) this.#lane.historyPool.release(this.#memory);
    this.#memory = -1;
    this.#kept = null;
    this.#remaker = null;
  }

  /** There is parity: from now on datagrams are kept. False without memory for it. */
  #begin(): boolean {
    this.#heardMs = this.#lane.nowMs();
    if (this.#kept !== null) return true;
    this.#memory = this.#lane.historyPool.take(KEPT_BYTES + REMADE_BYTES);
    if (this.#memory === -1) return false;
    this.#kept = new KeptDatagrams(this.#memory, KEPT_BYTES);
    this.#remaker = new Remaker(this.#lane, this.#kept, this.#blocks, this.#memory + KEPT_BYTES);
    return true;
  }

  #takeBlock(keypair: LaneKeypair, offset: number, covered: number, path: number): void {
    const { view, bytes } = this.#lane.arena;
    const blocks = this.#blocks;
    const first = parityFirst(view, offset);
    const maskLow = parityMaskLow(view, offset);
    const maskHigh = parityMaskHigh(view, offset);
    let block = blocks.find(keypair, first);
    if (block === -1) {
      if (this.#isWhole(keypair, first, maskLow, maskHigh)) return;
      block = blocks.add(keypair, first, maskLow, maskHigh, covered);
    }
    const isSame =
      blocks.masksLow[block] === maskLow && blocks.masksHigh[block] === maskHigh && blocks.covered[block] === covered;
    if (!isSame) this.#refuse();
    else if (blocks.isDone[block] === 0 && this.#kept !== null) {
      const number = parityNumber(view, offset);
      blocks.putParity(block, number, this.#kept.put(bytes, offset + PARITY_HEADER_LENGTH, covered));
      blocks.paths[block] = path;
      this.#try(block);
    }
  }

  /** Whether all datagrams of a block are there. */
  #isWhole(keypair: LaneKeypair, first: number, maskLow: number, maskHigh: number): boolean {
    for (let place = 0; place < BLOCK_SPAN; place += 1) {
      const isIn = place < 32 ? (maskLow >>> place) & 1 : (maskHigh >>> (place - 32)) & 1;
      if (isIn === 1 && this.#kept?.slotOf(keypair.localIndex, first + place) === -1) return false;
    }
    return true;
  }

  /** Something late came: it may be what a block waited for. */
  #tryWaiting(): void {
    for (let block = 0; block < BLOCKS_MAX; block += 1)
      if (this.#blocks.keypairs[block] !== null && this.#blocks.isDone[block] === 0) this.#try(block);
  }

  #try(block: number): void {
    const refused = this.#remaker?.tryBlock(block) ?? 0;
    this.#history.cells[HISTORY_CELL.REMADE_REFUSED] += refused;
  }

  #refuse(): void {
    this.#history.cells[HISTORY_CELL.PARITY_REFUSED] += 1;
  }
}
