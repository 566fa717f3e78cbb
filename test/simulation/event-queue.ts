/** Simulated time: events run in the order of their times, and those of one time in the order they were planned. */

interface Event {
  readonly atMs: number;
  readonly number: number;
  readonly run: () => void;
}

export class EventQueue {
  /** A binary heap, earliest event first. */
  readonly #heap: Event[] = [];
  #planned = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Plans an event; one in the past runs now. */
  plan(atMs: number, run: () => void): void {
    const event = { atMs: Math.max(atMs, this.#nowMs), number: this.#planned++, run };
    let place = this.#heap.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(event, this.#heap[parent])) break;
      this.#heap[place] = this.#heap[parent];
      place = parent;
    }
    this.#heap[place] = event;
  }

  /** Runs all events up to a time, and stops there. */
  runUntil(untilMs: number): void {
    while (this.#heap.length > 0 && this.#heap[0].atMs <= untilMs) {
      const event = this.#takeFirst();
      this.#nowMs = event.atMs;
      event.run();
    }
    this.#nowMs = untilMs;
  }

  #takeFirst(): Event {
    const [first] = this.#heap;
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
    return first;
  }

  #sink(event: Event): void {
    const length = this.#heap.length;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(this.#heap[child + 1], this.#heap[child])) child++;
      if (!isBefore(this.#heap[child], event)) break;
      this.#heap[place] = this.#heap[child];
      place = child;
    }
    this.#heap[place] = event;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number);
}
