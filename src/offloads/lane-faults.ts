/**
 * What lanes found broken in this machine's own offloads: kept for the status, told to the log, and, where it is the
 * control lane's to do, switched off and on again. Time is an argument's business: the clock is given.
 */
import type { Logger } from '../control/log.ts';
import type { LaneEvent } from '../tables/lane-messages.ts';
import { Backoff } from './backoff.ts';
import type { OffloadName } from './offload-name.ts';

const GRO_RETRY_FIRST_MS = 30_000;
const GRO_RETRY_MOST_MS = 30 * 60_000;

/** An offload that is held back. */
export interface HeldOffload {
  readonly offload: OffloadName;
  readonly lane: number;
  /** One clause: what happened. */
  readonly reason: string;
  /** Seconds until it is tried again. */
  readonly retrySeconds: number;
}

export interface LaneFaultsOptions {
  readonly log: Logger;
  /** CLOCK_MONOTONIC, ms. */
  readonly nowMs: () => number;
  /** Switches UDP GRO of a lane's socket. */
  readonly setGro: (lane: number, family: 4 | 6, isOn: boolean) => void;
}

interface Fault {
  readonly offload: OffloadName;
  readonly lane: number;
  readonly reason: string;
  readonly untilMs: number;
}

const KIND_NAMES = { tcp4: 'IPv4 TCP', tcp6: 'IPv6 TCP', udp: 'UDP' } as const;

export class LaneFaults {
  readonly #options: LaneFaultsOptions;
  readonly #faults: Map<string, Fault> = new Map();
  readonly #timers: Map<string, NodeJS.Timeout> = new Map();
  readonly #groBackoffs: Map<string, Backoff> = new Map();

  constructor(options: LaneFaultsOptions) {
    this.#options = options;
  }

  /** Takes an event of a lane; says whether it was one of its own. */
  take(event: LaneEvent, lane: number): boolean {
    switch (event.type) {
      case 'gsoDemoted':
        this.#hold(`gso ${lane}`, {
          ...{ offload: 'udp-gso', lane, untilMs: event.offUntilMs },
          reason: `the device refuses datagram groups (errno ${event.errno}) where single datagrams pass`,
        });
        return true;
      case 'gsoPromoted':
        this.#release(`gso ${lane}`);
        return true;
      case 'superPackets':
        this.#takeSuperPackets(event, lane);
        return true;
      case 'groMangled':
        this.#takeGro(event, lane);
        return true;
      default:
        return false;
    }
  }

  /** Whether datagram groups are held back on some lane. */
  get holdsGso(): boolean {
    return this.held().some(({ offload, retrySeconds }) => offload === 'udp-gso' && retrySeconds > 0);
  }

  held(): HeldOffload[] {
    const nowMs = this.#options.nowMs();
    return [...this.#faults.values()].map(({ untilMs, ...fault }) => ({
      ...fault,
      retrySeconds: Math.max(0, Math.ceil((untilMs - nowMs) / 1_000)),
    }));
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #takeSuperPackets({ kind, offUntilMs }: Extract<LaneEvent, { type: 'superPackets' }>, lane: number): void {
    const key = `${kind} ${lane}`;
    if (offUntilMs === 0) {
      this.#release(key);
      return;
    }
    const reason = `the TUN refuses ${KIND_NAMES[kind]} super-packets whose packets it takes one by one`;
    this.#hold(key, { offload: kind === 'udp' ? 'tun-uso' : 'tun-tso', lane, reason, untilMs: offUntilMs });
  }

  /** The lane says so again as long as it is so: while GRO is off, that is another fault's. */
  #takeGro({ family, datagrams }: Extract<LaneEvent, { type: 'groMangled' }>, lane: number): void {
    const key = `gro ${lane} ${family}`;
    if (this.#faults.has(key)) return;
    const backoff = this.#groBackoffs.get(key) ?? new Backoff(GRO_RETRY_FIRST_MS, GRO_RETRY_MOST_MS);
    this.#groBackoffs.set(key, backoff);
    const waitMs = backoff.take();
    this.#options.setGro(lane, family, false);
    const reason = `${datagrams} datagrams that came in groups over IPv${family} were damaged, and no single ones`;
    this.#hold(key, { offload: 'udp-gro', lane, reason, untilMs: this.#options.nowMs() + waitMs });
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.#options.setGro(lane, family, true);
      this.#release(key);
    }, waitMs);
    this.#timers.set(key, timer);
  }

  #hold(key: string, fault: Fault): void {
    this.#faults.set(key, fault);
    const retrySeconds = Math.ceil((fault.untilMs - this.#options.nowMs()) / 1_000);
    const { offload, lane, reason } = fault;
    this.#options.log.warn('an offload is held back for a while', { offload, lane, reason, retrySeconds });
  }

  #release(key: string): void {
    const fault = this.#faults.get(key);
    if (fault === undefined) return;
    this.#faults.delete(key);
    this.#options.log.info('an offload is in use again', { offload: fault.offload, lane: fault.lane });
  }
}
