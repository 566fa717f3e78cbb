/** A device that only keeps what it is told, in the plainest way: the slow twin of the real one's reconfiguration. */
import type { DeviceConfig, IpPrefix, NumericEndpoint } from '../../../src/control/config-types.ts';
import type { DeviceChange, DeviceSettings, PeerChange } from '../../../src/control/device-change.ts';
import { formatPrefix } from '../../../src/control/ip-text.ts';
import { formatKey, publicKeyOf } from '../../../src/control/key-text.ts';
import type { HistorySettings } from '../../../src/history/settings.ts';

export interface ModelPeer {
  readonly publicKey: Uint8Array;
  presharedKey: Uint8Array | null;
  endpoint: NumericEndpoint | null;
  persistentKeepaliveSeconds: number;
  offloads: string;
  announces: boolean;
  cipher: string;
  history: HistorySettings | null;
  /** Counts how often the peer was made: a session lives as long as this stays. */
  readonly session: number;
  allowedIps: Map<string, IpPrefix>;
}

export interface ModelDevice {
  /** By public key in base64. */
  readonly peers: Map<string, ModelPeer>;
  /** All changes so far. */
  readonly changes: DeviceChange[];
  /** Thrown by the next change instead of carrying it out. */
  failsWith: Error | null;
  readonly configure: (change: DeviceChange) => void;
  readonly settings: () => DeviceSettings;
  /** Endpoints that an initiation under way was to try besides, by public key in base64. */
  readonly tried: Map<string, readonly NumericEndpoint[]>;
  readonly alsoTry: (publicKey: Uint8Array, endpoints: readonly NumericEndpoint[]) => void;
}

let sessions = 0;

export function modelDevice(config: DeviceConfig): ModelDevice {
  let { listenPort, fwmark } = config;
  let privateKey = copyOf(config.privateKey);
  if (listenPort === 0) listenPort = 40_000;
  const peers = new Map<string, ModelPeer>();
  const model: ModelDevice = {
    peers,
    changes: [],
    failsWith: null,
    tried: new Map(),
    alsoTry: (publicKey, endpoints) => void model.tried.set(formatKey(publicKey), endpoints),
    configure: (change) => {
      if (model.failsWith !== null) throw model.failsWith;
      model.changes.push(change);
      listenPort = change.listenPort ?? listenPort;
      fwmark = change.fwmark ?? fwmark;
      if (change.privateKey !== undefined) privateKey = copyOf(change.privateKey);
      if (change.privateKey) peers.delete(formatKey(publicKeyOf(change.privateKey)));
      if (change.replacePeers === true) peers.clear();
      for (const peer of change.peers ?? []) applyPeer(peers, peer);
    },
    settings: () => ({
      privateKey: copyOf(privateKey),
      listenPort,
      fwmark,
      peers: [...peers.values()].map(
        ({ allowedIps, offloads: _, announces: __, cipher: ___, session: ____, history: _____, ...peer }) => ({
          ...peer,
          presharedKey: copyOf(peer.presharedKey),
          allowedIps: [...allowedIps.values()],
          ...{ latestHandshakeMs: 0, txBytes: 0, rxBytes: 0 },
        }),
      ),
    }),
  };
  for (const { allowedIps, endpoint, ...peer } of config.peers)
    applyPeer(peers, {
      ...peer,
      ...(endpoint === null ? {} : { endpoint }),
      allowedIps: allowedIps.map((prefix) => ({ prefix, remove: false })),
    });
  return model;
}

function applyPeer(peers: Map<string, ModelPeer>, change: PeerChange): void {
  const key = formatKey(change.publicKey);
  if (change.remove === true) peers.delete(key);
  const isMade = peers.has(key) || change.updateOnly !== true;
  if (change.remove === true || !isMade) return;
  const peer = peers.get(key) ?? newPeer(change.publicKey);
  peers.set(key, peer);
  if (change.presharedKey !== undefined) peer.presharedKey = copyOf(change.presharedKey);
  peer.endpoint = change.endpoint ?? peer.endpoint;
  peer.persistentKeepaliveSeconds = change.persistentKeepaliveSeconds ?? peer.persistentKeepaliveSeconds;
  peer.offloads = change.offloads ?? peer.offloads;
  peer.announces = change.announces ?? peer.announces;
  peer.cipher = change.cipher ?? peer.cipher;
  if (change.history !== undefined) peer.history = change.history;
  if (change.replaceAllowedIps === true) peer.allowedIps.clear();
  for (const { prefix, remove } of change.allowedIps ?? []) {
    const name = formatPrefix(prefix);
    if (remove) peer.allowedIps.delete(name);
    else {
      for (const other of peers.values()) other.allowedIps.delete(name);
      peer.allowedIps.set(name, prefix);
    }
  }
}

function newPeer(publicKey: Uint8Array): ModelPeer {
  return {
    ...{ publicKey: Uint8Array.from(publicKey), presharedKey: null, endpoint: null, persistentKeepaliveSeconds: 0 },
    ...{ offloads: 'auto', announces: true, cipher: 'chacha20-poly1305', session: sessions++, history: null },
    allowedIps: new Map(),
  };
}

function copyOf(key: Uint8Array | null): Uint8Array | null {
  return key && Uint8Array.from(key);
}
