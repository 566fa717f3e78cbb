/**
 * A device's memory under a cap, or without one: limits for the heaps of its lanes, the number of handshake messages that
 * may wait, and the watch that sheds when resident memory comes near the cap. `memory/` holds the budget and the decisions.
 */
import type { Logger } from './control/log.ts';
import { checkMemory, laneHeapLimits, type MemoryUse } from './memory/budget.ts';
import { collectGarbage, enableCollection } from './memory/collect.ts';
import { handshakesMaxAt } from './memory/shedding.ts';
import { MemoryWatch } from './memory/watch.ts';

/** Words of the handshake queue that control lane and lanes share: messages on their way, and how many there may be. */
const PENDING_MAX_WORD = 1;

export interface DeviceMemoryOptions extends MemoryUse {
  /** Most resident memory of the process, bytes; null for no cap. */
  readonly capBytes: number | null;
  readonly log: Logger;
  /** Asks all lanes to collect their garbage. */
  readonly collectLanes: () => void;
}

export class DeviceMemory {
  /** Int32: handshake messages on their way to the control lane, and how many there may be. */
  readonly handshakesPending: SharedArrayBuffer = new SharedArrayBuffer(8);
  /** For each lane's worker. */
  readonly laneLimits: ReturnType<typeof laneHeapLimits>;
  readonly #watch: MemoryWatch | null;
  readonly #use: { readonly capBytes: number | null; readonly lanes: number };

  /** Before lanes start. Throws GigatunError CONFIG when the device cannot fit under the cap. */
  constructor({ capBytes, lanes, peers, log, collectLanes }: DeviceMemoryOptions) {
    checkMemory(capBytes, { lanes, peers });
    this.#use = { capBytes, lanes };
    this.laneLimits = laneHeapLimits(capBytes, { lanes, peers });
    this.#limitHandshakes(handshakesMaxAt('easy'));
    if (capBytes !== null) enableCollection();
    const collect = (): void => {
      collectLanes();
      collectGarbage();
    };
    const hooks = { log, collect, limitHandshakes: (max: number): void => this.#limitHandshakes(max) };
    this.#watch = capBytes === null ? null : new MemoryWatch(capBytes, hooks);
  }

  /** Throws GigatunError CONFIG when the device would not fit under the cap with so many peers. */
  check(peers: number): void {
    checkMemory(this.#use.capBytes, { lanes: this.#use.lanes, peers });
  }

  /** Once a second. */
  watch(): void {
    this.#watch?.check(process.memoryUsage.rss(), performance.now());
  }

  /** As status and statistics tell it. */
  figures(): {
    readonly rssBytes: number;
    readonly memoryCapBytes: number | null;
    readonly memoryCrossingsCount: number;
  } {
    return {
      rssBytes: process.memoryUsage.rss(),
      memoryCapBytes: this.#watch?.capBytes ?? null,
      memoryCrossingsCount: this.#watch?.crossingsCount ?? 0,
    };
  }

  #limitHandshakes(max: number): void {
    Atomics.store(new Int32Array(this.handshakesPending), PENDING_MAX_WORD, max);
  }
}
