/** What a device keeps of its peers, and tells of them: no key but public ones. */
import type { IpPrefix, PeerConfig } from './control/config-types.ts';
import { formatPrefix } from './control/ip-text.ts';
import { formatKey } from './control/key-text.ts';
import type { ControlLane, ControlPeer } from './control-lane.ts';
import type { PeerStatus } from './device-types.ts';
import { formatEndpoint } from './endpoint-text.ts';
import { explainFailure } from './protocol/action.ts';

/** What a device keeps of a peer for as long as it lives. */
export interface DevicePeer {
  /** Base64. */
  readonly publicKey: string;
  readonly allowedIps: readonly IpPrefix[];
  readonly persistentKeepaliveSeconds: number;
  readonly hasPresharedKey: boolean;
  readonly control: ControlPeer;
}

/** Copies of what is shown of a peer; its preshared key is not among them. */
export function devicePeerOf(config: PeerConfig, control: ControlPeer): DevicePeer {
  return {
    publicKey: formatKey(config.publicKey),
    allowedIps: config.allowedIps.map(({ address, length }) => ({ address: Uint8Array.from(address), length })),
    persistentKeepaliveSeconds: config.persistentKeepaliveSeconds,
    hasPresharedKey: config.presharedKey !== null,
    control,
  };
}

export function peerStatus(peer: DevicePeer, controlLane: ControlLane): PeerStatus {
  const { publicKey, allowedIps, persistentKeepaliveSeconds, hasPresharedKey, control } = peer;
  const { lastHandshakeRealMs, lastFailure, cipher } = controlLane.machine.status(control.id);
  const { isGigatun, datagramsMax, shortTail, retrySeconds } = controlLane.offloads.status(control.id);
  const { receivedBytes, sentBytes } = controlLane.transfer(control);
  return {
    publicKey,
    endpoint: control.endpoint === null ? null : formatEndpoint(control.endpoint),
    allowedIps: allowedIps.map(formatPrefix),
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
