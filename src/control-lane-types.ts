/** What the control lane is given: its surroundings, and peers to add; and what it keeps of each peer. */
import type { Logger } from './control/log.ts';
import type { ControlInitiationsOptions } from './control-initiations.ts';
import type { HistorySettings } from './history/settings.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { LaneHandle } from './native/types.ts';
import type { OffloadControlOptions, PeerChoice } from './offloads/offload-control.ts';
import type { Endpoint } from './packet/endpoint.ts';
import type { CipherChoice } from './protocol/cipher.ts';
import type { Timing } from './protocol/constants.ts';
import type { IndexWatcher } from './protocol/index-table.ts';
import type { LaneCommand } from './tables/lane-messages.ts';
import { peerCells, watchedWord } from './tables/peers.ts';

/** A peer to add. */
export interface PeerPlan {
  /** 32 bytes, copied. */
  readonly publicKey: Uint8Array;
  /** 32 bytes, copied, or null. */
  readonly presharedKey: Uint8Array | null;
  readonly endpoint: Endpoint | null;
  /** 0 for off. */
  readonly persistentKeepaliveSeconds: number;
  /** Default 'auto'. */
  readonly offloads?: PeerChoice['offloads'];
  /** Default true. */
  readonly announces?: boolean;
  /** Default CIPHER_DEFAULT. */
  readonly cipher?: CipherChoice;
  /** Default null: it gets what WireGuard does. */
  readonly history?: HistorySettings | null;
}

/** What changes of a peer; what is absent stays. */
export interface PeerUpdate extends Partial<PeerChoice> {
  /** 32 bytes, copied, or null for none. */
  readonly presharedKey?: Uint8Array | null;
  readonly endpoint?: Endpoint;
  /** 0 for off; switched on, one is sent at once. */
  readonly persistentKeepaliveSeconds?: number;
  readonly cipher?: CipherChoice;
  /** Null: none any more. */
  readonly history?: HistorySettings | null;
}

/** How the control lane reaches its surroundings; the device fills it in. */
export interface ControlLaneOptions {
  readonly privateKey: Uint8Array | null;
  readonly timing: Timing;
  /** Whether AES-256-GCM is fast on this machine. */
  readonly prefersAes: boolean;
  readonly log: Logger;
  /** Lanes, the control lane itself not counted. */
  readonly lanes: number;
  /** CONTROL_ARENA_BYTES of the control lane's own handle. */
  readonly arena: Uint8Array;
  readonly handle: LaneHandle;
  readonly ledger: Ledger;
  readonly handshakesPending: Int32Array;
  /** What lanes ask for the receiver indices in use. */
  readonly indexWatcher: IndexWatcher;
  readonly offloads: Pick<OffloadControlOptions, 'datagramsMax' | 'announces' | 'mtu' | 'log'>;
  /** Asked before an initiation leaves: see ControlInitiationsOptions. Default: to where the peer is. */
  readonly candidates?: ControlInitiationsOptions['candidates'];
  /** Sends a command to one lane, or to all. */
  readonly post: (command: LaneCommand, lane: number | 'all' | { readonly except: number }) => void;
}

/** What the control lane keeps of a peer besides the machine's part. */
export interface ControlPeer {
  readonly id: number;
  readonly cells: Float64Array;
  readonly watched: Int32Array;
  endpoint: Endpoint | null;
  /** Grows when the endpoint changes other than by the word of a lane, whose word may then be out of date. */
  endpointSerial: number;
  timer: NodeJS.Timeout | null;
  /** Birth of the keypair that lanes send with, or are about to, and of the one that waits to be promoted; monotonic ms. */
  currentBornMs: number;
  nextBornMs: number;
  /** Whether the log has it that the two ends do not agree on a cipher; until they do. */
  hasCipherWarning: boolean;
  /** 0 for off. */
  persistentKeepaliveSeconds: number;
}

/** A peer as it begins; its cells start at `offset` of `memory`. */
export function newControlPeer(
  id: number,
  { endpoint, persistentKeepaliveSeconds }: PeerPlan,
  memory: SharedArrayBuffer,
  offset: number,
  lanes: number,
): ControlPeer {
  return {
    id,
    cells: peerCells(memory, offset, lanes + 1),
    watched: watchedWord(memory, offset),
    endpoint,
    endpointSerial: 0,
    timer: null,
    currentBornMs: Number.NEGATIVE_INFINITY,
    nextBornMs: 0,
    hasCipherWarning: false,
    persistentKeepaliveSeconds,
  };
}
