/**
 * Sealed bytes of the newest datagrams that came from a peer, and of parities that could not be used at once, one behind the other
 * in a ring of arena memory. A datagram is put there before it is unsealed, when anybody may have sent it, and is found only after
 * it was confirmed. Like in the TX history's ring, places are told as positions, which count on for ever.
 */

/** Datagrams that are found by their counters. */
const SLOTS = 2_048;
/** Bytes that are copied at a time. */
const WORD = 8;
const NONE = -1;

export class KeptDatagrams {
  readonly #offset: number;
  readonly #bytes: number;
  /** Position of the next. */
  #position = 0;
  readonly #counters: Float64Array = new Float64Array(SLOTS).fill(NONE);
  readonly #indices: Int32Array = new Int32Array(SLOTS);
  readonly #positions: Float64Array = new Float64Array(SLOTS);
  readonly #lengths: Int32Array = new Int32Array(SLOTS);
  /** Number of the message in its batch, while it is not confirmed. */
  readonly #messages: Int32Array = new Int32Array(SLOTS);
  readonly #isConfirmed: Uint8Array = new Uint8Array(SLOTS);

  /** In the `bytes` from `offset` of the arena on. */
  constructor(offset: number, bytes: number) {
    this.#offset = offset;
    this.#bytes = bytes;
  }

  /**
   * Keeps the datagram that is this message of a batch, not known to be authentic, unless one of its counter is there: the first of
   * a batch is kept, so that a forged one before it can keep it out, but its copy behind it cannot.
   */
  putDatagram(
    bytes: Uint8Array,
    message: number,
    index: number,
    counter: number,
    offset: number,
    length: number,
  ): void {
    const slot = counter & (SLOTS - 1);
    if (this.#isAt(slot, index, counter)) return;
    this.#counters[slot] = counter;
    this.#indices[slot] = index;
    this.#messages[slot] = message;
    this.#isConfirmed[slot] = 0;
    this.#lengths[slot] = length;
    this.#positions[slot] = this.put(bytes, offset, length);
  }

  /** Keeps bytes of the arena, in one piece; returns their position, -1 if they are too many. */
  put(bytes: Uint8Array, offset: number, length: number): number {
    // Shared memory is copied by bytes unless both ends lie alike within a word.
    let position = Math.ceil(this.#position / WORD) * WORD + (offset % WORD);
    const rest = this.#bytes - (position % this.#bytes);
    if (length > this.#bytes - WORD) return NONE;
    if (length > rest) position += rest + (offset % WORD);
    bytes.copyWithin(this.#offset + (position % this.#bytes), offset, offset + length);
    this.#position = position + length;
    return position;
  }

  /** This message of the batch at hand is authentic. */
  confirm(message: number, index: number, counter: number): void {
    const slot = counter & (SLOTS - 1);
    if (this.#messages[slot] === message && this.#isAt(slot, index, counter)) this.#isConfirmed[slot] = 1;
  }

  /** It is not, or is not new. */
  refuse(message: number, index: number, counter: number): void {
    const slot = counter & (SLOTS - 1);
    const isIt = this.#messages[slot] === message && this.#isAt(slot, index, counter);
    if (isIt && this.#isConfirmed[slot] === 0) this.#counters[slot] = NONE;
  }

  /** Slot of a confirmed datagram whose bytes are there, or -1. */
  slotOf(index: number, counter: number): number {
    const slot = counter & (SLOTS - 1);
    const isFound = this.#isConfirmed[slot] === 1 && this.#isAt(slot, index, counter);
    return isFound && this.holds(this.#positions[slot]) ? slot : NONE;
  }

  /** Whether what was put at this position is there. */
  holds(position: number): boolean {
    return position !== NONE && this.#position - position <= this.#bytes;
  }

  /** Offset in the arena of a position that is there. */
  offsetOf(position: number): number {
    return this.#offset + (position % this.#bytes);
  }

  /** Offset and length of the datagram in a slot. */
  offsetIn(slot: number): number {
    return this.offsetOf(this.#positions[slot]);
  }

  lengthIn(slot: number): number {
    return this.#lengths[slot];
  }

  #isAt(slot: number, index: number, counter: number): boolean {
    return this.#counters[slot] === counter && this.#indices[slot] === index;
  }
}
