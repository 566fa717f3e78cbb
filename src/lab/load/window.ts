/**
 * How many datagrams a QUIC-like sender may have in flight: slow start, then one more per round trip, and 0.7 of it after a
 * loss, once per round trip (RFC 9002, 7.3, with CUBIC's factor, RFC 9438, 4.6). Pure: no socket and no clock.
 */

const START = 32;
const LEAST = 4;
const AFTER_LOSS = 0.7;

export class CongestionWindow {
  /** Datagrams that may be in flight. */
  size: number = START;
  /** One more than the highest number that was acknowledged. */
  acknowledged = 0;
  /** Times that the window was cut. */
  cuts = 0;
  readonly #most: number;
  #threshold = Number.POSITIVE_INFINITY;
  #recoverUntil = 0;
  /** Datagrams below `acknowledged` that did not come; whatever the next acknowledgement says of it is news to nobody when it is infinite. */
  #lost = 0;

  /** `most`: datagrams that the receiver's socket buffer surely holds. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Takes an acknowledgement: one more than the highest number that came, how many came, and what was sent by now. */
  acknowledge(next: number, received: number, sent: number): void {
    const newly = next - this.acknowledged;
    if (newly <= 0 || next > sent) return;
    const lost = next - received;
    const isLoss = lost > this.#lost;
    this.acknowledged = next;
    this.#lost = lost;
    if (isLoss && next > this.#recoverUntil) this.#cut(sent);
    else if (!isLoss) this.#grow(newly);
  }

  /** Nothing was acknowledged for long: whatever is in flight counts as lost. */
  expire(sent: number): void {
    this.acknowledged = sent;
    this.#lost = Number.POSITIVE_INFINITY;
    this.#cut(sent);
    this.size = LEAST;
  }

  #grow(newly: number): void {
    const more = this.size < this.#threshold ? newly : newly / this.size;
    this.size = Math.min(this.#most, this.size + more);
  }

  #cut(sent: number): void {
    this.cuts += 1;
    this.#recoverUntil = sent;
    this.#threshold = Math.max(LEAST, this.size * AFTER_LOSS);
    this.size = this.#threshold;
  }
}
