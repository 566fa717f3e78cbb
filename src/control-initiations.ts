/**
 * Initiations on their way out: to a peer's endpoint, and, where a name gives it several, to those side by side until
 * something authentic is heard of it. A peer that is known by an address alone has one endpoint, and no timer here.
 */
import type { ControlPeer } from './control-lane-types.ts';
import type { Endpoint } from './packet/endpoint.ts';
import { SideBySide } from './protocol/side-by-side.ts';

export interface ControlInitiationsOptions {
  /** All endpoints that an initiation may go to, the first first; null: to where the peer is. `isRetry`: nobody answered the last one, or the peer has fallen silent. */
  readonly candidates: (peer: ControlPeer, isRetry: boolean) => readonly Endpoint[] | null;
  /** Sends a message of ours to a peer; false when it cannot be sent. */
  readonly send: (message: Uint8Array, to: Endpoint | null, peer: ControlPeer) => boolean;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

interface UnderWay {
  readonly peer: ControlPeer;
  readonly copies: SideBySide;
  timer: NodeJS.Timeout | null;
}

export class ControlInitiations {
  readonly #options: ControlInitiationsOptions;
  /** By peer id. */
  readonly #underWay: Map<number, UnderWay> = new Map();

  constructor(options: ControlInitiationsOptions) {
    this.#options = options;
  }

  /** Sends an initiation; the one before it goes nowhere any more. */
  send(peer: ControlPeer, message: Uint8Array, isRetry: boolean): void {
    this.stop(peer.id);
    const candidates = this.#options.candidates(peer, isRetry);
    if (candidates === null || candidates.length === 0) {
      this.#options.send(message, peer.endpoint, peer);
      return;
    }
    const underWay: UnderWay = { peer, copies: new SideBySide(message), timer: null };
    this.#underWay.set(peer.id, underWay);
    underWay.copies.add(candidates);
    this.#sendDue(underWay);
  }

  /** More endpoints have been found: the initiation under way, if there is one, goes there too. */
  alsoTry(id: number, endpoints: readonly Endpoint[]): void {
    const underWay = this.#underWay.get(id);
    if (underWay === undefined) return;
    underWay.copies.add(endpoints);
    this.#sendDue(underWay);
  }

  /** The peer was heard, is elsewhere by somebody's word, or is gone: no further copy leaves. */
  stop(id: number): void {
    const underWay = this.#underWay.get(id);
    if (underWay === undefined) return;
    this.#underWay.delete(id);
    if (underWay.timer !== null) clearTimeout(underWay.timer);
  }

  close(): void {
    for (const id of [...this.#underWay.keys()]) this.stop(id);
  }

  #sendDue(underWay: UnderWay): void {
    const { send, nowMs } = this.#options;
    const { peer, copies } = underWay;
    if (underWay.timer !== null) clearTimeout(underWay.timer);
    underWay.timer = null;
    for (let to = copies.take(nowMs()); to !== null; to = copies.take(nowMs()))
      if (!send(copies.message, to, peer)) copies.refused();
    const waitMs = copies.dueMs - nowMs();
    if (Number.isFinite(waitMs)) underWay.timer = setTimeout(() => this.#sendDue(underWay), Math.max(1, waitMs));
  }
}
