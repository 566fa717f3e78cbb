/**
 * What the protocol asks its driver to do. DeviceMachine returns actions as values, in the order in which they must be
 * carried out; it does nothing itself. Message and key arrays belong to the driver from then on: the machine keeps no
 * reference to them.
 */
import type { Endpoint } from '../packet/endpoint.ts';
import type { Cipher } from './cipher.ts';

/** A keypair as the lanes need it. */
export interface NewKeypair {
  /** Slot number, small and dense: from 0, smallest free first; free again after its `retire`. */
  readonly id: number;
  /** What both keys are for. */
  readonly cipher: Cipher;
  /** Receiver index of the messages that we get, as int32; never 0. */
  readonly localIndex: number;
  /** Receiver index of the messages that we send, as int32. */
  readonly remoteIndex: number;
  /** 32 bytes; the driver zeroes it once the lanes have it. */
  readonly sendKey: Uint8Array;
  /** 32 bytes; the driver zeroes it once the lanes have it. */
  readonly receiveKey: Uint8Array;
  /** Whether we were the initiator of its handshake, and so have to renew it. */
  readonly initiator: boolean;
  /** Monotonic milliseconds; its age counts from here. */
  readonly bornMs: number;
}

/** Why a handshake failed or a handshake message was refused: a closed list. */
export type HandshakeFailure =
  | 'bad message' // unknown type, wrong length, or reserved bytes that are not zero
  | 'bad mac1' // not made for our static key
  | 'bad mac2' // under load, and no valid cookie: a cookie reply was sent
  | 'rate limit' // under load, and this address sends too many
  | 'bad key exchange' // a public key of low order
  | 'bad initiation' // does not decrypt
  | 'unknown peer' // an initiation of a static key that is not ours to know
  | 'old timestamp' // an initiation that was replayed, or whose sender's clock went back
  | 'flood' // initiations of one peer too close together
  | 'cipher refused' // an authentic initiation in a cipher that the configuration does not allow for this peer
  | 'unexpected response' // no initiation of ours waits for it
  | 'bad response' // does not decrypt: wrong key or wrong preshared key
  | 'unexpected cookie' // no message of ours waits for it
  | 'bad cookie' // does not decrypt
  | 'no private key' // the device has none
  | 'no answer' // given up after REKEY_ATTEMPT_TIME
  | 'no answer to aes-256-gcm'; // the same, where the configuration forces a cipher that a stock peer does not know

const EXPLANATIONS: Partial<Record<HandshakeFailure, string>> = {
  'cipher refused':
    'cipher refused: the peer initiates with a cipher that the configuration does not allow for it; set Cipher = auto at either end, or the same cipher at both',
  'no answer to aes-256-gcm':
    'no answer to aes-256-gcm: the peer is away or does not take this cipher; if it is no gigatun, or has no Cipher = aes-256-gcm or auto, set Cipher = auto here',
};

/** A failure in words, with what to do where that is known. */
export function explainFailure(reason: HandshakeFailure): string {
  return EXPLANATIONS[reason] ?? reason;
}

export type Action =
  /**
   * A handshake message goes out. `to` null: to the peer's present endpoint. `forgetSource`: the local address of the
   * endpoint (sticky source) is dropped first, for it may be the cause of silence. `peer` null: a cookie reply.
   */
  | {
      readonly kind: 'send';
      readonly peer: number | null;
      readonly message: Uint8Array;
      readonly to: Endpoint | null;
      readonly forgetSource: boolean;
    }
  /** A keypair enters a slot. What must leave for it was retired before. `current` moves the old current to previous. */
  | {
      readonly kind: 'install';
      readonly peer: number;
      readonly keypair: NewKeypair;
      readonly place: 'current' | 'next';
    }
  /** The next keypair becomes current, the current one previous. Staged packets may go. */
  | { readonly kind: 'promote'; readonly peer: number; readonly keypairId: number }
  /** The keypair is forgotten and its keys are zeroed. */
  | { readonly kind: 'retire'; readonly peer: number; readonly keypairId: number }
  /** An empty transport message goes out, unless staged packets went out with the `install` just before it. */
  | { readonly kind: 'keepalive'; readonly peer: number }
  /** Staged packets are given up. */
  | { readonly kind: 'dropStaged'; readonly peer: number }
  /** An authentic handshake message came from here: the peer's endpoint moves. */
  | { readonly kind: 'endpoint'; readonly peer: number; readonly endpoint: Endpoint }
  /**
   * A time that the lanes keep for the peer is set to 0, because a handshake message did what a transport message does:
   * one received answers what was sent (`unansweredSinceMs`), one sent pays what is owed (`owedSinceMs`).
   */
  | { readonly kind: 'clearTime'; readonly peer: number; readonly time: 'unansweredSinceMs' | 'owedSinceMs' }
  /** A handshake message was refused, or a handshake failed. Counted and shown, never logged one by one. */
  | { readonly kind: 'failed'; readonly peer: number | null; readonly reason: HandshakeFailure };
