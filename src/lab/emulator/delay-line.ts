/**
 * Datagrams on their way: their bytes lie in a ring, in the order in which they came; a heap knows which arrives next. All
 * memory is there from the start; when the ring or the heap is full, a datagram does not get in.
 */
const CAPACITY = 65_536;

export class DelayLine {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #length: number;
  /** Columns by slot; slots are taken in a circle, as the bytes are. */
  readonly #offsets: Int32Array = new Int32Array(CAPACITY);
  readonly #lengths: Int32Array = new Int32Array(CAPACITY);
  readonly #directions: Uint8Array = new Uint8Array(CAPACITY);
  readonly #arrivalsUs: Float64Array = new Float64Array(CAPACITY);
  /** 1 while the slot's datagram has not arrived. */
  readonly #isHeld: Uint8Array = new Uint8Array(CAPACITY);
  /** Slots, the next arrival first; of equal times the one that came first. */
  readonly #heap: Int32Array = new Int32Array(CAPACITY);
  readonly #sequence: Float64Array = new Float64Array(CAPACITY);
  #heapLength = 0;
  #first = 0;
  #count = 0;
  #head = 0;
  #taken = 0;

  /** The ring is `length` bytes of `bytes` from `start` on. */
  constructor(bytes: Uint8Array, start: number, length: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#length = length;
  }

  /** When the next datagram arrives, us; Infinity when there is none. */
  get nextUs(): number {
    return this.#heapLength === 0 ? Number.POSITIVE_INFINITY : (this.#arrivalsUs[this.#heap[0] ?? 0] ?? 0);
  }

  /** Copies a datagram in; false when there is no room. */
  add(offset: number, length: number, direction: number, arrivalUs: number): boolean {
    if (this.#count === CAPACITY) return false;
    const at = this.#place(length);
    if (at < 0) return false;
    this.#bytes.copyWithin(this.#start + at, offset, offset + length);
    const slot = (this.#first + this.#count) % CAPACITY;
    this.#count += 1;
    this.#head = at + length;
    this.#offsets[slot] = at;
    this.#lengths[slot] = length;
    this.#directions[slot] = direction;
    this.#arrivalsUs[slot] = arrivalUs;
    this.#isHeld[slot] = 1;
    this.#sequence[slot] = this.#taken;
    this.#taken += 1;
    this.#push(slot);
    return true;
  }

  /** The next datagram's slot if it has arrived by then, else -1; its bytes stay until `release`. */
  take(nowUs: number): number {
    return this.nextUs <= nowUs ? this.#pop() : -1;
  }

  /** Byte offset of a slot's datagram. */
  offsetOf(slot: number): number {
    return this.#start + (this.#offsets[slot] ?? 0);
  }

  lengthOf(slot: number): number {
    return this.#lengths[slot] ?? 0;
  }

  directionOf(slot: number): number {
    return this.#directions[slot] ?? 0;
  }

  /** Datagrams that were taken are gone: their room is free as soon as that of all before them is. */
  release(): void {
    while (this.#count > 0 && this.#isHeld[this.#first] === 0) {
      this.#first = (this.#first + 1) % CAPACITY;
      this.#count -= 1;
    }
    if (this.#count === 0) this.#head = 0;
  }

  /** Where `length` bytes fit in one piece behind the newest datagram, or at the ring's start; -1 for nowhere. */
  #place(length: number): number {
    if (this.#count === 0) return length <= this.#length ? 0 : -1;
    const tail = this.#offsets[this.#first] ?? 0;
    if (this.#head > tail) {
      if (this.#head + length <= this.#length) return this.#head;
      return length < tail ? 0 : -1;
    }
    return this.#head + length < tail ? this.#head : -1;
  }

  #isBefore(left: number, right: number): boolean {
    const difference = (this.#arrivalsUs[left] ?? 0) - (this.#arrivalsUs[right] ?? 0);
    return difference !== 0 ? difference < 0 : (this.#sequence[left] ?? 0) < (this.#sequence[right] ?? 0);
  }

  #push(slot: number): void {
    const heap = this.#heap;
    let at = this.#heapLength;
    this.#heapLength += 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] ?? 0;
      if (!this.#isBefore(slot, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = slot;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0] ?? 0;
    this.#heapLength -= 1;
    const last = heap[this.#heapLength] ?? 0;
    let at = 0;
    for (let child = 1; child < this.#heapLength; child = 2 * at + 1) {
      if (child + 1 < this.#heapLength && this.#isBefore(heap[child + 1] ?? 0, heap[child] ?? 0)) child += 1;
      if (!this.#isBefore(heap[child] ?? 0, last)) break;
      heap[at] = heap[child] ?? 0;
      at = child;
    }
    heap[at] = last;
    this.#isHeld[top] = 0;
    return top;
  }
}
