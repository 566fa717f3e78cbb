/**
 * Outbound, the length of the TUN queue. The kernel counts that queue in packets, whatever they hold: 500 super-packets
 * are 32 MB, which under bulk TCP is time that every other packet waits too; 40 packets are soon too few for small ones.
 * So the lane watches how much a read brings and asks for as many packets as hold QUEUE_BYTES; the device sets the length
 * of its interface. The kernel drops what finds the queue full, which is what tells TCP to slow down.
 */

/** What the queue should hold at most, bytes: 16 super-packets, about 1.7 ms at 5 Gbit/s. */
export const QUEUE_BYTES = 1_048_576;
/** The kernel's own length of a TUN queue, and the longest that is asked for. */
export const QUEUE_PACKETS_MAX = 500;
/** A shorter queue costs throughput (see docs/performance.md). */
export const QUEUE_PACKETS_MIN = 16;
/** How long packets are watched before a length is asked for, ns. */
const WINDOW_NS = 2e7;
/** Fewer reads in a window are no bulk traffic. */
const BULK_READS_MIN = 32;

/** Packets that a queue may hold when reads bring `bytes` on average. */
export function queueLengthFor(bytes: number): number {
  return Math.min(QUEUE_PACKETS_MAX, Math.max(QUEUE_PACKETS_MIN, Math.round(QUEUE_BYTES / Math.max(1, bytes))));
}

export class QueueLength {
  /** The length that was asked for last. */
  packets: number = QUEUE_PACKETS_MAX;
  #reads = 0;
  #bytes = 0;
  #sinceNs = 0;

  /** Notes what one batch of reads brought. */
  note(reads: number, bytes: number): void {
    this.#reads += reads;
    this.#bytes += bytes;
  }

  /** The length to ask for from now on, or 0 when the one before will do: it is less than twice as long, or as short. */
  wanted(nowNs: number): number {
    if (nowNs - this.#sinceNs < WINDOW_NS) return 0;
    const packets = this.#reads < BULK_READS_MIN ? QUEUE_PACKETS_MAX : queueLengthFor(this.#bytes / this.#reads);
    this.#sinceNs = nowNs;
    this.#reads = 0;
    this.#bytes = 0;
    if (packets < this.packets * 2 && packets * 2 > this.packets) return 0;
    this.packets = packets;
    return packets;
  }
}
