/** Reports of gaps, put where a lane finds them: in its room for received datagrams. */
import { gapsLength, writeGap, writeGaps } from '../../src/protocol/gaps-message.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import type { FakeLane } from './fake-lane.ts';

/** Ranges as [first counter, count]. */
export type Gap = readonly [first: number, count: number];

/** Plaintext of a report: receiver index, base, ranges from the base on. */
export function gapsMessage(receiver: number, base: number, gaps: readonly Gap[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(gapsLength(gaps.length)));
  writeGaps(view, 0, receiver, base, gaps.length);
  for (const [range, [first, count]] of gaps.entries()) writeGap(view, 0, range, first - base, count);
  return new Uint8Array(view.buffer);
}

/** Lets a peer report gaps of its keypair, or of the one with another receiver index. */
export function reportGaps(lane: FakeLane, peer: LanePeer, gaps: readonly Gap[], receiver?: number): void {
  const index = receiver ?? peer.current?.remoteIndex ?? 0;
  takeMessage(lane, peer, gapsMessage(index, Math.min(...gaps.map(([first]) => first)), gaps));
}

/** Hands over the plaintext of a report as it came. */
export function takeMessage(lane: FakeLane, { history }: LanePeer, message: Uint8Array): void {
  const { bytes, view, udpIn } = lane.arena;
  bytes.set(message, udpIn + 20);
  if (history !== null) lane.context.taker?.takeGaps(history, view, udpIn + 20, message.length);
}
