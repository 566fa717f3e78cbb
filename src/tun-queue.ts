/**
 * The length of a device's TUN queues: a fixed one, or what the lanes ask for as the traffic changes
 * (src/outbound/queue-length.ts). The kernel has one length for all queues of an interface, so the greatest wish counts.
 * Who sets another length on the interface keeps it.
 */
import { QUEUE_PACKETS_MAX } from './outbound/queue-length.ts';

export interface TunQueueOptions {
  readonly lanes: number;
  /** Packets, or null to follow the traffic. */
  readonly fixed: number | null;
  /** Sets the length where one is given; returns the one that the interface has. Throws when the interface is gone. */
  readonly link: (packets: number | null) => number;
}

export class TunQueue {
  readonly #options: TunQueueOptions;
  readonly #wishes: Int32Array;
  #length: number;
  #isOurs = true;

  /** Sets the fixed length, or notes the one that is there. */
  constructor(options: TunQueueOptions) {
    this.#options = options;
    this.#wishes = new Int32Array(options.lanes).fill(QUEUE_PACKETS_MAX);
    this.#length = options.link(options.fixed);
    if (options.fixed !== null) this.#isOurs = false;
  }

  /** Takes a lane's wish, in packets; returns the new length, or null when nothing changes. */
  ask(lane: number, packets: number): number | null {
    this.#wishes[lane] = packets;
    const wanted = Math.max(...this.#wishes);
    if (!this.#isOurs || wanted === this.#length) return null;
    if (this.#options.link(null) !== this.#length) {
      this.#isOurs = false;
      return null;
    }
    this.#length = this.#options.link(wanted);
    return this.#length;
  }
}
