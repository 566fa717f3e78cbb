/** What a device takes and tells; the types of the public API. */
import type { DeviceConfig, NumericEndpoint } from './control/config-types.ts';
import type { DeviceChange, DeviceSettings } from './control/device-change.ts';
import type { Logger } from './control/log.ts';
import type { OutgoingInitiation } from './control/name-watch.ts';
import type { GigatunError } from './errors.ts';
import type { HistoryStatus } from './ledger/history-figures.ts';
import type { DeviceSnapshot } from './ledger/snapshot.ts';
import type { HeldOffload } from './offloads/lane-faults.ts';
import type { OffloadName } from './offloads/offload-name.ts';
import type { Endpoint } from './packet/endpoint.ts';

export interface DeviceOptions {
  /** Interface name, at most 15 bytes. With `tunFd` the kernel tells it, and this is not looked at. */
  readonly name: string;
  /**
   * Adopts this open TUN instead of opening one: `/dev/net/tun` after TUNSETIFF with IFF_TUN, IFF_NO_PI and IFF_VNET_HDR. It
   * is the device's from then on, and closed with it, also when opening fails; one that cannot be adopted is left alone. If it
   * was opened without IFF_MULTI_QUEUE, or its interface is in another network namespace, there is one lane.
   */
  readonly tunFd?: number;
  /** Read while the device opens and not kept: the caller may zero its keys as soon as `openDevice` has resolved. */
  readonly config: DeviceConfig;
  /** Worker threads, 1 to 64; default 1. */
  readonly lanes?: number;
  /** Largest inner packet, bytes; set on the interface by whoever sets its addresses, and followed when it changes. Default 1420. */
  readonly mtu?: number;
  /** Offloads to open, as far as the kernel has them; default all. */
  readonly offloads?: readonly OffloadName[];
  /** Whether peers are told, once per session at most, that this end is gigatun; default true. */
  readonly announces?: boolean;
  /** Packets that a TUN queue holds, 1 to 10,000; default null: the kernel's 500. */
  readonly txQueueLength?: number | null;
  /** Most resident memory of the process, bytes; default and null: no cap. Refused when the device cannot fit. */
  readonly memoryCapBytes?: number | null;
  /**
   * Asked before an initiation leaves: it goes to these endpoints, four at most, one more each 250 ms until something
   * authentic is heard of the peer, which is then where that came from. Null: to the peer's endpoint alone.
   */
  readonly candidates?: (initiation: OutgoingInitiation) => readonly NumericEndpoint[] | null;
  /**
   * true: there are outer sockets only while the interface is up, as WireGuard has it. Default false: from the start on.
   * In both cases a device whose interface goes down forgets its sessions and is silent until it is up again.
   */
  readonly socketsFollowLink?: boolean;
  readonly log: Logger;
  /** false: no time is booked (to measure what the books cost). */
  readonly bookTime?: boolean;
  /** AEAD back end; default 'auto', the fastest that is there. */
  readonly aead?: 'auto' | 'openssl' | 'ipsec-mb';
}

export interface PeerStatus {
  /** Base64. */
  readonly publicKey: string;
  /** `address:port`, an IPv6 address in brackets, a link-local one with its `%scope`; null while unknown. */
  readonly endpoint: string | null;
  readonly allowedIps: readonly string[];
  /** Milliseconds since the epoch; 0 for never. */
  readonly latestHandshakeMs: number;
  /**
   * UDP payload bytes of the transport messages, keepalives too, that came from this peer, opened with a good tag and were
   * no replays: headers, padding and tags included. Handshake messages received are not counted.
   */
  readonly rxBytes: number;
  /**
   * UDP payload bytes of the transport messages, keepalives too, that were sealed for this peer (headers, padding and tags
   * included; also those that the kernel then refused), and of the handshake messages that were sent to it.
   */
  readonly txBytes: number;
  /** 0 for off. */
  readonly persistentKeepaliveSeconds: number;
  readonly hasPresharedKey: boolean;
  /** Whether the peer has announced itself as gigatun. */
  readonly isGigatun: boolean;
  /** Most datagrams that go to the peer in one group (1: no groups), and whether the last of them may be shorter. */
  readonly groupDatagramsMax: number;
  readonly groupShortTail: boolean;
  /** Seconds until groups are tried again that the path does not carry, or null where none are held back. */
  readonly groupRetrySeconds: number | null;
  /** Why the last handshake failed and, where that is known, what to do; or null. */
  readonly lastFailure: string | null;
  /** Cipher of the keypair in use, such as 'aes-256-gcm'; null while there is none. */
  readonly cipher: string | null;
  /** Copies, repeats, parity and paths; null for a peer that has none of these. */
  readonly history: HistoryStatus | null;
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
  /** Offloads that this machine turned out to break, and that are left out for a while. */
  readonly heldOffloads: readonly HeldOffload[];
  readonly pid: number;
  /** Resident memory of the process, bytes. */
  readonly rssBytes: number;
  /** Its cap, or null. */
  readonly memoryCapBytes: number | null;
  /** How often memory came near its cap, or reached it, from below. */
  readonly memoryCrossingsCount: number;
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
  /**
   * Changes the running device. The change is checked whole first: when this throws, nothing has changed. Keys and prefixes
   * are copied. What it says of routes reaches the lanes within a few milliseconds, with many prefixes some tenths of a second.
   *
   * @throws GigatunError CONFIG for a bad value, BUSY when the port is taken, PERMISSION when the mark may not be set, GONE
   *   when the device has ended
   */
  configure(change: DeviceChange): void;
  /** What it was told so far, keys included, and what its peers are at. Throws GigatunError GONE when it has ended. */
  settings(): DeviceSettings;
  /** The books of all lanes, exact at this moment. */
  snapshot(): Promise<DeviceSnapshot>;
  /**
   * An initiation that `candidates` was asked for and that nobody has answered yet goes to these endpoints, too. Without one
   * under way, and for an unknown key, nothing happens.
   */
  alsoTry(publicKey: Uint8Array, endpoints: readonly NumericEndpoint[]): void;
  /** Moves a peer's endpoint; throws GigatunError NOT_FOUND for an unknown key. */
  setPeerEndpoint(publicKey: Uint8Array, endpoint: Endpoint): void;
  /**
   * Ends the device: the interface disappears, keys are zeroed. Twice is fine. A lane that does not stop within two
   * seconds is logged, and keeps its TUN queue and sockets until it does.
   */
  close(): Promise<void>;
  /** Resolves when it ended, for whatever reason. */
  readonly closed: Promise<DeviceEnd>;
}
