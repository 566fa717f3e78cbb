/**
 * What a configuration says, as values. Three steps: `TunnelConfig` is the file's content (names not yet looked up),
 * `DeviceConfig` is what the device takes (numeric endpoints only), `InterfaceConfig` is what the link set-up needs
 * (addresses, MTU, routes, hooks). Key bytes belong to whoever holds the config and are never formatted into a text.
 */

import type { HistorySettings } from '../history/settings.ts';
import type { OffloadName, PeerOffloads } from '../offloads/offload-name.ts';
import type { PathSettings } from '../path/path-types.ts';
import type { CipherChoice } from '../protocol/cipher.ts';

/** A network prefix; `AllowedIPs` have their host bits cleared, `Address` keeps them. */
export interface IpPrefix {
  /** 4 or 16 bytes in wire order. */
  readonly address: Uint8Array;
  /** Prefix length in bits: 0 to 32, or 0 to 128. */
  readonly length: number;
}

/** Endpoint as the device takes it. */
export interface NumericEndpoint {
  /** Numeric IPv4 or IPv6 address; a link-local one may end in `%` and an interface name. */
  readonly address: string;
  /** UDP port, 1 to 65,535. */
  readonly port: number;
}

/** Endpoint as the file has it. */
export interface NamedEndpoint {
  /** DNS name or numeric address, without brackets. */
  readonly host: string;
  /** UDP port, 1 to 65,535. */
  readonly port: number;
}

/** A path as the file has it. */
export interface PathFileSettings extends Omit<PathSettings, 'endpoint'> {
  /** Null: the peer's endpoint. */
  readonly endpoint: NamedEndpoint | null;
}

/** Settings for sending more than once, as the file has them. */
export interface HistoryFileSettings extends Omit<HistorySettings, 'paths'> {
  readonly paths: readonly PathFileSettings[];
}

interface PeerCommon {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes, or null for none. */
  readonly presharedKey: Uint8Array | null;
  /** In the file's order; no prefix twice within one peer. */
  readonly allowedIps: readonly IpPrefix[];
  /** 0 (off) to 65,535. */
  readonly persistentKeepaliveSeconds: number;
  /** Whether datagrams go to it in groups; absent: 'auto'. */
  readonly offloads?: PeerOffloads;
  /** Whether it is told that this end is gigatun; absent: true. */
  readonly announces?: boolean;
  /** Cipher of its handshakes and keypairs; absent: chacha20-poly1305, which every WireGuard peer knows. */
  readonly cipher?: CipherChoice;
}

/** A peer as the device takes it. */
export interface PeerConfig extends PeerCommon {
  readonly endpoint: NumericEndpoint | null;
  /** Null or absent: nothing is sent more than once, and the peer has one path. */
  readonly history?: HistorySettings | null;
}

/** A peer as the file has it. */
export interface PeerFileConfig extends PeerCommon {
  readonly endpoint: NamedEndpoint | null;
  readonly history?: HistoryFileSettings | null;
}

/** The part of a configuration that the device itself takes. */
export interface DeviceConfig {
  /** 32 bytes, or null while there is none. */
  readonly privateKey: Uint8Array | null;
  /** 0 lets the kernel choose. */
  readonly listenPort: number;
  /** SO_MARK of the outer sockets; 0 for none. */
  readonly fwmark: number;
  readonly peers: readonly PeerConfig[];
}

/** Shell commands that the file wants run, `%i` not yet replaced. */
export interface Hooks {
  readonly preUp: readonly string[];
  readonly postUp: readonly string[];
  readonly preDown: readonly string[];
  readonly postDown: readonly string[];
}

/** The part of a configuration that is about the network interface and the host's routes. */
export interface InterfaceConfig {
  readonly addresses: readonly IpPrefix[];
  /** Bytes, or null to derive it from the routes towards the endpoints. */
  readonly mtu: number | null;
  /** Routing table for the peers' allowed IPs: chosen, none, or this one (1 to 2^32 - 1). */
  readonly table: 'auto' | 'off' | number;
  /** Numeric addresses of name servers. */
  readonly dnsServers: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly hooks: Hooks;
  /** Parsed for wg-quick's sake; not applied. */
  readonly saveConfig: boolean;
}

/** Lanes: 1 to 64, or as many as suit the machine and the peers. */
export type LaneChoice = number | 'auto';

/** Settings beyond WireGuard, from lines `#gigatun: Key = Value`; null where the file says nothing. */
export interface GigatunSettings {
  /** Number of lanes (worker threads). */
  readonly lanes: LaneChoice | null;
  /** Most resident memory of the process, bytes. */
  readonly memoryCapBytes: number | null;
  /** Offloads that the device opens, in no order, none twice. */
  readonly offloads: readonly OffloadName[] | null;
  /** Whether peers are told that this end is gigatun. */
  readonly announces: boolean | null;
  /** Packets that a TUN queue may hold; null as well for auto. */
  readonly txQueueLength: number | null;
}

/** A whole file. */
export interface TunnelConfig {
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
  /** 0 lets the kernel choose. */
  readonly listenPort: number;
  /** 0 for none. */
  readonly fwmark: number;
  readonly interface: InterfaceConfig;
  readonly settings: GigatunSettings;
  readonly peers: readonly PeerFileConfig[];
}
