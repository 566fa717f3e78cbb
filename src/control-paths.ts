/** What the control lane gives the paths of its peers to work with. */
import type { ControlLaneOptions, ControlPeer } from './control-lane-types.ts';
import type { HistoryControl } from './history/history-control.ts';
import type { OffloadControl } from './offloads/offload-control.ts';
import type { Endpoint } from './packet/endpoint.ts';
import { PathControl, type PathPeer } from './path/path-control.ts';
import { PEER_CELL, transferOf } from './tables/peers.ts';

export interface PathsHost {
  readonly peers: ReadonlyMap<number, ControlPeer>;
  readonly offloads: OffloadControl;
  readonly histories: HistoryControl;
  readonly nowMs: () => number;
  /** Whether anything may be sent. */
  readonly isUp: () => boolean;
  readonly move: (peer: ControlPeer, endpoint: Endpoint) => void;
  readonly wantHandshake: (id: number) => void;
}

export function openPaths({ lanes, log, post }: ControlLaneOptions, host: PathsHost): PathControl {
  const { peers, offloads, histories, nowMs } = host;
  return new PathControl({
    ...{ lanes, log, post, nowMs },
    peer: (id) => pathPeerOf(peers.get(id), host.isUp()),
    booked: (id, settings, memory) => histories.set(id, settings, memory, nowMs()),
    begins: (id, path) => histories.beginPath(id, path, nowMs()),
    capabilities: (id) => offloads.capabilities(id),
    offer: (id, capabilities) => offloads.offer(id, capabilities),
    move: (id, endpoint) => {
      const peer = peers.get(id);
      if (peer !== undefined) host.move(peer, endpoint);
    },
    wantHandshake: (id) => {
      if (host.isUp()) host.wantHandshake(id);
    },
    rest: (id) => {
      const watched = peers.get(id)?.watched;
      if (watched !== undefined) Atomics.store(watched, 0, 0);
    },
  });
}

function pathPeerOf(peer: ControlPeer | undefined, isUp: boolean): PathPeer | null {
  if (peer === undefined) return null;
  const { endpoint, cells, persistentKeepaliveSeconds } = peer;
  const { sentBytes, receivedBytes } = transferOf(cells);
  const unansweredSinceMs = cells[PEER_CELL.UNANSWERED_SINCE_MS];
  return { isUp, endpoint, unansweredSinceMs, persistentKeepaliveSeconds, bytes: sentBytes + receivedBytes };
}
