/** Time of stages, per packet: each lap is a sample of its stage. The price of looking at the clock is taken off. */
import { percentile } from '../statistics.ts';

export interface Spread {
  /** Nanoseconds per packet. */
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  readonly samples: number;
}

export class Stopwatch<Stage extends string> {
  readonly #samples: Map<Stage, number[]> = new Map();
  readonly #clockMs: number = clockCostMs();
  #lastMs = 0;

  start(): void {
    this.#lastMs = performance.now();
  }

  /** Ends a lap and begins the next. */
  lap(stage: Stage, packets: number): void {
    const elapsedMs = performance.now() - this.#lastMs - this.#clockMs;
    this.note(stage, (elapsedMs * 1e6) / packets);
    this.#lastMs = performance.now();
  }

  /** Adds a sample, nanoseconds per packet. */
  note(stage: Stage, ns: number): void {
    const samples = this.#samples.get(stage);
    if (samples === undefined) this.#samples.set(stage, [ns]);
    else samples.push(ns);
  }

  /** The newest sample of a stage. */
  latest(stage: Stage): number {
    return this.#samples.get(stage)?.at(-1) ?? Number.NaN;
  }

  /** Forgets what was measured so far: the warm-up. */
  reset(): void {
    this.#samples.clear();
  }

  spreadOf(stage: Stage): Spread | null {
    const samples = this.#samples.get(stage);
    if (samples === undefined) return null;
    const [lowerQuartile, median, upperQuartile] = [0.25, 0.5, 0.75].map((share) => percentile(samples, share));
    return {
      median: median ?? Number.NaN,
      lowerQuartile: lowerQuartile ?? Number.NaN,
      upperQuartile: upperQuartile ?? Number.NaN,
      samples: samples.length,
    };
  }
}

/** Between two readings of the clock, one right after the other. */
function clockCostMs(): number {
  const costs: number[] = [];
  for (let i = 0; i < 1_000; i += 1) {
    const before = performance.now();
    costs.push(performance.now() - before);
  }
  return percentile(costs, 0.5);
}
