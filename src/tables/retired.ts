/**
 * Things that lanes may still use although they were told that these are gone. Lanes take commands in order, and what they
 * tell comes in order too: when each has answered a command that was sent after the farewell, none uses the thing any more,
 * and nothing that one says of it is still on its way. If a lane never answers, the thing waits for ever.
 */

interface Retired<Thing> {
  readonly thing: Thing;
  /** The last command to be answered that was sent before the farewell. */
  readonly token: number;
}

export class RetiredThings<Thing> {
  /** Oldest first; tokens never fall. */
  readonly #retired: Retired<Thing>[] = [];
  /** The newest command that each lane has answered. */
  readonly #answered: number[];
  readonly #free: (thing: Thing) => void;

  /** `free`: what is done with a thing that nobody uses any more. */
  constructor(lanes: number, free: (thing: Thing) => void) {
    this.#answered = new Array<number>(lanes).fill(0);
    this.#free = free;
  }

  /** A farewell was sent to the lanes; `token` is that of the last command to be answered sent before it. */
  add(thing: Thing, token: number): void {
    this.#retired.push({ thing, token });
  }

  /** A lane has answered a command, and so has obeyed everything that was sent before it. */
  answered(lane: number, token: number): void {
    this.#answered[lane] = Math.max(this.#answered[lane] ?? 0, token);
    const byAll = Math.min(...this.#answered);
    const waiting = this.#retired.findIndex((retired) => retired.token >= byAll);
    const free = this.#retired.splice(0, waiting < 0 ? this.#retired.length : waiting);
    for (const { thing } of free) this.#free(thing);
  }
}
