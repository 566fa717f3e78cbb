/**
 * In-order delivery: packets of one peer wait for those sent before them, in a bounded part of the arena and for a bounded
 * time. Order is that of transport counters within one keypair; with a newer keypair all that waits for the older one goes.
 *
 *     take: its turn          -> out
 *           ahead of its turn -> copied, held -> out, when all before it came (or passed by), or were passed over
 *
 * `out` is a list of packets that may be delivered, in order; they lie where they were received, or in the hold. The memory of
 * those is free again after `recycle`, which is due when they were written.
 */
import { LIMIT } from '../packet/arena.ts';
import { IPV4, IPV6, PROTOCOL } from '../packet/ip-header.ts';
import type { LaneKeypair } from '../tables/peers.ts';
import { HOLD_BYTES } from './settings.ts';

/** Packets that may wait, and places for them. When either is full, all that waits goes. */
export const HELD_MAX = 4_096;
/** Counters from the next one on that are told apart: the replay window. */
const SPAN = 8_192;
/** Before each packet: where its virtio header is written. */
const HEADROOM = 16;
const OUT_MAX = HELD_MAX + LIMIT.UNSEALS;

const NO_ROOM = -1;

const ABSENT = 0;
const PASSED = 1;
const HELD = 2;

export class InOrder {
  /** The keypair whose counters are in order. */
  keypair: LaneKeypair | null = null;
  /** All below it was delivered, or passed over. */
  next = 0;
  /** Packets that wait; and since the books were last told: that were held, and that went although some before them had not come. */
  held = 0;
  heldSince = 0;
  expiredSince = 0;
  /** Packets to be delivered, in this order: where they are, their length, the sum of their bytes, the traffic class around them. */
  outCount = 0;
  readonly outOffsets: Int32Array = new Int32Array(OUT_MAX);
  readonly outLengths: Int32Array = new Int32Array(OUT_MAX);
  readonly outSums: Int32Array = new Int32Array(OUT_MAX);
  readonly outClasses: Int32Array = new Int32Array(OUT_MAX);
  /** Of the hold in the arena. */
  readonly offset: number;
  readonly #end: number;
  #free: number;
  /** By counter modulo SPAN, for those from `next` on. */
  readonly #states: Uint8Array = new Uint8Array(SPAN);
  readonly #entries: Int32Array = new Int32Array(SPAN);
  /** A ring of what is or was held, oldest first: `#count` from `#first` on. */
  #first = 0;
  #count = 0;
  readonly #counters: Float64Array = new Float64Array(HELD_MAX);
  readonly #heldMs: Float64Array = new Float64Array(HELD_MAX);
  readonly #offsets: Int32Array = new Int32Array(HELD_MAX);
  readonly #lengths: Int32Array = new Int32Array(HELD_MAX);
  readonly #sums: Int32Array = new Int32Array(HELD_MAX);
  readonly #classes: Int32Array = new Int32Array(HELD_MAX);
  readonly #isHeld: Uint8Array = new Uint8Array(HELD_MAX);

  /** The hold: `bytes` from `offset` of the arena on, a multiple of 16. */
  constructor(offset: number, bytes: number = HOLD_BYTES) {
    this.offset = offset;
    this.#end = offset + bytes;
    this.#free = offset;
  }

  /** Goes over to a keypair of which all below `next` is past. */
  begin(keypair: LaneKeypair, next: number): void {
    this.releaseAll();
    this.keypair = keypair;
    this.next = next;
  }

  /** What does not wait came: a packet of another kind, a control message, a keepalive. */
  pass(counter: number): void {
    this.#makeRoom(counter);
    if (counter > this.next) this.#states[counter & (SPAN - 1)] = PASSED;
    else if (counter === this.next) this.#goOn();
  }

  /** `count` messages in order from `next` on, none of which has to wait. Only while nothing is held. */
  passRun(count: number): void {
    this.next += count;
    this.#advance();
  }

  /** A packet whose turn is by its counter; its plaintext is `length` bytes at `offset` of the arena. */
  take(
    arena: Uint8Array,
    counter: number,
    offset: number,
    length: number,
    sum: number,
    trafficClass: number,
    nowMs: number,
  ): void {
    this.#makeRoom(counter);
    if (counter <= this.next) {
      this.#putOut(offset, length, sum, trafficClass);
      if (counter === this.next) this.#goOn();
      return;
    }
    const to = this.#count === HELD_MAX ? NO_ROOM : this.#allocate(length);
    if (to === NO_ROOM) {
      this.passTo(counter);
      this.#putOut(offset, length, sum, trafficClass);
      this.#goOn();
      return;
    }
    arena.copyWithin(to, offset, offset + length);
    this.#hold(counter, to, length, sum, trafficClass, nowMs);
  }

  /** Passes over all below `limit` that has not come; what waited for it is put out. */
  passTo(limit: number): void {
    const before = this.held;
    const end = Math.min(limit, this.next + SPAN);
    // A leap with nothing held is no walk.
    if (before === 0 && limit >= this.next + SPAN) this.#states.fill(ABSENT);
    else while (this.next < end) this.#step();
    if (this.next < limit) this.next = limit;
    this.#advance();
    this.expiredSince += before - this.held;
  }

  /** Nobody waits for those from `first` to `end` - 1 that have not come: as if they had passed by. */
  passOver(first: number, end: number): void {
    const last = Math.min(end, this.next + SPAN);
    for (let counter = Math.max(first, this.next); counter < last; counter += 1)
      if (this.#states[counter & (SPAN - 1)] === ABSENT) this.#states[counter & (SPAN - 1)] = PASSED;
    this.#advance();
  }

  /** Passes over what those that were held at `untilMs` or before wait for. */
  expire(untilMs: number): void {
    for (let at = 0; at < this.#count && this.held > 0; at += 1) {
      const entry = (this.#first + at) & (HELD_MAX - 1);
      if (this.#isHeld[entry] === 0) continue;
      if (this.#heldMs[entry] > untilMs) return;
      this.passTo(this.#counters[entry] + 1);
    }
  }

  /** Since when the one waits that waits longest, ms; Infinity for none. */
  get heldSinceMs(): number {
    for (let at = 0; at < this.#count && this.held > 0; at += 1) {
      const entry = (this.#first + at) & (HELD_MAX - 1);
      if (this.#isHeld[entry] === 1) return this.#heldMs[entry];
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Puts out all that waits. */
  releaseAll(): void {
    if (this.held > 0) this.passTo(this.next + SPAN);
    this.#states.fill(ABSENT);
  }

  /** All that was put out was written. */
  recycle(): void {
    this.outCount = 0;
    while (this.#count > 0 && this.#isHeld[this.#first] === 0) {
      this.#first = (this.#first + 1) & (HELD_MAX - 1);
      this.#count -= 1;
    }
  }

  /** A counter beyond the span pushes `next` on. */
  #makeRoom(counter: number): void {
    if (counter >= this.next + SPAN) this.passTo(counter - SPAN + 1);
  }

  #goOn(): void {
    this.#step();
    this.#advance();
  }

  #advance(): void {
    while (this.#states[this.next & (SPAN - 1)] !== ABSENT) this.#step();
  }

  /** Leaves `next` behind; puts it out if it is held. */
  #step(): void {
    const place = this.next & (SPAN - 1);
    if (this.#states[place] === HELD) {
      const entry = this.#entries[place];
      this.#isHeld[entry] = 0;
      this.held -= 1;
      this.#putOut(this.#offsets[entry], this.#lengths[entry], this.#sums[entry], this.#classes[entry]);
    }
    this.#states[place] = ABSENT;
    this.next += 1;
  }

  #putOut(offset: number, length: number, sum: number, trafficClass: number): void {
    const at = this.outCount;
    this.outOffsets[at] = offset;
    this.outLengths[at] = length;
    this.outSums[at] = sum;
    this.outClasses[at] = trafficClass;
    this.outCount = at + 1;
  }

  #hold(counter: number, offset: number, length: number, sum: number, trafficClass: number, nowMs: number): void {
    const entry = (this.#first + this.#count) & (HELD_MAX - 1);
    this.#counters[entry] = counter;
    this.#heldMs[entry] = nowMs;
    this.#offsets[entry] = offset;
    this.#lengths[entry] = length;
    this.#sums[entry] = sum;
    this.#classes[entry] = trafficClass;
    this.#isHeld[entry] = 1;
    this.#count += 1;
    this.#states[counter & (SPAN - 1)] = HELD;
    this.#entries[counter & (SPAN - 1)] = entry;
    this.held += 1;
    this.heldSince += 1;
  }

  /** Offset of room for `length` bytes behind the latest, HEADROOM before it; NO_ROOM if there is none. Never fills the ring. */
  #allocate(length: number): number {
    const bytes = (HEADROOM + length + 15) & ~15;
    const used = this.#count === 0 ? -1 : this.#offsets[this.#first] - HEADROOM;
    if (used === -1) this.#free = this.offset;
    const isWrapped = used > this.#free || used === this.#free;
    const room = isWrapped ? used - this.#free : this.#end - this.#free;
    if (bytes < room || (!isWrapped && bytes === room)) return this.#place(this.#free, bytes);
    if (isWrapped || bytes >= (used === -1 ? this.#end : used) - this.offset) return NO_ROOM;
    return this.#place(this.offset, bytes);
  }

  #place(start: number, bytes: number): number {
    this.#free = start + bytes;
    return start + HEADROOM;
  }
}

/** Whether a plaintext is a packet that waits: any IP packet, or TCP only. */
export function waitsForTurn(view: DataView, offset: number, length: number, isTcpOnly: boolean): boolean {
  if (length < IPV4.HEADER_LENGTH_MIN) return false;
  const version = view.getUint8(offset) >>> 4;
  if (version === 4) return !isTcpOnly || view.getUint8(offset + IPV4.PROTOCOL) === PROTOCOL.TCP;
  if (version !== 6 || length < IPV6.HEADER_LENGTH) return false;
  return !isTcpOnly || view.getUint8(offset + IPV6.NEXT_HEADER) === PROTOCOL.TCP;
}
