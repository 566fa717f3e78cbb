/**
 * What remakes missing datagrams from parity is told of what came, in the packet's order: of each run before it is unsealed in
 * place, of the same run when it is known what of it is authentic and new, and of each parity message. What it remakes goes
 * the way of all datagrams, through `inject`. Peers without forward error correction have none.
 */
import type { InboundBatch } from '../inbound/batch.ts';
import type { LaneKeypair } from '../tables/peers.ts';

export interface ParityReceiver {
  /** Whether parity came lately, so that what is missing may be remade. */
  isExpecting(nowMs: number): boolean;
  /**
   * Sealed transport messages `first` to `end` - 1 of the batch, all of one keypair, not yet authentic: their UNSEAL descriptors
   * say where ciphertext and tag lie, which are about to be overwritten; `batch.counters` has their counters.
   */
  keep(batch: InboundBatch, keypair: LaneKeypair, first: number, end: number): void;
  /** The same messages, or some that were remade: `batch.fresh` says which are authentic, new and in time. */
  confirm(batch: InboundBatch, keypair: LaneKeypair, first: number, end: number): void;
  /** A parity message (kind 10): its plaintext lies in the arena, `length` bytes with padding, and came over `path`. */
  takeParity(offset: number, length: number, path: number): void;
  /** Gives memory back; the object is of no use any more. */
  close(): void;
}

export interface Injector {
  /** How many wait for the end of the turn; while there are none, the memory of those before is free. */
  readonly waiting: number;
  /**
   * Takes a datagram that was remade, from its ciphertext on: `length` bytes with the tag at `offset` of the arena, which must
   * stay as they are until the end of the turn, be writable, and have TRANSPORT_HEADER_LENGTH bytes of the caller's before them.
   * It passes the same stages as any other, at the end of the turn; its own tag tells whether it is right.
   *
   * @param path for which it counts as repaired
   * @returns false if too many wait already: it is forgotten
   */
  inject(keypair: LaneKeypair, counter: number, offset: number, length: number, path: number): boolean;
}

/** Shows a batch to those who remake, before it is unsealed. */
export function keepSealed(batch: InboundBatch): void {
  for (let run = 0; run < batch.runs; run += 1) {
    const keypair = batch.runKeypairs[run];
    const receiver = keypair?.peer.history?.parityReceiver ?? null;
    if (keypair === null || receiver === null) continue;
    receiver.keep(batch, keypair, run === 0 ? 0 : batch.runEnds[run - 1], batch.runEnds[run]);
  }
}

/** Shows them what of it was authentic and new. */
export function confirmReceived(batch: InboundBatch): void {
  for (let run = 0; run < batch.runs; run += 1) {
    const keypair = batch.runKeypairs[run];
    const receiver = keypair?.peer.history?.parityReceiver ?? null;
    if (keypair === null || receiver === null) continue;
    receiver.confirm(batch, keypair, run === 0 ? 0 : batch.runEnds[run - 1], batch.runEnds[run]);
  }
}
