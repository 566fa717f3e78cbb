/** A device that is nothing but its settings: what `set` asks for, `get` shows. Slow and plain; no traffic, no limits. */
import type { IpPrefix, NumericEndpoint } from '../../../src/control/config-types.ts';
import type { DeviceChange, DeviceSettings, PeerChange, PeerSettings } from '../../../src/control/device-change.ts';
import { formatPrefix } from '../../../src/control/ip-text.ts';
import { formatKey, publicKeyOf } from '../../../src/control/key-text.ts';
import type { UapiDevice } from '../../../src/uapi/server.ts';

interface ModelPeer {
  readonly publicKey: Uint8Array;
  presharedKey: Uint8Array | null;
  endpoint: NumericEndpoint | null;
  persistentKeepaliveSeconds: number;
  /** By text. */
  readonly allowedIps: Map<string, IpPrefix>;
}

export class ModelDevice implements UapiDevice {
  readonly peers: Map<string, ModelPeer> = new Map();
  privateKey: Uint8Array | null = null;
  listenPort = 0;
  fwmark = 0;
  /** Thrown by the next configure(). */
  refusal: Error | null = null;
  /** How often it was configured. */
  changesCount = 0;

  configure(change: DeviceChange): void {
    const { refusal } = this;
    this.refusal = null;
    if (refusal !== null) throw refusal;
    this.changesCount += 1;
    const { privateKey, listenPort = this.listenPort, fwmark = this.fwmark, replacePeers = false, peers = [] } = change;
    if (privateKey !== undefined) this.privateKey = privateKey && Uint8Array.from(privateKey);
    this.listenPort = listenPort;
    this.fwmark = fwmark;
    if (replacePeers) this.peers.clear();
    this.peers.delete(this.#ownKey());
    for (const peer of peers) this.#configurePeer(peer);
  }

  settings(): DeviceSettings {
    const { privateKey, listenPort, fwmark } = this;
    const peers = [...this.peers.values()].map(peerSettings);
    return { privateKey: privateKey && Uint8Array.from(privateKey), listenPort, fwmark, peers };
  }

  #ownKey(): string {
    return this.privateKey === null ? '' : formatKey(publicKeyOf(this.privateKey));
  }

  #configurePeer(change: PeerChange): void {
    const key = formatKey(change.publicKey);
    if (key === this.#ownKey()) return;
    if (change.remove === true) this.peers.delete(key);
    const peer = change.remove === true ? undefined : (this.peers.get(key) ?? this.#made(change));
    if (peer === undefined) return;
    if (change.presharedKey !== undefined)
      peer.presharedKey = change.presharedKey && Uint8Array.from(change.presharedKey);
    peer.endpoint = change.endpoint ?? peer.endpoint;
    peer.persistentKeepaliveSeconds = change.persistentKeepaliveSeconds ?? peer.persistentKeepaliveSeconds;
    if (change.replaceAllowedIps === true) peer.allowedIps.clear();
    for (const { prefix, remove } of change.allowedIps ?? []) this.#move(prefix, remove, peer);
  }

  #made({ publicKey, updateOnly }: PeerChange): ModelPeer | undefined {
    if (updateOnly === true) return undefined;
    const none = { presharedKey: null, endpoint: null, persistentKeepaliveSeconds: 0, allowedIps: new Map() };
    const peer: ModelPeer = { publicKey, ...none };
    this.peers.set(formatKey(publicKey), peer);
    return peer;
  }

  #move(prefix: IpPrefix, remove: boolean, peer: ModelPeer): void {
    const text = formatPrefix(prefix);
    if (remove) peer.allowedIps.delete(text);
    else {
      for (const other of this.peers.values()) if (other !== peer) other.allowedIps.delete(text);
      peer.allowedIps.set(text, prefix);
    }
  }
}

function peerSettings({ allowedIps, presharedKey, ...peer }: ModelPeer): PeerSettings {
  return {
    ...peer,
    presharedKey: presharedKey && Uint8Array.from(presharedKey),
    latestHandshakeMs: 0,
    txBytes: 0,
    rxBytes: 0,
    allowedIps: [...allowedIps.values()],
  };
}
