/**
 * The three keypair slots of a peer (paper, section 6; the transitions are those of the reference implementations):
 *
 *     current    sent on, and received on
 *     previous   received on: what was still on its way when current changed
 *     next       received on: the responder's, until the first message proves that the initiator has it too
 *
 * Previous and next are never there at once. When initiations of both ends cross, a next keypair that nobody will
 * confirm may be left over, for which current is given up at the next rekey: then, and only then, messages on their way
 * are lost to a change of keys. Keys themselves are the driver's; here a keypair is its numbers.
 */
import type { Cipher } from './cipher.ts';

export interface Keypair {
  /** See NewKeypair. */
  readonly id: number;
  readonly cipher: Cipher;
  readonly localIndex: number;
  readonly initiator: boolean;
  readonly bornMs: number;
}

export class KeypairSlots {
  #previous: Keypair | null = null;
  #current: Keypair | null = null;
  #next: Keypair | null = null;

  get current(): Keypair | null {
    return this.#current;
  }

  get next(): Keypair | null {
    return this.#next;
  }

  get previous(): Keypair | null {
    return this.#previous;
  }

  /** An initiator's keypair is proven by the response and becomes current at once. Returns what fell out. */
  installCurrent(keypair: Keypair): Keypair[] {
    const fallen = this.#next === null ? [this.#previous] : [this.#previous, this.#current];
    this.#previous = this.#next ?? this.#current;
    this.#next = null;
    this.#current = keypair;
    return present(fallen);
  }

  /** A responder's keypair waits as next. Returns what fell out. */
  installNext(keypair: Keypair): Keypair[] {
    const fallen = [this.#previous, this.#next];
    this.#previous = null;
    this.#next = keypair;
    return present(fallen);
  }

  /** The first message on next came: it becomes current. Returns what fell out, or null if this is not next. */
  confirm(id: number): Keypair[] | null {
    if (this.#next?.id !== id) return null;
    const fallen = [this.#previous];
    this.#previous = this.#current;
    this.#current = this.#next;
    this.#next = null;
    return present(fallen);
  }

  /** Empties all slots. Returns what they held. */
  clear(): Keypair[] {
    const fallen = [this.#previous, this.#current, this.#next];
    this.#previous = null;
    this.#current = null;
    this.#next = null;
    return present(fallen);
  }
}

function present(keypairs: readonly (Keypair | null)[]): Keypair[] {
  return keypairs.filter((keypair) => keypair !== null);
}
