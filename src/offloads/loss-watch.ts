/**
 * Whether more gets lost on the way to a peer than a path loses that is well: told from the peer's own reports (how many
 * transport messages arrived, up to which counter), against what was sent. Pure.
 */

/** Of the messages between two reports, the share that may be lost, and the number from which a share means something. */
const LOSS_SHARE_MAX = 0.05;
const LOST_MIN = 3;
/** So many messages without a word about them, in at least so many looks one after the other: nothing arrives. */
const UNREPORTED_MIN = 32;
const SILENT_LOOKS_MIN = 3;

export class LossWatch {
  #index = 0;
  #newest = 0;
  #count = 0;
  #sentAtReport = 0;
  #silentLooks = 0;

  /** The peer's report for the keypair of `index`. Returns whether it lost too much since the last one. */
  report(index: number, newest: number, count: number, sent: number): boolean {
    const isSame = index === this.#index;
    const passed = isSame ? newest - this.#newest : newest;
    const lost = passed - (isSame ? count - this.#count : count);
    this.#index = index;
    this.#newest = newest;
    this.#count = count;
    this.#sentAtReport = sent;
    this.#silentLooks = 0;
    return passed > 0 && lost >= LOST_MIN && lost / passed > LOSS_SHARE_MAX;
  }

  /** A look once a second while something is sent. Returns whether nothing seems to arrive at all. */
  look(index: number, sent: number): boolean {
    if (index !== this.#index) {
      this.#index = index;
      this.#newest = 0;
      this.#count = 0;
      this.#sentAtReport = 0;
      this.#silentLooks = 0;
    }
    this.#silentLooks += 1;
    return this.#silentLooks >= SILENT_LOOKS_MIN && sent - this.#sentAtReport >= UNREPORTED_MIN;
  }
}
