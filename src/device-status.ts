/** What a device keeps of its peers, and tells of them: no key but public ones. */
import type { IpPrefix, PeerConfig } from './control/config-types.ts';
import { formatPrefix } from './control/ip-text.ts';
import { formatKey } from './control/key-text.ts';
import type { ControlLane } from './control-lane.ts';
import type { ControlPeer } from './control-lane-types.ts';
import type { PeerStatus } from './device-types.ts';
import { formatEndpoint } from './endpoint-text.ts';
import { explainFailure } from './protocol/action.ts';

/** What a device keeps of a peer for as long as it lives. */
export interface DevicePeer {
  /** Base64. */
  readonly publicKey: string;
  /** Packed by `packPrefixes`: as objects they would be most of what an idle peer takes. */
  readonly allowedIps: Uint8Array;
  readonly persistentKeepaliveSeconds: number;
  readonly hasPresharedKey: boolean;
  readonly control: ControlPeer;
}

/** Copies of what is shown of a peer; its preshared key is not among them. */
export function devicePeerOf(config: PeerConfig, control: ControlPeer): DevicePeer {
  return {
    publicKey: formatKey(config.publicKey),
    allowedIps: packPrefixes(config.allowedIps),
    persistentKeepaliveSeconds: config.persistentKeepaliveSeconds,
    hasPresharedKey: config.presharedKey !== null,
    control,
  };
}

/** Each prefix as the number of its address bytes, its length, and its address. */
export function packPrefixes(prefixes: readonly IpPrefix[]): Uint8Array {
  const packed = new Uint8Array(prefixes.reduce((sum, { address }) => sum + 2 + address.length, 0));
  let offset = 0;
  for (const { address, length } of prefixes) {
    packed.set([address.length, length], offset);
    packed.set(address, offset + 2);
    offset += 2 + address.length;
  }
  return packed;
}

/** Views of what `packPrefixes` made. */
export function unpackPrefixes(packed: Uint8Array): IpPrefix[] {
  const prefixes: IpPrefix[] = [];
  for (let offset = 0; offset < packed.length; offset += 2 + packed[offset]) {
    const address = packed.subarray(offset + 2, offset + 2 + packed[offset]);
    prefixes.push({ address, length: packed[offset + 1] });
  }
  return prefixes;
}

export function peerStatus(peer: DevicePeer, controlLane: ControlLane): PeerStatus {
  const { publicKey, allowedIps, persistentKeepaliveSeconds, hasPresharedKey, control } = peer;
  const { lastHandshakeRealMs, lastFailure, cipher } = controlLane.machine.status(control.id);
  const { isGigatun, datagramsMax, shortTail, retrySeconds } = controlLane.offloads.status(control.id);
  const { receivedBytes, sentBytes } = controlLane.transfer(control);
  return {
    publicKey,
    endpoint: control.endpoint === null ? null : formatEndpoint(control.endpoint),
    allowedIps: unpackPrefixes(allowedIps).map(formatPrefix),
    latestHandshakeMs: lastHandshakeRealMs,
    rxBytes: receivedBytes,
    txBytes: sentBytes,
    persistentKeepaliveSeconds,
    hasPresharedKey,
    isGigatun,
    groupDatagramsMax: datagramsMax,
    groupShortTail: shortTail,
    groupRetrySeconds: retrySeconds,
    lastFailure: lastFailure === null ? null : explainFailure(lastFailure),
    cipher,
  };
}
