/**
 * Staged packets: segments that wait for a keypair. They lie in slots of a fixed pool, chained per peer in order; a
 * peer holds at most 128, and the oldest makes room (WireGuard's MAX_QUEUED_PACKETS). When the pool itself is full the
 * peer's own oldest goes; a peer that has none loses the new packet.
 */

import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { SEAL } from '../native/layout.ts';
import { LIMIT } from '../packet/arena.ts';
import { DROP } from '../packet/drop-reason.ts';
import { ecnOf, outerTrafficClass } from '../packet/ecn.ts';
import type { LanePeer } from '../tables/peers.ts';
import { type OutboundBatch, SEALED_OVERHEAD_MAX } from './batch.ts';

/** Most staged packets of one peer. */
export const STAGED_PER_PEER = 128;
const NONE = -1;

export class StagedPackets {
  readonly #lane: LaneContext;
  readonly #slotBytes: number;
  readonly #next: Int32Array;
  readonly #length: Int32Array;
  readonly #checksumStart: Int32Array;
  readonly #checksumField: Int32Array;
  readonly #checksumSeed: Int32Array;
  #free = 0;

  /** `slotBytes`: longest packet that can be staged; the pool is the arena's staged region. */
  constructor(lane: LaneContext, slotBytes: number) {
    this.#lane = lane;
    this.#slotBytes = Math.ceil(slotBytes / 16) * 16;
    const slots = Math.floor(lane.arena.stagedLength / this.#slotBytes);
    this.#next = new Int32Array(slots).map((_, slot) => (slot + 1 < slots ? slot + 1 : NONE));
    this.#length = new Int32Array(slots);
    this.#checksumStart = new Int32Array(slots);
    this.#checksumField = new Int32Array(slots);
    this.#checksumSeed = new Int32Array(slots);
    this.#free = slots > 0 ? 0 : NONE;
  }

  /** Copies the batch's segments from `first` on to the peer's chain. */
  add(peer: LanePeer, batch: OutboundBatch, first: number): void {
    const { words, seals } = this.#lane.arena;
    for (let segment = first; segment < batch.segments; segment += 1) {
      const seal = (seals >> 2) + segment * SEAL.WORDS;
      const length = words[seal + SEAL.HEAD_LENGTH] + words[seal + SEAL.PAYLOAD_LENGTH];
      if (length > this.#slotBytes) this.#lane.ledger.drops[DROP.OUT_TOO_LONG] += 1;
      else this.#addOne(peer, seal, length);
    }
  }

  /**
   * Moves up to a batch's worth of a peer's packets, oldest first and as far as they have one ECN codepoint, into an empty
   * batch. Their slots are free at once: the bytes stay until the next `add`.
   */
  take(peer: LanePeer, batch: OutboundBatch): void {
    const { words, seals, staged, udpOutLength } = this.#lane.arena;
    const most = Math.min(LIMIT.SEALS, Math.floor(udpOutLength / (this.#slotBytes + SEALED_OVERHEAD_MAX)));
    const ecn = this.#oldestEcn(peer);
    batch.trafficClass = outerTrafficClass(ecn);
    while (batch.segments < most && this.#oldestEcn(peer) === ecn) {
      const slot = this.#removeOldest(peer);
      const seal = (seals >> 2) + batch.segments * SEAL.WORDS;
      words[seal + SEAL.HEAD_OFFSET] = staged + slot * this.#slotBytes;
      words[seal + SEAL.HEAD_LENGTH] = this.#length[slot];
      words[seal + SEAL.PAYLOAD_OFFSET] = staged;
      words[seal + SEAL.PAYLOAD_LENGTH] = 0;
      words[seal + SEAL.CHECKSUM_START] = this.#checksumStart[slot];
      words[seal + SEAL.CHECKSUM_FIELD] = this.#checksumField[slot];
      words[seal + SEAL.CHECKSUM_SEED] = this.#checksumSeed[slot];
      batch.segments += 1;
    }
  }

  /** Gives a peer's packets up; each is counted as `reason`. */
  drop(peer: LanePeer, reason: number): void {
    while (peer.stagedFirst !== NONE) {
      this.#removeOldest(peer);
      this.#lane.ledger.drops[reason] += 1;
    }
  }

  #addOne(peer: LanePeer, seal: number, length: number): void {
    const { ledger, arena } = this.#lane;
    if (peer.stagedCount >= STAGED_PER_PEER || (this.#free === NONE && peer.stagedFirst !== NONE)) {
      this.#removeOldest(peer);
      ledger.drops[DROP.OUT_STAGED_OVERFLOW] += 1;
    }
    const slot = this.#free;
    if (slot === NONE) {
      ledger.drops[DROP.OUT_STAGED_OVERFLOW] += 1;
      return;
    }
    this.#free = this.#next[slot];
    this.#fill(slot, arena.words, seal, length);
    this.#append(peer, slot);
    ledger.counts[COUNTER.STAGED] += 1;
  }

  #fill(slot: number, words: Int32Array, seal: number, length: number): void {
    const { bytes, staged } = this.#lane.arena;
    const to = staged + slot * this.#slotBytes;
    const head = words[seal + SEAL.HEAD_OFFSET];
    const headLength = words[seal + SEAL.HEAD_LENGTH];
    const payload = words[seal + SEAL.PAYLOAD_OFFSET];
    bytes.copyWithin(to, head, head + headLength);
    bytes.copyWithin(to + headLength, payload, payload + words[seal + SEAL.PAYLOAD_LENGTH]);
    this.#length[slot] = length;
    this.#checksumStart[slot] = words[seal + SEAL.CHECKSUM_START];
    this.#checksumField[slot] = words[seal + SEAL.CHECKSUM_FIELD];
    this.#checksumSeed[slot] = words[seal + SEAL.CHECKSUM_SEED];
  }

  #append(peer: LanePeer, slot: number): void {
    this.#next[slot] = NONE;
    if (peer.stagedLast === NONE) peer.stagedFirst = slot;
    else this.#next[peer.stagedLast] = slot;
    peer.stagedLast = slot;
    peer.stagedCount += 1;
  }

  /** ECN codepoint of the peer's oldest packet, -1 where there is none. */
  #oldestEcn({ stagedFirst }: LanePeer): number {
    const { view, staged } = this.#lane.arena;
    return stagedFirst === NONE ? -1 : ecnOf(view.getUint16(staged + stagedFirst * this.#slotBytes));
  }

  #removeOldest(peer: LanePeer): number {
    const slot = peer.stagedFirst;
    peer.stagedFirst = this.#next[slot];
    if (peer.stagedFirst === NONE) peer.stagedLast = NONE;
    peer.stagedCount -= 1;
    this.#next[slot] = this.#free;
    this.#free = slot;
    return slot;
  }
}
