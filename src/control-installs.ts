/**
 * Keypairs that were given to the lanes and that some lane has not answered for yet. What follows an install waits until all
 * can receive on the keypair, or until a lane lets the others wait for too long.
 */
import type { Action } from './protocol/action.ts';

/** A lane that has not taken a keypair after this is not waited for. */
const INSTALL_TIMEOUT_MS = 200;

export interface Install {
  readonly peer: number;
  readonly keypair: number;
  readonly place: 'current' | 'next';
  /** Actions that wait for the lanes. */
  readonly rest: readonly Action[];
}

interface Pending {
  readonly install: Install;
  readonly timer: NodeJS.Timeout;
  /** Lanes that have not answered. */
  waiting: number;
}

export class PendingInstalls {
  /** By token. */
  readonly #pending: Map<number, Pending> = new Map();
  readonly #lanes: number;
  readonly #finish: (install: Install) => void;

  /** `finish`: what is done when the lanes have answered. */
  constructor(lanes: number, finish: (install: Install) => void) {
    this.#lanes = lanes;
    this.#finish = finish;
  }

  /** An install was sent to the lanes. */
  add(token: number, install: Install): void {
    const timer = setTimeout(() => this.#end(token), INSTALL_TIMEOUT_MS);
    this.#pending.set(token, { install, timer, waiting: this.#lanes });
  }

  /** One lane has answered. */
  answered(token: number): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    pending.waiting -= 1;
    if (pending.waiting === 0) this.#end(token);
  }

  /** A keypair that is retired before all lanes answered: what waited for it is void. */
  forget(keypair: number): void {
    for (const [token, { install, timer }] of this.#pending) {
      if (install.keypair !== keypair) continue;
      clearTimeout(timer);
      this.#pending.delete(token);
    }
  }

  close(): void {
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }

  #end(token: number): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    this.#pending.delete(token);
    this.#finish(pending.install);
  }
}
