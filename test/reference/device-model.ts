/** Slow twin of a device's settings: peers and prefixes as lists of text, searched from end to end. */
import type { DeviceChange, PeerChange } from '../../src/control/device-change.ts';
import { formatPrefix, maskPrefix } from '../../src/control/ip-text.ts';
import { formatKey, publicKeyOf } from '../../src/control/key-text.ts';

export interface ModelPeer {
  readonly publicKey: string;
  presharedKey: string | null;
  endpoint: string | null;
  persistentKeepaliveSeconds: number;
  prefixes: string[];
}

export class DeviceModel {
  privateKey: Uint8Array | null = null;
  /** In the order in which they came. */
  peers: ModelPeer[] = [];

  apply({ privateKey, replacePeers = false, peers = [] }: DeviceChange): void {
    if (privateKey !== undefined) this.privateKey = privateKey;
    if (replacePeers) this.peers = [];
    const own = this.privateKey === null ? '' : formatKey(publicKeyOf(this.privateKey));
    this.peers = this.peers.filter(({ publicKey }) => publicKey !== own);
    for (const change of peers) if (formatKey(change.publicKey) !== own) this.#apply(change);
  }

  #apply(change: PeerChange): void {
    const publicKey = formatKey(change.publicKey);
    let peer = this.peers.find((known) => known.publicKey === publicKey);
    if (change.remove === true) this.peers = this.peers.filter((known) => known !== peer);
    if (change.remove === true || (peer === undefined && change.updateOnly === true)) return;
    if (peer === undefined) {
      peer = { publicKey, presharedKey: null, endpoint: null, persistentKeepaliveSeconds: 0, prefixes: [] };
      this.peers.push(peer);
    }
    if (change.presharedKey !== undefined) peer.presharedKey = textOfKey(change.presharedKey);
    if (change.endpoint !== undefined) peer.endpoint = `${change.endpoint.address} ${change.endpoint.port}`;
    peer.persistentKeepaliveSeconds = change.persistentKeepaliveSeconds ?? peer.persistentKeepaliveSeconds;
    if (change.replaceAllowedIps === true) peer.prefixes = [];
    for (const { prefix, remove } of change.allowedIps ?? [])
      this.#move(peer, formatPrefix(maskPrefix(prefix)), remove);
  }

  #move(peer: ModelPeer, prefix: string, remove: boolean): void {
    if (remove) peer.prefixes = peer.prefixes.filter((held) => held !== prefix);
    else {
      for (const other of this.peers) other.prefixes = other.prefixes.filter((held) => held !== prefix);
      peer.prefixes.push(prefix);
    }
  }
}

function textOfKey(key: Uint8Array | null): string | null {
  return key?.some((byte) => byte !== 0) === true ? formatKey(key) : null;
}
