/** A network between addresses that loses, delays, reorders and doubles datagrams, by a seeded random source. */
import type { Endpoint } from '../../src/packet/endpoint.ts';
import type { EventQueue } from './event-queue.ts';

/** A transport message, unsealed: who has the key named by `key` can read it. */
export interface TransportMessage {
  readonly kind: 'transport';
  readonly receiver: number;
  readonly counter: number;
  readonly key: string;
  /** Number of the inner packet, or -1 for a keepalive. */
  readonly packet: number;
}

export interface HandshakeDatagram {
  readonly kind: 'handshake';
  readonly message: Uint8Array;
}

export type Datagram = TransportMessage | HandshakeDatagram;

/** Parts of 1, and milliseconds. Delay is even between its limits, so datagrams overtake each other. */
export interface Conditions {
  readonly loss: number;
  readonly duplication: number;
  readonly delayMsMin: number;
  readonly delayMsMax: number;
}

/** Nothing is lost or overtaken. */
export const GOOD: Conditions = { loss: 0, duplication: 0, delayMsMin: 20, delayMsMax: 20 };

export interface Receiver {
  receive(datagram: Datagram, from: Endpoint): void;
}

/** Where replays come from. */
export const THIEF: Endpoint = {
  family: 4,
  address: Uint8Array.of(203, 0, 113, 66),
  port: 666,
  scope: 0,
  localAddress: null,
  localInterface: 0,
};
/** Replays come up to this much later. */
const REPLAY_MS_MAX = 600_000;

export class Network {
  conditions: Conditions = GOOD;
  /** Datagrams sent so far, lost ones included. */
  datagrams = 0;
  /** Part of the datagrams that arrived which somebody sends again later, from an address of his own. */
  replayed = 0;
  readonly #queue: EventQueue;
  readonly #random: () => number;
  readonly #receivers = new Map<string, Receiver>();
  #addresses = 0;

  constructor(queue: EventQueue, random: () => number) {
    this.#queue = queue;
    this.#random = random;
  }

  /** Gives a receiver an address that nobody had before. */
  attach(receiver: Receiver): Endpoint {
    const number = this.#addresses++;
    const address = Uint8Array.of(10, number >> 16, number >> 8, number);
    const endpoint: Endpoint = { family: 4, address, port: 51820, scope: 0, localAddress: null, localInterface: 0 };
    this.attachAt(receiver, endpoint);
    return endpoint;
  }

  /** Gives a receiver the address of another one. */
  attachAt(receiver: Receiver, endpoint: Endpoint): void {
    this.#receivers.set(nameOf(endpoint), receiver);
  }

  /** From now on the address leads nowhere. */
  detach(endpoint: Endpoint): void {
    this.#receivers.delete(nameOf(endpoint));
  }

  send(datagram: Datagram, from: Endpoint, to: Endpoint): void {
    const { loss, duplication } = this.conditions;
    this.datagrams++;
    if (this.#random() >= loss) this.#deliver(datagram, from, to);
    if (this.#random() < duplication) this.#deliver(datagram, from, to);
  }

  #deliver(datagram: Datagram, from: Endpoint, to: Endpoint): void {
    const { delayMsMin, delayMsMax } = this.conditions;
    const atMs = this.#queue.nowMs + delayMsMin + this.#random() * (delayMsMax - delayMsMin);
    this.#queue.plan(atMs, () => {
      this.#receivers.get(nameOf(to))?.receive(datagram, from);
      if (this.#random() < this.replayed) this.#replay(datagram, to);
    });
  }

  #replay(datagram: Datagram, to: Endpoint): void {
    const atMs = this.#queue.nowMs + this.#random() * REPLAY_MS_MAX;
    this.#queue.plan(atMs, () => this.#receivers.get(nameOf(to))?.receive(datagram, THIEF));
  }
}

function nameOf(endpoint: Endpoint): string {
  return endpoint.address.join('.');
}
