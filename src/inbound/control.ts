/**
 * Inbound, control messages of another gigatun: plaintexts that are no IP packets. Reports of gaps, what answers them, tails and
 * parity are the lane's own, and are taken where they lie; all others go to the control lane (cold: a few a second).
 */
import type { PeerHistory } from '../history/peer-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { DROP } from '../packet/drop-reason.ts';
import { readEndpoint } from '../packet/endpoint.ts';
import { NO_PATH } from '../path/path-types.ts';
import { CONTROL_HEADER_LENGTH, CONTROL_KIND, controlBodyLength, controlKind } from '../protocol/control-header.ts';
import { controlMessageLength } from '../protocol/control-message.ts';
import type { LanePeer } from '../tables/peers.ts';

/**
 * Takes the plaintext at `offset`, which is no IP packet, whatever it is.
 *
 * @param source byte offset of the ENDPOINT record it came from
 * @returns whether it is a control message
 */
export function takeControl(
  lane: LaneContext,
  peer: LanePeer,
  source: number,
  offset: number,
  plaintextLength: number,
): boolean {
  const { history } = peer;
  if (history !== null && takeOwn(lane, history, source, offset, plaintextLength)) return true;
  const { arena, ledger, notify } = lane;
  const length = controlMessageLength(arena.view, offset, plaintextLength);
  if (length === 0) ledger.drops[DROP.IN_NOT_IP] += 1;
  else if (!lane.admitControl(peer)) ledger.drops[DROP.IN_CONTROL_QUEUE] += 1;
  else {
    ledger.counts[COUNTER.CONTROL_RX] += 1;
    const from = readEndpoint(arena.bytes, source);
    const message = Uint8Array.from(arena.bytes.subarray(offset, offset + length));
    const path = history?.pathOf(arena.words, source >> 2) ?? NO_PATH;
    if (from !== null) notify({ type: 'control', peer: peer.id, message, path, source: from, atMs: lane.nowMs() });
  }
  return length !== 0;
}

/** False if the message is none of those that lanes take. */
function takeOwn(
  lane: LaneContext,
  history: PeerHistory,
  source: number,
  offset: number,
  plaintextLength: number,
): boolean {
  const { view } = lane.arena;
  const kind = plaintextLength < CONTROL_HEADER_LENGTH ? 0 : controlKind(view, offset);
  if (kind < CONTROL_KIND.GAPS || kind > CONTROL_KIND.GONE) return false;
  if (controlBodyLength(view, offset, plaintextLength) < 0) return false;
  const { counts, drops } = lane.ledger;
  const isAboutGaps = kind === CONTROL_KIND.GAPS || kind === CONTROL_KIND.GONE;
  if (isAboutGaps && !history.rx.admitReport(lane.nowMs())) {
    drops[DROP.IN_CONTROL_QUEUE] += 1;
    return true;
  }
  counts[COUNTER.CONTROL_RX] += 1;
  // What a tail says stands in its transport counter.
  if (kind === CONTROL_KIND.GAPS) lane.taker?.takeGaps(history, view, offset, plaintextLength);
  else if (kind === CONTROL_KIND.GONE) history.rx.takeGone(view, offset, plaintextLength, lane.nowMs());
  else if (kind === CONTROL_KIND.PARITY) takeParity(lane, history, source, offset, plaintextLength);
  return true;
}

function takeParity(lane: LaneContext, history: PeerHistory, source: number, offset: number, length: number): void {
  lane.ledger.counts[COUNTER.PARITY_RX] += 1;
  history.parityReceiver?.takeParity(offset, length, history.pathOf(lane.arena.words, source >> 2));
}
