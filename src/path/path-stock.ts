/**
 * Which paths to a peer live that answers no probes, a stock WireGuard peer: what the kernel refuses to send, and what is not
 * answered that used to be. When the peer falls silent, what is sent to it goes over the other paths as well, or where it
 * already goes over several, over one after the other; the path over which an answer comes is the one. A path that was given
 * up is tried again every now and then, by a handshake over it. A peer that only receives has nothing to answer but handshakes:
 * while it is sent to and silent, one is made over the path in use as often as WireGuard allows. Pure.
 */
import type { PathTraffic } from './path-health.ts';
import { PathSilence } from './path-silence.ts';
import { isUsable, noteDeath, type PathSlot } from './path-slot.ts';
import { type LanePath, NO_PATH } from './path-types.ts';

/** For so long what is sent goes over one path alone, ms, while it is looked for. */
const SOLO_MS = 400;
const RETRY_FIRST_MS = 10_000;
/** The first trial of a path whose interface or address is back, ms after that. */
const RETRY_BACK_MS = 2_000;
const RETRY_MOST_MS = 60_000;
/** A peer that is sent to and as silent as that is asked by a handshake, ms: REKEY_TIMEOUT; and it answers within so long. */
const ASK_MS = 5_000;
const ANSWER_MS = 400;
/** A search that lasts so long asks by a handshake, ms. */
const TRIAL_HANDSHAKE_MS = 1_000;
/** A handshake that tries a path out has it to itself for so long, ms: longer than one may be put off (REKEY_TIMEOUT). */
const RETRY_LASTS_MS = 6_000;

/** What is known of a stock peer, as last looked at. */
export interface StockFacts {
  readonly traffic: (path: number) => PathTraffic;
  /** As lanes have it, ms; 0 for nothing unanswered. */
  readonly unansweredSinceMs: number;
  readonly isRedundant: boolean;
  /** Whether anything flows. */
  readonly flows: boolean;
}

export class StockWatch {
  readonly #silence: PathSilence = new PathSilence();
  /** When the present search for a path that answers began, ms; 0: none. */
  #searchMs = 0;
  #hasAsked = false;
  #solo = NO_PATH;
  #soloMs = 0;
  #retry = NO_PATH;
  #retryMs = 0;
  #wantsHandshake = false;
  /** When a peer that only receives was asked, ms; 0: it is not. */
  #askedMs = 0;

  get isSearching(): boolean {
    return this.#searchMs > 0;
  }

  /** The path that is alone in use while it is looked for, NO_PATH for none. */
  get solo(): number {
    return this.#solo;
  }

  /** The path that handshakes try out, NO_PATH for none. */
  retried(nowMs: number): number {
    return nowMs - this.#retryMs < RETRY_LASTS_MS ? this.#retry : NO_PATH;
  }

  /** Whether a handshake is wanted, once. */
  takeWish(): boolean {
    const wanted = this.#wantsHandshake;
    this.#wantsHandshake = false;
    return wanted;
  }

  /** Looks at what lanes have booked. `first`: the path in use. */
  step(slots: readonly PathSlot[], first: number, facts: StockFacts, nowMs: number): void {
    for (const slot of slots) this.#lookAt(slot, facts.traffic(slot.path), nowMs);
    this.#conclude(slots, first, nowMs);
    this.#silence.look(facts.unansweredSinceMs, nowMs);
    const usable = slots.filter(isUsable);
    if (this.#searchMs === 0 && usable.length > 1 && this.#isMissed(facts, nowMs)) {
      this.#searchMs = nowMs;
      this.#askedMs = 0;
    }
    if (this.#searchMs > 0) this.#search(usable, facts, nowMs);
    else if (facts.flows) this.#retryLost(slots, first, facts.isRedundant, nowMs);
  }

  /** The peer was heard over a path otherwise: by a handshake message. */
  heard(slots: readonly PathSlot[], slot: PathSlot, first: number, nowMs: number): void {
    slot.heardMs = nowMs;
    if (slot.path === this.#retry) this.#retry = NO_PATH;
    // What was asked over the path in use is answered over another.
    if (this.#askedMs > 0 && this.#searchMs === 0 && slot.path !== first) this.#searchMs = this.#askedMs;
    this.#askedMs = 0;
    this.#live(slot, nowMs);
    this.#conclude(slots, first, nowMs);
  }

  /** Whether the peer is silent when it should not be: for too long, or after it was asked. */
  #isMissed({ isRedundant, flows }: StockFacts, nowMs: number): boolean {
    if (this.#silence.isSilent(nowMs)) return true;
    if (this.#silence.silentMs(nowMs) < ASK_MS) this.#askedMs = 0;
    else if (this.#askedMs > 0) return nowMs - this.#askedMs >= ANSWER_MS;
    else if (flows && !isRedundant) {
      this.#askedMs = nowMs;
      this.#wantsHandshake = true;
    }
    return false;
  }

  #lookAt(slot: PathSlot, traffic: PathTraffic, nowMs: number): void {
    const isRefused = traffic.failedDatagrams > slot.failedDatagrams && traffic.sentDatagrams === slot.sentDatagrams;
    slot.failedDatagrams = traffic.failedDatagrams;
    slot.sentDatagrams = traffic.sentDatagrams;
    if (traffic.lastReceivedMs > slot.heardMs) {
      slot.heardMs = traffic.lastReceivedMs;
      // What came before its interface went is no sign of life.
      if (!slot.isPresent) return;
      this.#silence.heard();
      this.#live(slot, nowMs);
    }
    if (isRefused && slot.heardMs < nowMs - SOLO_MS) giveUp(slot, nowMs);
  }

  #live(slot: PathSlot, nowMs: number): void {
    slot.retryMs = 0;
    slot.retryWaitMs = 0;
    slot.health.judge('alive', nowMs);
  }

  /** The peer was heard since the search began: over the path in use, or over another, and then that one is dead. */
  #conclude(slots: readonly PathSlot[], first: number, nowMs: number): void {
    if (this.#searchMs === 0) return;
    const since = this.#solo === NO_PATH ? this.#searchMs : this.#soloMs;
    const heard = slots.filter(({ heardMs }) => heardMs > since);
    if (heard.length === 0) return;
    const isOld = this.#solo === NO_PATH && heard.some(({ path }) => path === first);
    if (!isOld) {
      for (const slot of slots) if (!heard.includes(slot) && isInUse(slot)) giveUp(slot, nowMs);
      this.#silence.excuse();
    }
    this.#searchMs = 0;
    this.#hasAsked = false;
    this.#solo = NO_PATH;
  }

  #search(usable: readonly PathSlot[], { isRedundant }: StockFacts, nowMs: number): void {
    if (isRedundant && nowMs - this.#soloMs >= SOLO_MS) {
      const at = usable.findIndex(({ path }) => path === this.#solo);
      this.#solo = usable[(at + 1) % usable.length]?.path ?? NO_PATH;
      this.#soloMs = nowMs;
    }
    if (this.#hasAsked || nowMs - this.#searchMs < TRIAL_HANDSHAKE_MS) return;
    this.#hasAsked = true;
    this.#wantsHandshake = true;
  }

  /** Paths that are wanted more than the one in use, or are to be used beside it, and are not known to live. */
  #retryLost(slots: readonly PathSlot[], first: number, isRedundant: boolean, nowMs: number): void {
    for (const slot of slots) {
      if (slot.path === first && !isRedundant) return;
      const isLost = slot.health.state === 'dead' || (slot.health.state === 'unknown' && !isInUse(slot));
      if (!isLost || !isUsable(slot)) continue;
      if (slot.retryMs === 0) slot.retryMs = nowMs + RETRY_FIRST_MS;
      if (nowMs < slot.retryMs) continue;
      slot.retryWaitMs = Math.min(RETRY_MOST_MS, Math.max(RETRY_FIRST_MS, slot.retryWaitMs * 2));
      slot.retryMs = nowMs + slot.retryWaitMs;
      this.#retry = slot.path;
      this.#retryMs = nowMs;
      this.#wantsHandshake = true;
      return;
    }
  }
}

/** Its interface or its address is back: a handshake tries it soon. */
export function cameBack(slot: PathSlot, nowMs: number): void {
  slot.retryWaitMs = 0;
  slot.retryMs = nowMs + RETRY_BACK_MS;
}

/** It is dead; a handshake tries it again. */
export function giveUp(slot: PathSlot, nowMs: number): void {
  if (slot.health.judge('dead', nowMs)) noteDeath(slot, nowMs);
  slot.retryWaitMs = Math.max(RETRY_FIRST_MS, slot.retryWaitMs);
  slot.retryMs = nowMs + slot.retryWaitMs;
}

function isInUse({ use }: { use: LanePath['use'] }): boolean {
  return use !== 'idle';
}
