/** Slow twin of src/history/in-order.ts: what came and what waits are plain lists, searched each time. */

interface Waiting {
  readonly counter: number;
  readonly heldMs: number;
}

const SPAN = 8_192;

export class ReferenceInOrder {
  next: number;
  /** Counters in the order in which they are delivered. */
  readonly out: number[] = [];
  #waiting: Waiting[] = [];
  #passed: Set<number> = new Set();
  expired = 0;
  readonly #heldMax: number;

  constructor(next: number, heldMax: number) {
    this.next = next;
    this.#heldMax = heldMax;
  }

  get held(): number[] {
    return this.#waiting.map(({ counter }) => counter);
  }

  get heldSinceMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#waiting.map(({ heldMs }) => heldMs));
  }

  /** A packet; `waits`: whether it waits for its turn. */
  take(counter: number, waits: boolean, nowMs: number): void {
    if (counter >= this.next + SPAN) this.passTo(counter - SPAN + 1);
    if (!waits) this.#passed.add(counter);
    else if (counter <= this.next) this.out.push(counter);
    else if (this.#waiting.length < this.#heldMax) this.#waiting.push({ counter, heldMs: nowMs });
    else {
      this.passTo(counter);
      this.out.push(counter);
    }
    if (waits && counter === this.next) this.next += 1;
    this.#goOn();
  }

  passTo(limit: number): void {
    const before = this.#waiting.length;
    this.#release((counter) => counter < limit);
    this.next = Math.max(this.next, limit);
    this.#goOn();
    this.expired += before - this.#waiting.length;
  }

  expire(untilMs: number): void {
    for (;;) {
      const due = this.#waiting.find(({ heldMs }) => heldMs <= untilMs);
      if (due === undefined) return;
      this.passTo(due.counter + 1);
    }
  }

  #goOn(): void {
    for (;;) {
      if (this.#waiting.some(({ counter }) => counter === this.next)) this.#release((counter) => counter === this.next);
      else if (!this.#passed.has(this.next)) return;
      this.next += 1;
    }
  }

  #release(isMeant: (counter: number) => boolean): void {
    const going = this.held.filter(isMeant).sort((left, right) => left - right);
    this.out.push(...going);
    this.#waiting = this.#waiting.filter(({ counter }) => !isMeant(counter));
  }
}
