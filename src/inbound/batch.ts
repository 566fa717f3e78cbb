/**
 * One inbound batch: transport messages that are unsealed together, in the order of their arrival. Columns beside the
 * UNSEAL descriptors of the arena; nothing is allocated after construction.
 */
import { LIMIT } from '../packet/arena.ts';
import type { LaneKeypair } from '../tables/peers.ts';

export class InboundBatch {
  /** Messages, and UNSEAL descriptors filled. */
  messages = 0;
  readonly keypairs: (LaneKeypair | null)[] = new Array<LaneKeypair | null>(LIMIT.UNSEALS).fill(null);
  readonly counters: Float64Array = new Float64Array(LIMIT.UNSEALS);
  /** Byte offset of the ENDPOINT record that says where the message came from. */
  readonly sources: Int32Array = new Int32Array(LIMIT.UNSEALS);
  /** 1 for a message that is authentic and new. */
  readonly fresh: Uint8Array = new Uint8Array(LIMIT.UNSEALS);

  clear(): void {
    for (let message = 0; message < this.messages; message += 1) this.keypairs[message] = null;
    this.messages = 0;
  }
}
