/** Gives a lane's histories of a peer the two halves of forward error correction, or takes them away, as its settings say. */
import type { LaneContext } from '../../lane-context.ts';
import type { PeerHistory } from '../peer-history.ts';
import { ParityDecoder } from './decoder.ts';
import { ParityEncoder } from './encoder.ts';

/** After a change of settings. Only a lane that sees all counters of the peer can have it. */
export function settleFec(lane: LaneContext, history: PeerHistory): void {
  const isOn = history.settings.fec.mode !== 'off' && history.isAlone;
  if (!isOn) {
    closeFec(history);
    return;
  }
  // What another one had noted lay in a ring that may be gone.
  history.sealedWatch = new ParityEncoder(lane);
  history.parityReceiver ??= new ParityDecoder(lane, history);
}

/** Before the histories go. */
export function closeFec(history: PeerHistory): void {
  history.parityReceiver?.close();
  history.parityReceiver = null;
  history.sealedWatch = null;
}
