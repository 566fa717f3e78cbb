/**
 * Initiations on their way out: to a peer's endpoint, and, where a name gives it several, to those side by side until
 * something authentic is heard of it. A peer that is known by an address alone has one endpoint, and no timer here.
 *
 * And copies of handshake messages, where configuration asks for them (`Copies`): the same bytes again, to the same places, as
 * often as there are no further paths that they went over at once. The peer drops what it has as a replay.
 */
import type { ControlPeer } from './control-lane-types.ts';
import type { CopySettings } from './history/settings.ts';
import type { Endpoint } from './packet/endpoint.ts';
import { SideBySide } from './protocol/side-by-side.ts';

export interface ControlInitiationsOptions {
  /** All endpoints that an initiation may go to, the first first; null: to where the peer is. `isRetry`: nobody answered the last one, or the peer has fallen silent. */
  readonly candidates: (peer: ControlPeer, isRetry: boolean) => readonly Endpoint[] | null;
  /** Sends a message of ours to a peer; false when it cannot be sent. */
  readonly send: (message: Uint8Array, to: Endpoint | null, peer: ControlPeer, isPath: boolean) => boolean;
  /** What configuration says of copies; null: nothing. */
  readonly copies: (peer: number) => CopySettings | null;
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
  /** Copies that wait, by peer id. */
  readonly #waiting: Map<number, NodeJS.Timeout> = new Map();

  constructor(options: ControlInitiationsOptions) {
    this.#options = options;
  }

  /** Sends an initiation; the one before it goes nowhere any more. */
  send(peer: ControlPeer, message: Uint8Array, isRetry: boolean): void {
    this.stop(peer.id);
    const candidates = this.#options.candidates(peer, isRetry);
    if (candidates === null || candidates.length === 0) {
      this.#options.send(message, peer.endpoint, peer, false);
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

  /**
   * Copies a handshake message that was just sent.
   *
   * @param to where it went; null: to where the peer is
   * @param paths the peer's paths that it went over instead; null: none
   * @param isRetry whether the one before it went unanswered: all that is known of loss between handshakes
   */
  copy(
    peer: ControlPeer,
    message: Uint8Array,
    to: Endpoint | null,
    paths: readonly Endpoint[] | null,
    isRetry: boolean,
  ): void {
    const copies = this.#options.copies(peer.id);
    if (copies === null || (copies.only !== null && !copies.only.handshake)) return;
    if (copies.when === 'loss' && !isRetry) return;
    this.#stopCopies(peer.id);
    const places = paths ?? [to ?? peer.endpoint ?? []].flat();
    this.#copyLater(peer, message, places, paths !== null, copies.delayMs, copies.count - places.length);
  }

  /** The peer was heard, is elsewhere by somebody's word, or is gone: no further copy leaves. */
  stop(id: number): void {
    this.#stopCopies(id);
    const underWay = this.#underWay.get(id);
    if (underWay === undefined) return;
    this.#underWay.delete(id);
    if (underWay.timer !== null) clearTimeout(underWay.timer);
  }

  close(): void {
    for (const id of [...this.#underWay.keys(), ...this.#waiting.keys()]) this.stop(id);
  }

  #stopCopies(id: number): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.delete(id);
  }

  /** One path after the other: a message has no more copies than are wanted, however many it went over. */
  #copyLater(
    peer: ControlPeer,
    message: Uint8Array,
    to: readonly Endpoint[],
    isPath: boolean,
    delayMs: number,
    left: number,
  ): void {
    const [next, ...others] = to;
    if (left <= 0 || next === undefined) return;
    const send = (): void => {
      this.#waiting.delete(peer.id);
      this.#options.send(message, next, peer, isPath);
      this.#copyLater(peer, message, [...others, next], isPath, delayMs, left - 1);
    };
    if (delayMs === 0) send();
    else this.#waiting.set(peer.id, setTimeout(send, delayMs));
  }

  #sendDue(underWay: UnderWay): void {
    const { send, nowMs } = this.#options;
    const { peer, copies } = underWay;
    if (underWay.timer !== null) clearTimeout(underWay.timer);
    underWay.timer = null;
    for (let to = copies.take(nowMs()); to !== null; to = copies.take(nowMs()))
      if (!send(copies.message, to, peer, false)) copies.refused();
    const waitMs = copies.dueMs - nowMs();
    if (Number.isFinite(waitMs)) underWay.timer = setTimeout(() => this.#sendDue(underWay), Math.max(1, waitMs));
  }
}
