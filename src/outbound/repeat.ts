/**
 * Outbound, repeats: the peer reports which counters of a keypair it misses, and gets the very same datagrams once more, over
 * the best other path where there is one. The report is authentic but nothing in it is believed: ranges are cut to what was
 * sent at all, and `Repeats` decides on each counter. What is not kept, and so never repeated, the peer is told of (`gone.ts`).
 */
import type { PeerHistory } from '../history/peer-history.ts';
import { SENT_DATAGRAMS_MAX, type SentIndex, type SentRing } from '../history/sent-ring.ts';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY } from '../ledger/catalog.ts';
import { BOOKS } from '../native/layout.ts';
import { NO_PATH } from '../path/path-types.ts';
import { gapCount, gapFirst, gapsIndex, gapsRanges } from '../protocol/gaps-message.ts';
import { AgainColumn } from './again.ts';
import { GoneList } from './gone.ts';
import { SENDING } from './send.ts';

export class Repeater {
  readonly #lane: LaneContext;
  readonly #column: AgainColumn;
  readonly #gone: GoneList;
  /** Activity to go on with. */
  #next = 0;

  constructor(lane: LaneContext) {
    this.#lane = lane;
    this.#column = new AgainColumn(lane, SENDING.REPEAT);
    this.#gone = new GoneList(lane);
  }

  /** Answers a report of gaps whose plaintext lies at `offset` of the arena, `length` bytes with padding. */
  take(history: PeerHistory, view: DataView, offset: number, length: number): void {
    const { native, handle, ledger } = this.#lane;
    const { ring } = history;
    if (ring === null || !history.repeats.admitReport(this.#lane.nowMs())) return;
    const ranges = gapsRanges(view, offset, length);
    const index = ranges === 0 ? null : ring.indexOf(gapsIndex(view, offset));
    if (index === null) return;
    this.#next = ledger.books[BOOKS.ACTIVITY];
    native.book(handle, ACTIVITY.USER_TX_HISTORY);
    this.#gone.begin(ranges);
    for (let range = 0; range < ranges; range += 1) {
      const first = gapFirst(view, offset, range);
      this.#takeRange(history, ring, index, first, first + gapCount(view, offset, range));
    }
    this.#column.send(this.#next);
    this.#gone.send(history, index.remoteIndex);
    // Also where nothing was sent.
    native.book(handle, this.#next);
  }

  /**
   * The path that carried data is dead: what was sent over it last is sent again over the one that does now, before the peer
   * can miss it: the newest, as far as there is a budget for what nobody has asked for.
   */
  resend(history: PeerHistory): void {
    const { ring, leftPath, repeats } = history;
    history.leftPath = NO_PATH;
    if (ring === null || leftPath === NO_PATH || !history.sendsTails) return;
    const nowMs = this.#lane.nowMs();
    const index = ring.present;
    this.#next = ACTIVITY.USER_CONTROL;
    for (let counter = oldestOf(index, leftPath, repeats.resendBytes); counter <= index.newest; counter += 1) {
      const slot = index.slotOf(counter);
      if (slot === -1 || index.paths[slot] !== leftPath || !repeats.volunteer(ring, index, slot, nowMs)) continue;
      const length = index.lengths[slot];
      const path = history.choice.take(length, nowMs);
      index.paths[slot] = path;
      this.#column.addDatagram(history.peer, ring.offsetOf(index.positions[slot]), length, path, this.#next);
    }
    this.#column.send(this.#next);
  }

  /** A report spans no more counters than an index holds, so that looking at one is bounded. */
  #takeRange(history: PeerHistory, ring: SentRing, index: SentIndex, first: number, end: number): void {
    const from = Math.max(first, index.newest - SENT_DATAGRAMS_MAX + 1);
    const wanted = Math.min(end, index.newest + 1) - from;
    const limit = from + history.repeats.admitLooks(wanted, this.#lane.nowMs());
    for (let counter = from; counter < limit; counter += 1) this.#takeCounter(history, ring, index, counter);
  }

  #takeCounter(history: PeerHistory, ring: SentRing, index: SentIndex, counter: number): void {
    const nowMs = this.#lane.nowMs();
    const slot = history.repeats.take(ring, index, counter, nowMs);
    if (slot === -1) {
      if (!isKept(ring, index, counter)) this.#gone.add(counter);
      return;
    }
    const length = index.lengths[slot];
    const path = history.choice.takeOther(index.paths[slot], length, nowMs);
    index.paths[slot] = path;
    this.#column.addDatagram(history.peer, ring.offsetOf(index.positions[slot]), length, path, this.#next);
  }
}

/** Whether a datagram that was sent may ever be repeated. */
function isKept(ring: SentRing, index: SentIndex, counter: number): boolean {
  const slot = index.slotOf(counter);
  return slot !== -1 && ring.offsetOf(index.positions[slot]) !== -1;
}

/** Counter from which on no more than `bytesMax` were sent over a path. */
function oldestOf(index: SentIndex, path: number, bytesMax: number): number {
  let bytes = 0;
  let counter = index.newest;
  for (; counter >= 0; counter -= 1) {
    const slot = index.slotOf(counter);
    if (slot === -1) break;
    if (index.paths[slot] === path) bytes += index.lengths[slot];
    if (bytes > bytesMax) break;
  }
  return counter + 1;
}
