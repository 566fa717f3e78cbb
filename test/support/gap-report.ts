/** Reports of gaps, put where a lane finds them: in its room for received datagrams. */
import { CONTROL_HEADER_LENGTH, CONTROL_KIND, controlKind } from '../../src/protocol/control-header.ts';
import { gapCount, gapFirst, gapsLength, gapsRanges, writeGap, writeGaps } from '../../src/protocol/gaps-message.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import type { FakeLane } from './fake-lane.ts';

/** Ranges as [first counter, count]. */
export type Gap = readonly [first: number, count: number];

/** Plaintext of a report, or of an answer to one: receiver index, base, ranges from the base on. */
export function gapsMessage(
  receiver: number,
  base: number,
  gaps: readonly Gap[],
  kind: number = CONTROL_KIND.GAPS,
): Uint8Array {
  const view = new DataView(new ArrayBuffer(gapsLength(gaps.length)));
  writeGaps(view, 0, receiver, base, gaps.length, kind);
  for (const [range, [first, count]] of gaps.entries()) writeGap(view, 0, range, first - base, count);
  return new Uint8Array(view.buffer);
}

/** What a plaintext says will not be repeated, as ranges; null for one that says nothing of the kind. */
export function goneGaps(plaintext: Uint8Array): Gap[] | null {
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  const kind = plaintext.length < CONTROL_HEADER_LENGTH ? 0 : controlKind(view, 0);
  if (kind !== CONTROL_KIND.GONE) return null;
  const ranges = gapsRanges(view, 0, plaintext.length);
  return Array.from({ length: ranges }, (_, range) => [gapFirst(view, 0, range), gapCount(view, 0, range)]);
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
