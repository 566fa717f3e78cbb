/**
 * What histories need of the other direction, which inbound code may not import: a way to send a control message of the
 * lane's own, and who takes those that come.
 */
import type { LanePeer } from '../tables/peers.ts';
import type { PeerHistory } from './peer-history.ts';

export interface MessageSender {
  /**
   * Seals the plaintext of a control message that lies in the arena's `controlOut`, with the next counter, and sends it;
   * its memory is free again afterwards.
   *
   * @param path path of the peer; NO_PATH for the one by which data goes
   * @param count messages of that length, 1 when left out, `stride` bytes from one to the next; they leave as a group
   * @returns whether there was a keypair and somewhere to send it
   */
  sendMessage(peer: LanePeer, offset: number, length: number, path: number, count?: number, stride?: number): boolean;
}

/** Takes the control messages that lanes deal with themselves. They are authentic and new, and nothing else is known of them. */
export interface MessageTaker {
  /** The plaintext of a report of gaps (kind 8) lies in the arena at `offset`, `length` bytes with padding. */
  takeGaps(history: PeerHistory, view: DataView, offset: number, length: number): void;
}
