/**
 * Outbound, control of the TUN queue: under bulk TCP everybody's latency is the queue of super-packets before the lane,
 * which TCP fills until its window ends. So senders are told early that the queue is long: one TCP segment is dropped, or
 * marked where its sender knows ECN (RFC 3168), at first rarely, then, as in CoDel (RFC 8289, 3.3), ever more often until
 * the queue is short. A queue that is bounded by its length instead drops whole super-packets, which costs TCP far more,
 * and small bursts of others.
 *
 * A lane does not see how long the queue is or how long packets have waited. It sees which reads emptied it, and so how
 * many bytes came since it was empty: a burst that is longer than BURST_BYTES is a long queue.
 */

/**
 * What may come out of the queue before it is found empty, bytes: 64 super-packets, about 7 ms at 5 Gbit/s. By measurement:
 * a quarter of the latency under load for about a tenth of one stream's throughput on few cores; less gives no less
 * latency, more gives it up (docs/performance.md).
 */
export const BURST_BYTES = 4_194_304;
/** Time for a sender to hear of a first signal and to slow down, ns. */
export const SIGNAL_INTERVAL_NS = 2e7;
/** Signals come no oftener than this many times as often as the first: a queue that others fill is no reason to stop TCP. */
const SIGNALS_MAX = 16;
/** A signal that comes later than this after the one before is a first one, ns. */
const SOON_NS = 5 * SIGNAL_INTERVAL_NS;

export class QueueControl {
  /** Bytes read since the queue was last found empty. */
  #burstBytes = 0;
  #signals = 0;
  #nextNs = 0;

  /** Takes what a batch of reads found: its bytes, and whether it emptied the queue. */
  found(bytes: number, isEmptied: boolean): void {
    this.#burstBytes = isEmptied ? 0 : this.#burstBytes + bytes;
  }

  /** Whether the sender of the packet at hand is to be told to slow down. */
  signals(nowNs: number): boolean {
    if (this.#burstBytes <= BURST_BYTES || nowNs < this.#nextNs) return false;
    this.#signals = nowNs - this.#nextNs < SOON_NS ? Math.min(this.#signals + 1, SIGNALS_MAX) : 1;
    this.#nextNs = nowNs + SIGNAL_INTERVAL_NS / Math.sqrt(this.#signals);
    return true;
  }
}
