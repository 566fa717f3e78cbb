/**
 * Outbound, what a peer asks for in vain: counters that were sent but are not kept, as messages of the control lane never are.
 * It is told of them in a message of the form of its report and no longer than that, so that nothing waits for them there. It is paid for
 * from the budget of repeats.
 */
import type { PeerHistory } from '../history/peer-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { NO_PATH } from '../path/path-types.ts';
import { CONTROL_KIND } from '../protocol/control-header.ts';
import { gapsLength, writeGap, writeGaps } from '../protocol/gaps-message.ts';
import { SEALED_OVERHEAD_MAX } from './batch.ts';

export class GoneList {
  readonly #lane: LaneContext;
  #rangesMax = 0;
  /** Ranges that were written to the arena's room for such messages; the last of them, and the first counter of all. */
  #ranges = 0;
  #base = 0;
  #first = 0;
  #end = 0;

  constructor(lane: LaneContext) {
    this.#lane = lane;
  }

  /** Starts the answer to a report of so many ranges. */
  begin(ranges: number): void {
    this.#rangesMax = ranges;
    this.#ranges = 0;
  }

  /** Adds a counter, higher than those before. What is too much is left for the next report. */
  add(counter: number): void {
    const goesOn = this.#ranges > 0 && counter === this.#end;
    if (!goesOn && this.#ranges === this.#rangesMax) return;
    if (this.#ranges === 0) this.#base = counter;
    if (!goesOn) {
      this.#first = counter;
      this.#ranges += 1;
    }
    this.#end = counter + 1;
    const { view, controlOut } = this.#lane.arena;
    writeGap(view, controlOut, this.#ranges - 1, this.#first - this.#base, this.#end - this.#first);
  }

  /** Sends what was added, if anything. `index`: the receiver index of the keypair. */
  send({ peer, repeats }: PeerHistory, index: number): void {
    const length = gapsLength(this.#ranges);
    if (this.#ranges === 0 || !repeats.spend(length + SEALED_OVERHEAD_MAX)) return;
    const { sender, arena } = this.#lane;
    writeGaps(arena.view, arena.controlOut, index, this.#base, this.#ranges, CONTROL_KIND.GONE);
    sender?.sendMessage(peer, arena.controlOut, length, NO_PATH);
  }
}
