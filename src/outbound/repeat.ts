/**
 * Outbound, repeats: the peer reports which counters of a keypair it misses, and gets the very same datagrams once more, over
 * the best other path where there is one. The report is authentic but nothing in it is believed: ranges are cut to what was
 * sent at all, no more counters are looked at than a keypair keeps, and `Repeats` decides on each.
 *
 *     0 - 3  receiver index of the datagrams    4 - 11  base counter    then ranges: 2 bytes offset from the base, 2 bytes count - 1
 */
import type { PeerHistory } from '../history/peer-history.ts';
import { SENT_DATAGRAMS_MAX, type SentIndex, type SentRing } from '../history/sent-ring.ts';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY } from '../ledger/catalog.ts';
import { BOOKS } from '../native/layout.ts';
import { AgainColumn } from './again.ts';
import { SENDING } from './send.ts';

const BASE_OFFSET = 4;
const RANGES_OFFSET = 12;
const RANGE_LENGTH = 4;
const RANGES_MAX = 128;

export class Repeater {
  readonly #lane: LaneContext;
  readonly #column: AgainColumn;
  /** Activity to go on with. */
  #next = 0;

  constructor(lane: LaneContext) {
    this.#lane = lane;
    this.#column = new AgainColumn(lane, SENDING.REPEAT);
  }

  /** Answers a report of gaps, whose body lies at `offset` of the arena. */
  take(history: PeerHistory, offset: number, length: number): void {
    const { native, handle, arena, ledger } = this.#lane;
    const { ring } = history;
    const isWhole = length >= RANGES_OFFSET + RANGE_LENGTH;
    if (ring === null || !isWhole || !history.repeats.admitReport(this.#lane.nowMs())) return;
    const index = ring.indexOf(arena.view.getInt32(offset));
    if (index === null) return;
    this.#next = ledger.books[BOOKS.ACTIVITY];
    native.book(handle, ACTIVITY.USER_TX_HISTORY);
    this.#takeRanges(history, ring, index, offset, length);
    this.#column.send(this.#next);
    // Also where nothing was sent.
    native.book(handle, this.#next);
  }

  #takeRanges(history: PeerHistory, ring: SentRing, index: SentIndex, offset: number, length: number): void {
    const { view } = this.#lane.arena;
    const base = view.getUint32(offset + BASE_OFFSET) * 4_294_967_296 + view.getUint32(offset + BASE_OFFSET + 4);
    const ranges = Math.min(RANGES_MAX, Math.floor((length - RANGES_OFFSET) / RANGE_LENGTH));
    let left = SENT_DATAGRAMS_MAX;
    for (let range = 0; range < ranges && left > 0; range += 1) {
      const at = offset + RANGES_OFFSET + range * RANGE_LENGTH;
      const first = Math.max(base + view.getUint16(at), index.newest - SENT_DATAGRAMS_MAX + 1);
      const end = Math.min(base + view.getUint16(at) + view.getUint16(at + 2), index.newest) + 1;
      for (let counter = first; counter < end && left > 0; counter += 1) {
        this.#takeCounter(history, ring, index, counter);
        left -= 1;
      }
    }
  }

  #takeCounter(history: PeerHistory, ring: SentRing, index: SentIndex, counter: number): void {
    const nowMs = this.#lane.nowMs();
    const slot = history.repeats.take(ring, index, counter, nowMs);
    if (slot === -1) return;
    const length = index.lengths[slot];
    const path = history.choice.takeOther(index.paths[slot], length, nowMs);
    index.paths[slot] = path;
    this.#column.addDatagram(history.peer, ring.offsetOf(index.positions[slot]), length, path, this.#next);
  }
}
