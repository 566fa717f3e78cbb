/**
 * Inbound, write: packets and super-packets to the TUN, one `writev` each, all of a batch in one native call. A write
 * is a list of pieces in the arena: the first starts with the virtio header, which lies in the bytes just before the
 * first inner packet (where its transport header was); payloads of merged packets follow, so that nothing is copied.
 */
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { TUN_WRITE } from '../native/layout.ts';
import { LIMIT } from '../packet/arena.ts';
import { DROP } from '../packet/drop-reason.ts';
import { gsoTypeOf, repeatSingly } from './repeat.ts';

const { TUN_TX, TUN_TX_BYTES } = COUNTER;
const ERRNO = { EIO: 5, EAGAIN: 11, EINVAL: 22, ENOBUFS: 105 } as const;

export class TunWriter {
  readonly #lane: LaneContext;
  #writes = 0;
  #pieces = 0;
  #packets = 0;
  /** Inner bytes per write, for the counters. */
  readonly #bytes: Int32Array = new Int32Array(LIMIT.WRITES);

  constructor(lane: LaneContext) {
    this.#lane = lane;
  }

  /** Appends a write of `count` pieces, taken from pairs (offset, length) in `pieces` from index `at` on. */
  append(pieces: Int32Array, at: number, count: number, packets: number, innerBytes: number): void {
    if (this.#writes === LIMIT.WRITES || this.#pieces + count > LIMIT.PIECES) this.flush();
    const { words, writes, pieces: region } = this.#lane.arena;
    const write = (writes >> 2) + this.#writes * TUN_WRITE.WORDS;
    const to = (region >> 2) + this.#pieces * 2;
    words[write + TUN_WRITE.PIECES_OFFSET] = to << 2;
    words[write + TUN_WRITE.PIECES_COUNT] = count;
    words[write + TUN_WRITE.PACKETS] = packets;
    for (let word = 0; word < count * 2; word += 1) words[to + word] = pieces[at + word];
    this.#bytes[this.#writes] = innerBytes;
    this.#writes += 1;
    this.#pieces += count;
    this.#packets += packets;
  }

  flush(): void {
    if (this.#writes === 0) return;
    const { native, handle, arena, ledger } = this.#lane;
    const good = native.writeTun(handle, arena.writes, this.#writes, ACTIVITY.USER_UDP_TO_TUN);
    if (good === this.#writes) {
      ledger.counts[TUN_TX] += this.#packets;
      for (let write = 0; write < this.#writes; write += 1) ledger.counts[TUN_TX_BYTES] += this.#bytes[write];
    } else this.#countEach();
    this.#writes = 0;
    this.#pieces = 0;
    this.#packets = 0;
  }

  #countEach(): void {
    const { arena, ledger } = this.#lane;
    for (let write = 0; write < this.#writes; write += 1) {
      const at = (arena.writes >> 2) + write * TUN_WRITE.WORDS;
      const result = arena.words[at + TUN_WRITE.RESULT];
      const packets = arena.words[at + TUN_WRITE.PACKETS];
      if (result >= 0) {
        ledger.counts[TUN_TX] += packets;
        ledger.counts[TUN_TX_BYTES] += this.#bytes[write];
      } else if (result === -ERRNO.EINVAL && packets > 1) this.#repeat(at);
      else ledger.drops[dropReason(-result)] += packets;
    }
  }

  /**
   * A super-packet that the kernel does not take goes packet by packet, after the other writes of this flush; if that works,
   * its kind is left out for a while.
   */
  #repeat(at: number): void {
    const { counts, drops } = this.#lane.ledger;
    const gsoType = gsoTypeOf(this.#lane, at);
    const written = repeatSingly(this.#lane, at, (length, errno) => {
      if (errno !== 0) drops[dropReason(errno)] += 1;
      else {
        counts[TUN_TX] += 1;
        counts[TUN_TX_BYTES] += length;
      }
    });
    if (written > 0) this.#lane.superKinds.refused(gsoType);
  }
}

function dropReason(errno: number): number {
  if (errno === ERRNO.EIO) return DROP.IN_TUN_DOWN;
  return errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS ? DROP.IN_TUN_FULL : DROP.IN_TUN_REFUSED;
}
