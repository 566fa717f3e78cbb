/**
 * The TX history's memory: the datagrams that were sealed last for a peer, one behind the other in a ring of arena memory
 * into which they are sealed straight away, so that keeping them costs no copy. A datagram is found by keypair and transport
 * counter, and is there until the ring has come round to it.
 *
 * Places in the ring are told as positions: bytes since the ring began, skipped ones included. A position names one datagram for
 * ever, so one that was overwritten is known as such.
 *
 *     reserve (a run's room, in one piece) -> [placed and sealed] -> commit -> add (each datagram) -> slotOf, offsetOf
 */

/** Datagrams of a keypair that are found by their counters: as many as the peer's replay window has bits. */
export const SENT_DATAGRAMS_MAX = 8_192;
/** What is used of a ring of which nothing is wanted: it stays in a core's cache, which makes sealing into it cost nothing. */
const SPAN_BYTES_QUIET = 524_288;
/** Rounds without anything wanted after which that is so again. */
const QUIET_ROUNDS = 1_024;
const NONE = -1;
/** Numbers of a group's record: its first counter, position, time (ms), and path + 1, length and stride in one. */
const GROUP = { FIRST: 0, POSITION: 1, SENT_MS: 2, SHAPE: 3, WORDS: 4 } as const;
/** No datagram, and no group, has so many bytes. */
const LENGTH_LIMIT = 131_072;

/**
 * What is known of the datagrams of one keypair: groups as they were sent, in the order of their counters, so that what nobody
 * asks for costs little; and, for each datagram that was asked for, a slot (the lower bits of its counter) in columns of their own.
 */
export class SentIndex {
  /** Receiver index of the datagrams, int32. */
  remoteIndex = 0;
  /** Highest counter that was added; -1 before the first. */
  newest: number = NONE;
  /** By slot, valid once `slotOf` has given it. */
  readonly positions: Float64Array = new Float64Array(SENT_DATAGRAMS_MAX);
  readonly lengths: Int32Array = new Int32Array(SENT_DATAGRAMS_MAX);
  /** When it was sent first, and when it was repeated last (0: never), CLOCK_MONOTONIC ms. */
  readonly sentMs: Float64Array = new Float64Array(SENT_DATAGRAMS_MAX);
  readonly repeatedMs: Float64Array = new Float64Array(SENT_DATAGRAMS_MAX);
  readonly repeats: Uint8Array = new Uint8Array(SENT_DATAGRAMS_MAX);
  /** Path of its last sending. */
  readonly paths: Int8Array = new Int8Array(SENT_DATAGRAMS_MAX);
  readonly #counters: Float64Array = new Float64Array(SENT_DATAGRAMS_MAX).fill(NONE);
  /** Groups that were added; the last SENT_DATAGRAMS_MAX of them have a record, group n that at n modulo so many. */
  #groups = 0;
  /** Records of GROUP.WORDS numbers, half a cache line: one is written for each group that is sent. */
  readonly #records: Float64Array = new Float64Array(SENT_DATAGRAMS_MAX * GROUP.WORDS);

  /** Slot of a counter, or -1 for one that was not added or is too long ago. */
  slotOf(counter: number): number {
    if (counter > this.newest || counter <= this.newest - SENT_DATAGRAMS_MAX) return NONE;
    const slot = counter & (SENT_DATAGRAMS_MAX - 1);
    if (this.#counters[slot] === counter) return slot;
    const group = this.#groupOf(counter);
    return group !== NONE && this.#fill(slot, counter, group) ? slot : NONE;
  }

  /**
   * Adds a group with consecutive counters from `first` on, none lower than those before.
   *
   * @param length bytes of all its datagrams
   * @param stride bytes of each but the last
   */
  add(first: number, position: number, length: number, stride: number, nowMs: number, path: number): void {
    const at = (this.#groups & (SENT_DATAGRAMS_MAX - 1)) * GROUP.WORDS;
    this.#records[at + GROUP.FIRST] = first;
    this.#records[at + GROUP.POSITION] = position;
    this.#records[at + GROUP.SENT_MS] = nowMs;
    this.#records[at + GROUP.SHAPE] = ((path + 1) * LENGTH_LIMIT + length) * LENGTH_LIMIT + stride;
    this.#groups += 1;
    this.newest = first + Math.ceil(length / stride) - 1;
  }

  /** Forgets all, for another keypair. */
  begin(remoteIndex: number): void {
    this.remoteIndex = remoteIndex;
    this.newest = NONE;
    this.#groups = 0;
    this.#counters.fill(NONE);
  }

  /** Where the record of the last group begins that starts at or before a counter, or -1. */
  #groupOf(counter: number): number {
    let low = Math.max(0, this.#groups - SENT_DATAGRAMS_MAX) - 1;
    let high = this.#groups;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const at = (middle & (SENT_DATAGRAMS_MAX - 1)) * GROUP.WORDS;
      if (this.#records[at + GROUP.FIRST] <= counter) low = middle;
      else high = middle;
    }
    const isKept = low >= Math.max(0, this.#groups - SENT_DATAGRAMS_MAX);
    return isKept ? (low & (SENT_DATAGRAMS_MAX - 1)) * GROUP.WORDS : NONE;
  }

  /** Makes the slot that of a counter; false if the group ends before it. */
  #fill(slot: number, counter: number, group: number): boolean {
    const records = this.#records;
    const shape = records[group + GROUP.SHAPE];
    const stride = shape % LENGTH_LIMIT;
    const groupLength = Math.floor(shape / LENGTH_LIMIT) % LENGTH_LIMIT;
    const start = (counter - records[group + GROUP.FIRST]) * stride;
    const length = Math.min(stride, groupLength - start);
    if (length <= 0) return false;
    this.#counters[slot] = counter;
    this.positions[slot] = records[group + GROUP.POSITION] + start;
    this.lengths[slot] = length;
    this.sentMs[slot] = records[group + GROUP.SENT_MS];
    this.repeatedMs[slot] = 0;
    this.repeats[slot] = 0;
    this.paths[slot] = Math.floor(shape / LENGTH_LIMIT / LENGTH_LIMIT) - 1;
    return true;
  }
}

export class SentRing {
  /** Where it lies in the arena, and its size, bytes. */
  readonly offset: number;
  readonly bytes: number;
  /** Bytes of it that are in use: few while nobody misses anything, so that they stay in the processor's cache. */
  #span: number;
  /** Rounds since anybody missed anything. */
  #quietRounds = 0;
  /** The batch at hand, and where it began. */
  #batch: number = NONE;
  #batchHead = 0;
  /** Position and place of the next datagram. */
  #position = 0;
  #head = 0;
  /** Position up to which older datagrams are, or may be, overwritten one round later. */
  #limit = 0;
  #current: SentIndex = new SentIndex();
  #previous: SentIndex = new SentIndex();

  constructor(offset: number, bytes: number) {
    this.offset = offset;
    this.bytes = bytes;
    this.#span = Math.min(bytes, SPAN_BYTES_QUIET);
  }

  /** Something that it held is wanted: all of it is used from now on, until that has not been so for long. */
  want(): void {
    this.#quietRounds = 0;
    this.#span = this.bytes;
  }

  /**
   * Where in the arena a run goes, in one piece. What was there is lost, but never what the same batch has placed.
   *
   * @param bytes most bytes of the run, at most half of RING_BYTES_MIN
   * @param room most bytes of all runs that the batch may still place, this one included
   * @param batch number of the batch
   */
  reserve(bytes: number, room: number, batch: number): number {
    if (batch !== this.#batch) this.#batchHead = this.#head;
    this.#batch = batch;
    const isPastSpan = this.#head + bytes > this.#span && room <= this.#batchHead;
    if (isPastSpan || this.#head + bytes > this.bytes) this.#beginRound();
    if (bytes > this.bytes) throw new RangeError(`expected a run of at most ${this.bytes} bytes, got ${bytes}`);
    this.#limit = this.#position + bytes;
    return this.offset + this.#head;
  }

  /** Each round is as many positions, however much of the ring is in use. */
  #beginRound(): void {
    this.#position += this.bytes - this.#head;
    this.#head = 0;
    this.#quietRounds += 1;
    if (this.#quietRounds === QUIET_ROUNDS) this.#span = Math.min(this.bytes, SPAN_BYTES_QUIET);
  }

  /** The run ends at this offset of the arena. */
  commit(end: number): void {
    const length = end - this.offset - this.#head;
    this.#position += length;
    this.#head += length;
    this.#limit = this.#position;
  }

  /** Position of what was placed last at an offset of the arena. */
  positionOf(offset: number): number {
    const behind = this.#head - (offset - this.offset);
    return this.#position - (behind > 0 ? behind : behind + this.bytes);
  }

  /** Offset in the arena of what lies at a position, or -1 if it was overwritten, or was never placed. */
  offsetOf(position: number): number {
    const isThere = position < this.#position && this.#limit - position <= this.bytes;
    return isThere ? this.offset + (position % this.bytes) : NONE;
  }

  /** The index to which datagrams were added last. */
  get present(): SentIndex {
    return this.#current;
  }

  /** The index of the keypair with this receiver index, which is the peer's present one: datagrams are added to it. */
  indexToAdd(remoteIndex: number): SentIndex {
    if (this.#current.remoteIndex === remoteIndex) return this.#current;
    const older = this.#current;
    this.#current = this.#previous;
    this.#previous = older;
    if (this.#current.remoteIndex !== remoteIndex) this.#current.begin(remoteIndex);
    return this.#current;
  }

  /** The index of the present or the previous keypair, by its receiver index; null for any other. */
  indexOf(remoteIndex: number): SentIndex | null {
    for (const index of [this.#current, this.#previous])
      if (index.remoteIndex === remoteIndex && index.newest !== NONE) return index;
    return null;
  }
}
