/**
 * A change of a running device, as values: what the UAPI, `gigatun reload` and programs ask for. What is absent stays as
 * it is. A change is checked whole before any of it is carried out, so that a bad one changes nothing.
 */
import type { HistorySettings } from '../history/settings.ts';
import type { PeerOffloads } from '../offloads/offload-name.ts';
import type { CipherChoice } from '../protocol/cipher.ts';
import type { IpPrefix, NumericEndpoint } from './config-types.ts';

/** One prefix that a peer gets or loses; who has it already loses it to the peer that gets it. */
export interface AllowedIpChange {
  readonly prefix: IpPrefix;
  /** Takes it from this peer; without effect when the peer does not have it. */
  readonly remove: boolean;
}

/** What becomes of one peer. */
export interface PeerChange {
  /** 32 bytes. The device's own public key names nobody: such a change is without effect. */
  readonly publicKey: Uint8Array;
  /** Ends the peer; the rest is ignored. */
  readonly remove?: boolean;
  /** Without effect when there is no such peer; else the peer is made. */
  readonly updateOnly?: boolean;
  /** 32 bytes, or null for none. */
  readonly presharedKey?: Uint8Array | null;
  readonly endpoint?: NumericEndpoint;
  /** 0 (off) to 65,535. Switched on, one is sent at once. */
  readonly persistentKeepaliveSeconds?: number;
  /** Takes all prefixes from the peer before `allowedIps` is looked at. */
  readonly replaceAllowedIps?: boolean;
  /** In order. */
  readonly allowedIps?: readonly AllowedIpChange[];
  readonly offloads?: PeerOffloads;
  readonly announces?: boolean;
  readonly cipher?: CipherChoice;
  /** Null for none. */
  readonly history?: HistorySettings | null;
}

/** What becomes of a device. */
export interface DeviceChange {
  /** 32 bytes, or null for none. A peer that has its public key is removed. */
  readonly privateKey?: Uint8Array | null;
  /** 0 lets the kernel choose. The sockets are opened anew; sessions stay. */
  readonly listenPort?: number;
  /** SO_MARK of the outer sockets; 0 for none. */
  readonly fwmark?: number;
  /** Removes all peers before `peers` is looked at. */
  readonly replacePeers?: boolean;
  /** In order; a peer may be named more than once. */
  readonly peers?: readonly PeerChange[];
}

/** What a device has been told so far, and what its peers are at: what the UAPI's `get` and `wg showconf` show. Keys are copies, the caller's to zero. */
export interface DeviceSettings {
  /** 32 bytes, or null. */
  readonly privateKey: Uint8Array | null;
  /** Port of the outer sockets; while there are none, the one that they will get, 0 for any. */
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerSettings[];
}

export interface PeerSettings {
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array | null;
  /** Numeric, with the scope where there is one; where the peer was heard last. */
  readonly endpoint: NumericEndpoint | null;
  /** Epoch milliseconds; 0 for never. */
  readonly latestHandshakeMs: number;
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly persistentKeepaliveSeconds: number;
  readonly allowedIps: readonly IpPrefix[];
  /** Whether the peer has announced itself as gigatun; absent: not known. */
  readonly isGigatun?: boolean;
  /** Cipher of the keypair in use; null or absent while there is none. */
  readonly cipher?: string | null;
}
