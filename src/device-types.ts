/** What a device takes and tells; the types of the public API. */
import type { DeviceConfig } from './control/config-types.ts';
import type { Logger } from './control/log.ts';
import type { GigatunError } from './errors.ts';
import type { DeviceSnapshot } from './ledger/snapshot.ts';
import type { Endpoint } from './packet/endpoint.ts';
import type { Timing } from './protocol/constants.ts';

export interface DeviceOptions {
  /** Interface name, at most 15 bytes. */
  readonly name: string;
  readonly config: DeviceConfig;
  /** Worker threads, 1 to 64; default 1. */
  readonly lanes?: number;
  /** Largest inner packet, bytes; set on the interface by whoever sets its addresses, and followed when it changes. Default 1420. */
  readonly mtu?: number;
  readonly log: Logger;
  /** Times of the protocol; both ends must agree. For tests. */
  readonly timing?: Timing;
  /** false: no time is booked (to measure what the books cost). */
  readonly bookTime?: boolean;
  /** AEAD back end; default 'auto', the fastest that is there. */
  readonly aead?: 'auto' | 'openssl' | 'ipsec-mb';
}

export interface PeerStatus {
  /** Base64. */
  readonly publicKey: string;
  /** `address:port`, or null while unknown. */
  readonly endpoint: string | null;
  readonly allowedIps: readonly string[];
  /** Milliseconds since the epoch; 0 for never. */
  readonly latestHandshakeMs: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** 0 for off. */
  readonly persistentKeepaliveSeconds: number;
  readonly hasPresharedKey: boolean;
  /** Why the last handshake failed, or null. */
  readonly lastFailure: string | null;
}

export interface DeviceStatus {
  readonly interface: string;
  /** Base64, or null without a private key. */
  readonly publicKey: string | null;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly mtu: number;
  /** Whether the interface is up. */
  readonly up: boolean;
  readonly aead: string;
  readonly lanes: number;
  /** Offloads in use, such as 'tso4', 'gso', 'gro'. */
  readonly offloads: readonly string[];
  readonly pid: number;
  readonly peers: readonly PeerStatus[];
}

export interface DeviceEnd {
  readonly reason: string;
  /** Null when it was closed on purpose or the interface was deleted. */
  readonly error: GigatunError | null;
}

export interface Device {
  readonly name: string;
  readonly listenPort: number;
  status(): DeviceStatus;
  /** The books of all lanes, exact at this moment. */
  snapshot(): Promise<DeviceSnapshot>;
  /** Moves a peer's endpoint; throws GigatunError NOT_FOUND for an unknown key. */
  setPeerEndpoint(publicKey: Uint8Array, endpoint: Endpoint): void;
  /** Ends the device: the interface disappears, keys are zeroed. Twice is fine. */
  close(): Promise<void>;
  /** Resolves when it ended, for whatever reason. */
  readonly closed: Promise<DeviceEnd>;
}
