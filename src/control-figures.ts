/** What the control lane knows of its peers, in figures: for status, statistics, and who decides by what flows. */

import { formatKey } from './control/key-text.ts';
import type { ControlLane } from './control-lane.ts';
import { endpointOf } from './endpoint-text.ts';
import { historyStatus } from './history/history-status.ts';
import type { HistorySettings } from './history/settings.ts';
import type { HistoryStatus, PeerHistoryStatus } from './ledger/history-figures.ts';
import type { PathFigures } from './path/path-types.ts';

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

/** What a peer's histories are at; null for a peer that has none. `nowMs`: CLOCK_MONOTONIC. */
export function historyStatusOf({ histories }: ControlLane, peer: number, nowMs: number): HistoryStatus | null {
  const [settings, books] = [histories.settingsOf(peer), histories.books(peer, nowMs)];
  if (settings === null || books === null) return null;
  return historyStatus(settings, histories.pathFigures(peer) ?? configuredPaths(settings), books, nowMs);
}

/** Histories of all peers that have any. */
export function historiesOf(control: ControlLane, nowMs: number): PeerHistoryStatus[] {
  return [...control.histories.entries()].flatMap(([peer]) => {
    const status = historyStatusOf(control, peer, nowMs);
    return status === null ? [] : [{ publicKey: formatKey(control.machine.peerPublicKey(peer)), ...status }];
  });
}

/** Paths of which nothing is known but what configuration says. */
function configuredPaths({ paths }: HistorySettings): PathFigures[] {
  return paths.map(({ name, endpoint }, path) => ({
    ...{ path, name, state: 'unknown', use: 'idle', endpoint: endpoint === null ? null : endpointOf(endpoint) },
    ...{ rttMs: null, loss: null, rateBytesPerMs: null, lastHeardMs: 0 },
  }));
}
