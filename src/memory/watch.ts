/**
 * Watches resident memory against its cap. `check` is called about once a second with what is resident; what it finds
 * is carried out through the hooks that the device gives, logged once per crossing, and counted.
 */
import type { Logger } from '../control/log.ts';
import { formatBytes } from '../ledger/table.ts';
import { handshakesMaxAt, type MemoryLevel, memoryLevel, shallCollect } from './shedding.ts';

export interface MemoryHooks {
  /** Asks all threads to collect their garbage. */
  readonly collect: () => void;
  /** From now on at most so many handshake messages may wait. */
  readonly limitHandshakes: (max: number) => void;
  readonly log: Logger;
}

export class MemoryWatch {
  readonly capBytes: number;
  readonly #hooks: MemoryHooks;
  #level: MemoryLevel = 'easy';
  #crossingsCount = 0;
  #collectedMs = Number.NEGATIVE_INFINITY;

  constructor(capBytes: number, hooks: MemoryHooks) {
    this.capBytes = capBytes;
    this.#hooks = hooks;
  }

  /** How often a level was entered from below. */
  get crossingsCount(): number {
    return this.#crossingsCount;
  }

  /** @param nowMs monotonic milliseconds. */
  check(residentBytes: number, nowMs: number): void {
    const before = this.#level;
    const level = memoryLevel(before, residentBytes, this.capBytes);
    this.#level = level;
    if (level !== before) this.#crossed(before, level, residentBytes);
    if (!shallCollect(before, level, nowMs - this.#collectedMs)) return;
    this.#collectedMs = nowMs;
    this.#hooks.collect();
  }

  #crossed(before: MemoryLevel, level: MemoryLevel, residentBytes: number): void {
    const { log, limitHandshakes } = this.#hooks;
    limitHandshakes(handshakesMaxAt(level));
    const figures = { resident: formatBytes(residentBytes), cap: formatBytes(this.capBytes) };
    if (level === 'easy' || before === 'over') {
      log.info(level === 'easy' ? 'memory is below its cap again' : 'memory is near its cap, no longer at it', figures);
      return;
    }
    this.#crossingsCount += 1;
    const shed = `garbage is collected, and at most ${handshakesMaxAt(level)} handshake messages wait`;
    log.warn(`memory is ${level === 'over' ? 'at' : 'near'} its cap: ${shed}`, figures);
  }
}
