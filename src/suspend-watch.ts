/**
 * Notices that the machine was suspended. All timers here run on CLOCK_MONOTONIC, which stands still meanwhile, while the
 * peers' clocks go on; CLOCK_BOOTTIME does too, so the two drift apart by the time slept. Looked at once a second, after
 * a suspend that is within a second of its end.
 */
import { threadUsage } from './native/addon.ts';
import { USAGE } from './native/layout.ts';

/** Less than this is no suspend: the two clocks are read one after the other, and the thread may lose its core between. */
const SUSPEND_MS_MIN = 1_000;

export class SuspendWatch {
  readonly #cells = new Float64Array(USAGE.CELLS);
  #aheadMs: number;

  constructor() {
    this.#aheadMs = this.#readAheadMs();
  }

  /** How long the machine was suspended since the last look, milliseconds; 0 if it was not. */
  look(): number {
    const aheadMs = this.#readAheadMs();
    const sleptMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    return sleptMs >= SUSPEND_MS_MIN ? sleptMs : 0;
  }

  #readAheadMs(): number {
    threadUsage(this.#cells);
    return (this.#cells[USAGE.BOOT_NS] - this.#cells[USAGE.MONOTONIC_NS]) / 1e6;
  }
}
