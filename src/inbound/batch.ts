/**
 * One inbound batch: transport messages that are unsealed together, in the order of their arrival. Columns beside the
 * UNSEAL descriptors of the arena; nothing is allocated after construction.
 */
import { LIMIT } from '../packet/arena.ts';
import { NO_PATH } from '../path/path-types.ts';
import type { LaneKeypair } from '../tables/peers.ts';

/** Of a message that is authentic, new and in time. */
export const FRESH = 1;
/** Of one that is, and whose packet the order of the peer's packets has: it is only counted. */
export const ORDERED = 2;

export class InboundBatch {
  /** Messages, and UNSEAL descriptors filled. */
  messages = 0;
  readonly counters: Float64Array = new Float64Array(LIMIT.UNSEALS);
  /** FRESH or ORDERED, or 0 for what is not to be delivered. */
  readonly fresh: Uint8Array = new Uint8Array(LIMIT.UNSEALS);
  /** Runs: consecutive messages of one keypair from one source. */
  runs = 0;
  readonly runKeypairs: (LaneKeypair | null)[] = new Array<LaneKeypair | null>(LIMIT.UNSEALS).fill(null);
  /** Byte offset of the ENDPOINT record that says where the run came from. */
  readonly runSources: Int32Array = new Int32Array(LIMIT.UNSEALS);
  /** Number of the message behind the run's last. */
  readonly runEnds: Int32Array = new Int32Array(LIMIT.UNSEALS);
  /** Only of runs whose peer has histories: the path it came over, and whether it brought a counter that is newer than all. */
  readonly runPaths: Int32Array = new Int32Array(LIMIT.UNSEALS);
  readonly runNewest: Uint8Array = new Uint8Array(LIMIT.UNSEALS);
  /** Of the same: 1 if its messages are all fresh and one behind the other, from the next counter on. */
  readonly runNext: Uint8Array = new Uint8Array(LIMIT.UNSEALS);
  /** Whether a run is of a peer whose packets are delivered in order. */
  hasOrdered = false;
  /** Made from parity by this lane, for this path: nothing of it was received. */
  isRemade = false;
  remadePath: number = NO_PATH;

  /** Counts one more message, whose descriptor and counter were filled in, to the latest run or to a new one. */
  append(keypair: LaneKeypair, source: number): void {
    let run = this.runs - 1;
    if (run < 0 || this.runSources[run] !== source || this.runKeypairs[run] !== keypair) {
      run += 1;
      this.runKeypairs[run] = keypair;
      this.runSources[run] = source;
      this.runs = run + 1;
    }
    this.messages += 1;
    this.runEnds[run] = this.messages;
  }

  clear(): void {
    for (let run = 0; run < this.runs; run += 1) this.runKeypairs[run] = null;
    this.runs = 0;
    this.messages = 0;
    this.isRemade = false;
    this.hasOrdered = false;
  }
}
