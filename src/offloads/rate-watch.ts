/**
 * Groups to a peer that cannot be asked: a stock one. Groups are worth something on fast paths alone, and a path that
 * breaks them is never fast. So a peer to which little flows for a few seconds, or that is silent although much is sent,
 * gets single datagrams; when those flow fast, it gets groups again. If that slows them down at once, groups are left
 * alone for half a minute, then ever longer; not where groups have flown fast before, as those of a sender in bursts. Pure; looked at once a second.
 */
import { Backoff } from './backoff.ts';

/** Bytes a second below which groups are not worth anything, and above which they are. */
const SLOW_BYTES = 1 << 20;
const FAST_BYTES = 4 << 20;
/** Less than this a second is no flow. */
const IDLE_BYTES = 8 << 10;
const SLOW_LOOKS = 3;
/** Above KEEPALIVE_TIMEOUT, 10 s: what a stock peer says while it only receives is a passive keepalive that often. */
const SILENT_LOOKS = 12;
/** Groups that are slow within this time after they were switched on are to blame. */
const TRIAL_MS = 10_000;
/** Single datagrams that are fast within this time after groups were switched off prove the same. */
const BLAME_MS = 5_000;
const RETRY_FIRST_MS = 30_000;
const RETRY_MOST_MS = 30 * 60_000;

export class RateWatch {
  readonly #backoff: Backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS);
  #groups = true;
  #since = 0;
  #slowLooks = 0;
  #silentLooks = 0;
  #offUntilMs = 0;
  /** Whether groups have flown fast since they were switched on. */
  #wasFast = false;

  /** Whether the peer gets groups. */
  get groups(): boolean {
    return this.#groups;
  }

  /** When groups may be tried again, ms; 0 where only the rate decides. */
  get retryMs(): number {
    return this.#groups ? 0 : this.#offUntilMs;
  }

  /** Bytes sent and received in the last second. Returns whether `groups` changed. */
  look(sentBytes: number, receivedBytes: number, nowMs: number): boolean {
    const flows = sentBytes >= IDLE_BYTES;
    if (!this.#groups) return sentBytes >= FAST_BYTES && this.#mayReturn(nowMs) && this.#switch(true, nowMs);
    this.#wasFast ||= sentBytes >= FAST_BYTES;
    this.#slowLooks = flows && sentBytes < SLOW_BYTES ? this.#slowLooks + 1 : 0;
    if (receivedBytes > 0) this.#silentLooks = 0;
    else if (flows) this.#silentLooks += 1;
    const isSilent = this.#silentLooks >= SILENT_LOOKS;
    if (!isSilent && this.#slowLooks < SLOW_LOOKS) return false;
    const isOnTrial = this.#since > 0 && nowMs - this.#since < TRIAL_MS;
    const isBlamed = isSilent || (isOnTrial && !this.#wasFast);
    if (!isBlamed) this.#backoff.reset();
    this.#offUntilMs = isBlamed ? nowMs + this.#backoff.take() : 0;
    return this.#switch(false, nowMs);
  }

  /** What runs fast as soon as groups are off was slow because of them. */
  #mayReturn(nowMs: number): boolean {
    const isBlamed = !this.#wasFast && nowMs - this.#since < BLAME_MS && this.#offUntilMs < nowMs;
    if (isBlamed) this.#offUntilMs = nowMs + this.#backoff.take();
    return nowMs >= this.#offUntilMs;
  }

  #switch(groups: boolean, nowMs: number): true {
    this.#groups = groups;
    if (groups) this.#wasFast = false;
    this.#since = nowMs;
    this.#slowLooks = 0;
    this.#silentLooks = 0;
    return true;
  }
}
