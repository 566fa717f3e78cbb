/**
 * One initiation at several endpoints of a peer: at the first at once, and as long as nobody answers at one more each
 * 250 ms (RFC 8305, section 5). It is the same message each time, so the responder takes whichever comes first and drops
 * the others as replays; where its answer comes from is where the peer is.
 *
 * Pure: who drives it sends what `take` gives, when `dueMs` says, and lets go of it when the peer is heard.
 */
import { type Endpoint, isSameRemote } from '../packet/endpoint.ts';

/** Datagrams that one initiation may cost, at most. */
export const COPIES_MAX = 4;
/** Between two of them: the recommended delay of RFC 8305, section 8. */
const STAGGER_MS = 250;

export class SideBySide {
  /** The initiation. */
  readonly message: Uint8Array;
  readonly #endpoints: Endpoint[] = [];
  #takenCount = 0;
  #dueMs = 0;

  constructor(message: Uint8Array) {
    this.message = message;
  }

  /** When the next copy is due, monotonic milliseconds; Infinity when there is none. */
  get dueMs(): number {
    return this.#takenCount < this.#endpoints.length ? this.#dueMs : Number.POSITIVE_INFINITY;
  }

  /** Adds endpoints behind those that are there, the best first; known ones and what is more than COPIES_MAX are left out. */
  add(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) {
      if (this.#endpoints.length === COPIES_MAX) return;
      if (!this.#endpoints.some((known) => isSameRemote(known, endpoint))) this.#endpoints.push(endpoint);
    }
  }

  /** Where a copy goes now, or null when none is due. */
  take(nowMs: number): Endpoint | null {
    if (nowMs < this.dueMs) return null;
    this.#dueMs = nowMs + STAGGER_MS;
    this.#takenCount += 1;
    return this.#endpoints[this.#takenCount - 1] ?? null;
  }

  /** The copy that was taken last cannot be sent: the next has nothing to wait for. */
  refused(): void {
    this.#dueMs = 0;
  }
}
