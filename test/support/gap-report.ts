/** Bodies of reports of gaps, put where a lane finds them: in its room for received datagrams. */
import type { LanePeer } from '../../src/tables/peers.ts';
import type { FakeLane } from './fake-lane.ts';

/** Ranges as [first counter, count]. */
export type Gap = readonly [first: number, count: number];

/** Body of a report: receiver index, base, ranges from the base on. */
export function gapsBody(receiver: number, base: number, gaps: readonly Gap[]): Uint8Array {
  const body = new DataView(new ArrayBuffer(12 + gaps.length * 4));
  body.setInt32(0, receiver);
  body.setBigUint64(4, BigInt(base));
  for (const [range, [first, count]] of gaps.entries()) {
    body.setUint16(12 + range * 4, first - base);
    body.setUint16(14 + range * 4, count - 1);
  }
  return new Uint8Array(body.buffer);
}

/** Lets a peer report gaps of its keypair, or of the one with another receiver index. */
export function reportGaps(lane: FakeLane, peer: LanePeer, gaps: readonly Gap[], receiver?: number): void {
  const index = receiver ?? peer.current?.remoteIndex ?? 0;
  takeBody(lane, peer, gapsBody(index, Math.min(...gaps.map(([first]) => first)), gaps));
}

/** Hands over the body of a report as it came. */
export function takeBody(lane: FakeLane, peer: LanePeer, body: Uint8Array): void {
  lane.arena.bytes.set(body, lane.arena.udpIn + 20);
  lane.context.sender?.takeGaps(peer, lane.arena.udpIn + 20, body.length);
}
