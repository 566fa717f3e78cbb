/**
 * The catalog of configuration keys: in which section each stands, how often, how its value is read, where it goes, and
 * what it means. The parser and the documentation's table follow this list.
 */
import type { OffloadName, PeerOffloads } from '../offloads/offload-name.ts';
import type { CipherChoice } from '../protocol/cipher.ts';
import { LANES_MAX, QUEUE_LENGTH_MAX } from './config-limits.ts';
import { type KeyRule, rule } from './config-rule.ts';
import type { IpPrefix, LaneChoice, NamedEndpoint } from './config-types.ts';
import {
  readAllowedIp,
  readBoolean,
  readCipher,
  readCommand,
  readDns,
  readEndpoint,
  readFwmark,
  readInterfaceAddress,
  readKeepalive,
  readKey,
  readLaneChoice,
  readListenPort,
  readMemory,
  readMtu,
  readOffloads,
  readOnOff,
  readPeerOffloads,
  readPresharedKey,
  readPrivateKey,
  readTable,
  readTxQueueLength,
} from './config-values.ts';
import { HISTORY_SETTINGS, type HistoryDraft } from './history-keys.ts';

/** What the keys of `[Interface]`, and the settings there, have said so far. */
export interface InterfaceDraft {
  privateKey: Uint8Array | null;
  listenPort: number;
  fwmark: number;
  mtu: number | null;
  table: 'auto' | 'off' | number;
  saveConfig: boolean;
  lanes: LaneChoice | null;
  memoryCapBytes: number | null;
  offloads: readonly OffloadName[] | null;
  announces: boolean | null;
  txQueueLength: number | null;
  cipher: CipherChoice;
  readonly addresses: IpPrefix[];
  readonly dnsServers: string[];
  readonly dnsSearch: string[];
  readonly preUp: string[];
  readonly postUp: string[];
  readonly preDown: string[];
  readonly postDown: string[];
}

/** What the keys of one `[Peer]` have said so far. */
export interface PeerDraft {
  publicKey: Uint8Array | null;
  presharedKey: Uint8Array | null;
  endpoint: NamedEndpoint | null;
  persistentKeepaliveSeconds: number;
  offloads: PeerOffloads;
  announces: boolean;
  /** Null: as [Interface] has it. */
  cipher: CipherChoice | null;
  readonly history: HistoryDraft;
  readonly allowedIps: IpPrefix[];
}

type OfInterface<Value> = (draft: InterfaceDraft, value: Value) => void;
type OfPeer<Value> = (draft: PeerDraft, value: Value) => void;

const setPrivateKey: OfInterface<Uint8Array> = (draft, key) => {
  draft.privateKey = key;
};
const addAddress: OfInterface<IpPrefix> = (draft, address) => {
  draft.addresses.push(address);
};
const setListenPort: OfInterface<number> = (draft, port) => {
  draft.listenPort = port;
};
const setMtu: OfInterface<number> = (draft, mtu) => {
  draft.mtu = mtu;
};
const setFwmark: OfInterface<number> = (draft, mark) => {
  draft.fwmark = mark;
};
const setTable: OfInterface<'auto' | 'off' | number> = (draft, table) => {
  draft.table = table;
};
const setSaveConfig: OfInterface<boolean> = (draft, save) => {
  draft.saveConfig = save;
};
const setLanes: OfInterface<LaneChoice> = (draft, lanes) => {
  draft.lanes = lanes;
};
const setMemory: OfInterface<number> = (draft, bytes) => {
  draft.memoryCapBytes = bytes;
};
const setOffloads: OfInterface<readonly OffloadName[]> = (draft, offloads) => {
  draft.offloads = offloads;
};
const setAnnounces: OfInterface<boolean> = (draft, announces) => {
  draft.announces = announces;
};
const setTxQueueLength: OfInterface<number | null> = (draft, packets) => {
  draft.txQueueLength = packets;
};
const setCipher: OfInterface<CipherChoice> = (draft, cipher) => {
  draft.cipher = cipher;
};
const addDns: OfInterface<{ readonly server: string } | { readonly search: string }> = (draft, entry) => {
  if ('server' in entry) draft.dnsServers.push(entry.server);
  else draft.dnsSearch.push(entry.search);
};
const addHook =
  (hook: 'preUp' | 'postUp' | 'preDown' | 'postDown'): OfInterface<string> =>
  (draft, command) => {
    draft[hook].push(command);
  };
const setPublicKey: OfPeer<Uint8Array> = (draft, key) => {
  draft.publicKey = key;
};
const setPresharedKey: OfPeer<Uint8Array | null> = (draft, key) => {
  draft.presharedKey = key;
};
const addAllowedIp: OfPeer<IpPrefix> = (draft, prefix) => {
  draft.allowedIps.push(prefix);
};
const setEndpoint: OfPeer<NamedEndpoint> = (draft, endpoint) => {
  draft.endpoint = endpoint;
};
const setKeepalive: OfPeer<number> = (draft, seconds) => {
  draft.persistentKeepaliveSeconds = seconds;
};
const setPeerOffloads: OfPeer<PeerOffloads> = (draft, offloads) => {
  draft.offloads = offloads;
};
const setPeerAnnounces: OfPeer<boolean> = (draft, announces) => {
  draft.announces = announces;
};

const setPeerCipher: OfPeer<CipherChoice> = (draft, cipher) => {
  draft.cipher = cipher;
};

/** Keys of `[Interface]`. */
export const INTERFACE_KEYS: readonly KeyRule<InterfaceDraft>[] = [
  rule('PrivateKey', 'once', readPrivateKey, setPrivateKey, 'Private key of this device, base64. Required.'),
  rule('Address', 'list', readInterfaceAddress, addAddress, 'Addresses of the interface, each with a prefix length.'),
  rule('ListenPort', 'once', readListenPort, setListenPort, 'UDP port; 0 or absent: the system chooses.'),
  rule('MTU', 'once', readMtu, setMtu, 'Largest inner packet; absent: route MTU towards the endpoints less 80.'),
  rule('FwMark', 'once', readFwmark, setFwmark, 'Mark of outgoing datagrams: decimal, 0x hexadecimal, or off.'),
  rule('Table', 'once', readTable, setTable, 'Routing table of the allowed IPs: auto, off, or a number.'),
  rule('DNS', 'list', readDns, addDns, 'Name servers and search domains; applied through resolvconf.'),
  rule('PreUp', 'lines', readCommand, addHook('preUp'), 'Shell command before the interface is made; %i is its name.'),
  rule('PostUp', 'lines', readCommand, addHook('postUp'), 'Shell command after the interface is set up.'),
  rule('PreDown', 'lines', readCommand, addHook('preDown'), 'Shell command before the interface is removed.'),
  rule('PostDown', 'lines', readCommand, addHook('postDown'), 'Shell command after the interface is removed.'),
  rule('SaveConfig', 'once', readBoolean, setSaveConfig, 'Read for wg-quick; gigatun never writes the file.'),
];

/** Keys of `[Peer]`. */
export const PEER_KEYS: readonly KeyRule<PeerDraft>[] = [
  rule('PublicKey', 'once', readKey, setPublicKey, 'Public key of the peer, base64. Required.'),
  rule('PresharedKey', 'once', readPresharedKey, setPresharedKey, 'Additional symmetric key, base64.'),
  rule('AllowedIPs', 'listOrEmpty', readAllowedIp, addAllowedIp, 'Prefixes the peer may use inside the tunnel.'),
  rule(
    'Endpoint',
    'once',
    readEndpoint,
    setEndpoint,
    'HOST:PORT or [IPV6]:PORT; DNS names are looked up at start, and again when the peer falls silent.',
  ),
  rule('PersistentKeepalive', 'once', readKeepalive, setKeepalive, 'Seconds between keepalives, or off.'),
];

/** Settings, written `#gigatun: Key = Value`, of `[Interface]`. */
export const INTERFACE_SETTINGS: readonly KeyRule<InterfaceDraft>[] = [
  rule(
    'Lanes',
    'once',
    readLaneChoice,
    setLanes,
    `Worker threads, 1 to ${LANES_MAX}, or auto: half the cores, at most 8; absent: 1. The option --lanes goes before it.`,
  ),
  rule(
    'Memory',
    'once',
    readMemory,
    setMemory,
    'Cap of resident memory, megabytes; absent: none. The option --memory goes before it.',
  ),
  rule(
    'Offloads',
    'once',
    readOffloads,
    setOffloads,
    'Offloads to open: auto (all that the kernel has), none, or some of tun-tso, tun-uso, udp-gso, udp-gro; absent: auto.',
  ),
  rule(
    'Announce',
    'once',
    readOnOff,
    setAnnounces,
    'Whether peers are told that this end is gigatun: on or off; absent: on.',
  ),
  rule(
    'TxQueueLength',
    'once',
    readTxQueueLength,
    setTxQueueLength,
    `Packets that a TUN queue may hold, 1 to ${QUEUE_LENGTH_MAX}, or auto: as the kernel has it; absent: auto.`,
  ),
  rule(
    'Cipher',
    'once',
    readCipher,
    setCipher,
    'Cipher of all peers: aes-256-gcm, chacha20-poly1305, or auto; absent: chacha20-poly1305.',
  ),
];

/** Settings of `[Peer]`. */
export const PEER_SETTINGS: readonly KeyRule<PeerDraft>[] = [
  rule(
    'Offloads',
    'once',
    readPeerOffloads,
    setPeerOffloads,
    'Datagrams to this peer in groups: auto (as the path carries them), none, or udp-gso (always); absent: auto.',
  ),
  rule(
    'Announce',
    'once',
    readOnOff,
    setPeerAnnounces,
    'Whether this peer is told that this end is gigatun: on or off; absent: on.',
  ),
  rule(
    'Cipher',
    'once',
    readCipher,
    setPeerCipher,
    'Cipher of this peer: aes-256-gcm, chacha20-poly1305, or auto; absent: as in [Interface].',
  ),
  ...HISTORY_SETTINGS,
];
