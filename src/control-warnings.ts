/** What the control lane logs of handshakes that fail. */
import { formatKey } from './control/key-text.ts';
import type { Logger } from './control/log.ts';
import type { ControlPeer } from './control-lane-types.ts';
import { type Action, explainFailure } from './protocol/action.ts';
import type { DeviceMachine } from './protocol/device-machine.ts';

/** The two ends do not agree on a cipher: said once, and again only after a handshake that succeeded. */
export function warnOfCipher(
  { peer: id, reason }: Extract<Action, { kind: 'failed' }>,
  peers: ReadonlyMap<number, ControlPeer>,
  machine: DeviceMachine,
  log: Logger,
): void {
  const peer = id === null ? undefined : peers.get(id);
  if (peer === undefined || peer.hasCipherWarning || machine.status(peer.id).lastFailure !== reason) return;
  peer.hasCipherWarning = true;
  log.warn(explainFailure(reason), { peer: formatKey(machine.peerPublicKey(peer.id)) });
}
