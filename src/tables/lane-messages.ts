/** What control lane and lanes say to each other. Messages are rare: none is sent per packet. */
import type { HistorySettings } from '../history/settings.ts';
import type { SuperKind } from '../inbound/super-kinds.ts';
import type { Endpoint } from '../packet/endpoint.ts';
import type { LanePaths } from '../path/path-types.ts';
import type { Cipher } from '../protocol/cipher.ts';

/** A peer that a lane is told of. */
export interface PeerEntry {
  readonly peer: number;
  /** Its cells start at `offset` of `memory`, which many peers share. */
  readonly memory: SharedArrayBuffer;
  readonly offset: number;
  readonly endpoint: Endpoint | null;
}

/** From the control lane to a lane. */
export type LaneCommand =
  | { readonly type: 'peers'; readonly peers: readonly PeerEntry[] }
  /** Forget this peer, whose keypairs were retired: nothing is told of it any more. */
  | { readonly type: 'unpeer'; readonly peer: number }
  /** Answer with `marked`: all that was said before is obeyed then. */
  | { readonly type: 'mark'; readonly token: number }
  /** Where the peer is; `serial` grows with each word that does not come from a lane. */
  | {
      readonly type: 'endpoint';
      readonly peer: number;
      readonly endpoint: Endpoint | null;
      readonly serial: number;
    }
  /** Which datagram groups this peer gets: at most so many datagrams (1: no groups), the last shorter or not. */
  | {
      readonly type: 'groups';
      readonly peer: number;
      readonly datagramsMax: number;
      readonly shortTail: boolean;
    }
  | { readonly type: 'routes'; readonly ipv4: Int32Array; readonly ipv6: Int32Array }
  /** Receive on this keypair from now on; the lane answers with `installed`. It is sent with only after `promote`. */
  | {
      readonly type: 'install';
      readonly token: number;
      readonly peer: number;
      readonly keypair: number;
      readonly cipher: Cipher;
      readonly localIndex: number;
      readonly remoteIndex: number;
      readonly sendKey: Uint8Array;
      readonly receiveKey: Uint8Array;
      readonly initiator: boolean;
      readonly bornMs: number;
      /** The keypair's memory starts at `offset` of `memory`. */
      readonly memory: SharedArrayBuffer;
      readonly offset: number;
      readonly place: 'current' | 'next';
    }
  /** Send with this keypair, staged packets first; with `confirm`, an empty message if there were none. */
  | { readonly type: 'promote'; readonly peer: number; readonly keypair: number; readonly confirm: boolean }
  | { readonly type: 'retire'; readonly peer: number; readonly keypair: number }
  /** Send an empty transport message. */
  | { readonly type: 'keepalive'; readonly peer: number }
  /** Send control messages: each list one datagram group, each entry the plaintext of one of its datagrams. */
  | {
      readonly type: 'control';
      readonly peer: number;
      readonly groups: readonly (readonly Uint8Array[])[];
      /** Over this path; absent: as data goes. */
      readonly path?: number;
    }
  /** What histories of this peer are kept and used for; null: none any more. Its books are in `memory`. */
  | {
      readonly type: 'history';
      readonly peer: number;
      readonly settings: HistorySettings | null;
      readonly memory: SharedArrayBuffer;
    }
  /** Which paths the peer has; only after `history`. */
  | { readonly type: 'paths'; readonly peer: number; readonly paths: LanePaths }
  | { readonly type: 'dropStaged'; readonly peer: number }
  /** The interface is down: no peer's packets wait any more. */
  | { readonly type: 'dropAllStaged' }
  | { readonly type: 'mtu'; readonly mtu: number }
  /** The sockets are others: no peer is sent to from a local address of before. */
  | { readonly type: 'forgetSources' }
  /** Our static public key, 32 bytes; null while there is none, or nobody is to be answered. */
  | { readonly type: 'identity'; readonly publicKey: Uint8Array | null }
  /** Collect the garbage of the lane's heap. */
  | { readonly type: 'collect' }
  /** Commit the books now and answer with the same id. */
  | { readonly type: 'snapshot'; readonly id: number }
  | { readonly type: 'close' };

/** From a lane to the control lane. */
export type LaneEvent =
  | { readonly type: 'ready'; readonly wakeFd: number; readonly aead: string }
  /** A handshake message (types 1 to 3) that is worth the work, and where it came from. */
  | { readonly type: 'handshake'; readonly message: Uint8Array; readonly source: Endpoint }
  | { readonly type: 'want'; readonly peer: number }
  | { readonly type: 'watch'; readonly peer: number }
  | { readonly type: 'installed'; readonly token: number }
  | { readonly type: 'marked'; readonly token: number }
  | { readonly type: 'confirmed'; readonly peer: number; readonly keypair: number }
  /** A control message of another gigatun, without its padding. */
  | {
      readonly type: 'control';
      readonly peer: number;
      readonly message: Uint8Array;
      /** Path that it came over, or -1; from where; and when, CLOCK_MONOTONIC ms. */
      readonly path: number;
      readonly source: Endpoint;
      readonly atMs: number;
    }
  /** The peer is elsewhere; `serial` is that of the last word that the lane has had of where it is. */
  | { readonly type: 'roamed'; readonly peer: number; readonly endpoint: Endpoint; readonly serial: number }
  | { readonly type: 'snapshot'; readonly id: number }
  /** GSO failed (EIO) for a group that went through datagram by datagram: it is off until then, CLOCK_MONOTONIC ms. */
  | { readonly type: 'gsoDemoted'; readonly errno: number; readonly offUntilMs: number }
  /** A group went out as one again. */
  | { readonly type: 'gsoPromoted' }
  /** A peer's groups are refused for their size (EINVAL, EMSGSIZE): it gets none until then. */
  | { readonly type: 'groupsRefused'; readonly peer: number; readonly errno: number; readonly offUntilMs: number }
  /** The TUN refuses (EINVAL) a kind of super-packet whose packets it takes: it is off until then; 0: it is on again. */
  | { readonly type: 'superPackets'; readonly kind: SuperKind; readonly offUntilMs: number }
  /** Datagrams that came in groups are damaged, and single ones are not: the kernel joins them wrongly. */
  | { readonly type: 'groMangled'; readonly family: 4 | 6; readonly datagrams: number }
  /** Some link of the lane's network namespace has changed. */
  | { readonly type: 'link' }
  | { readonly type: 'gone'; readonly message: string };
