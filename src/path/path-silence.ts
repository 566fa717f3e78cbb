/**
 * How a peer that answers no probes is known to be silent: what was sent to it is unanswered for longer than it ever was of
 * late. A peer that only receives is silent by nature, and soon known for it; one that begins to answer is soon known for that. Pure.
 */

/** No silence shorter than this means anything, ms. */
const SILENCE_LEAST_MS = 400;
/** From here on WireGuard itself asks (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT). */
const SILENCE_MOST_MS = 15_000;
/** Silences are usual up to so many times the longest of late, which is forgotten by half in this time, ms. */
const MARGIN = 2;
const HALF_LIFE_MS = 60_000;
/** What is left of it each time that the peer is heard: of ten seconds next to nothing after two dozen times. */
const FADE = 0.85;
/** Answers before anything is held against a peer. */
const ANSWERS_MIN = 3;

export class PathSilence {
  #sinceMs = 0;
  #usualMs = 0;
  #usualAtMs = 0;
  #answers = 0;

  /** `unansweredSinceMs`: as lanes have it, 0 for nothing unanswered. */
  look(unansweredSinceMs: number, nowMs: number): void {
    if (unansweredSinceMs === this.#sinceMs) return;
    if (this.#sinceMs > 0) this.#answered(nowMs - this.#sinceMs, nowMs);
    this.#sinceMs = unansweredSinceMs;
  }

  /** The peer was heard: what was sent before, however shortly, is answered. */
  heard(): void {
    this.#answers += 1;
    this.#usualMs *= FADE;
  }

  /** What is unanswered now says nothing of the peer: its path was dead. */
  excuse(): void {
    this.#sinceMs = 0;
  }

  /** Whether the peer is silent when it should not be. */
  isSilent(nowMs: number): boolean {
    return this.#sinceMs > 0 && nowMs - this.#sinceMs > this.#patienceMs(nowMs);
  }

  /** For how long nothing has come in answer to what is sent, ms; 0 while nothing is awaited. */
  silentMs(nowMs: number): number {
    return this.#sinceMs > 0 ? nowMs - this.#sinceMs : 0;
  }

  #answered(silenceMs: number, nowMs: number): void {
    this.#usualMs = Math.max(this.#faded(nowMs), silenceMs);
    this.#usualAtMs = nowMs;
    this.#answers += 1;
  }

  #faded(nowMs: number): number {
    return this.#usualMs * 0.5 ** ((nowMs - this.#usualAtMs) / HALF_LIFE_MS);
  }

  #patienceMs(nowMs: number): number {
    if (this.#answers < ANSWERS_MIN) return SILENCE_MOST_MS;
    return Math.min(SILENCE_MOST_MS, Math.max(SILENCE_LEAST_MS, MARGIN * this.#faded(nowMs)));
  }
}
