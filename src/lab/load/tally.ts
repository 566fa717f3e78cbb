/** What a receiver counts of one step: datagrams, bytes, order and gaps, and when the first and the last came. */

export interface StepReceived {
  readonly step: number;
  readonly datagrams: number;
  readonly bytes: number;
  /** Numbers below the highest that never came (less what came twice). */
  readonly missing: number;
  /** Datagrams that came behind one with a higher number. */
  readonly late: number;
  /** From the first datagram to the last. */
  readonly seconds: number;
}

/** Highest step number a receiver takes: what comes from the network must not grow its memory. */
const STEPS_MAX = 64;

export class StepTally {
  readonly step: number;
  datagrams = 0;
  bytes = 0;
  /** One more than the highest sequence. */
  next = 0;
  late = 0;
  #firstMs = 0;
  #lastMs = 0;

  constructor(step: number) {
    this.step = step;
  }

  add(sequence: number, bytes: number, nowMs: number): void {
    if (this.datagrams === 0) this.#firstMs = nowMs;
    this.#lastMs = nowMs;
    this.datagrams += 1;
    this.bytes += bytes;
    if (sequence < this.next) this.late += 1;
    else this.next = sequence + 1;
  }

  received(): StepReceived {
    const { step, datagrams, bytes, next, late } = this;
    const seconds = (this.#lastMs - this.#firstMs) / 1_000;
    return { step, datagrams, bytes, missing: next - datagrams, late, seconds };
  }
}

/** The tallies of a run, by step. */
export class Tallies {
  readonly #steps: StepTally[] = [];
  #latest: StepTally = new StepTally(0);

  constructor() {
    this.#steps.push(this.#latest);
  }

  /** The tally of a step, or null for a number that no sender of ours uses. */
  of(step: number): StepTally | null {
    if (step === this.#latest.step) return this.#latest;
    if (step >= STEPS_MAX) return null;
    let tally = this.#steps.find((one) => one.step === step);
    if (tally === undefined) {
      tally = new StepTally(step);
      this.#steps.push(tally);
    }
    this.#latest = tally;
    return tally;
  }

  all(): StepReceived[] {
    const some = this.#steps.filter(({ datagrams }) => datagrams > 0);
    return some.sort((a, b) => a.step - b.step).map((tally) => tally.received());
  }
}
