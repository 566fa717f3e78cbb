/** Figures about all peers together, for reports. */
import type { ControlLane } from './control-lane.ts';

/** Number of peers that have a keypair, by its cipher. */
export function peersByCipher({ peers, machine }: ControlLane): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const id of peers.keys()) {
    const { cipher } = machine.status(id);
    if (cipher !== null) counts[cipher] = (counts[cipher] ?? 0) + 1;
  }
  return counts;
}

/** Number of peers that get smaller datagram groups than the kernel takes. */
export function heldGroupPeersCount({ peers, offloads }: ControlLane): number {
  let count = 0;
  for (const id of peers.keys()) if (offloads.status(id).retrySeconds !== null) count += 1;
  return count;
}
