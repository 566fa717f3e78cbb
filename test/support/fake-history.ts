/** Peers with histories in a fake lane: settings and paths with everything that a test leaves open filled in. */
import { allocateHistoryCells, PeerHistory } from '../../src/history/peer-history.ts';
import { type CopySettings, type HistorySettings, NO_HISTORY } from '../../src/history/settings.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import type { LanePath, LanePaths } from '../../src/path/path-types.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import type { FakeLane } from './fake-lane.ts';

export type HistoryWish = Partial<Omit<HistorySettings, 'copies'>> & { readonly copies?: Partial<CopySettings> };

/** Gives a peer histories, as the lane does by command. */
export function giveHistory(lane: FakeLane, peer: LanePeer, wish: HistoryWish = {}): PeerHistory {
  const history = peer.history ?? new PeerHistory(peer, allocateHistoryCells(), 0);
  const settings = { ...NO_HISTORY, ...wish, copies: { ...NO_HISTORY.copies, ...wish.copies } };
  history.clock = lane.context.due;
  history.setSettings(settings, lane.context.historyPool);
  peer.history = history;
  lane.context.histories.add(history);
  return history;
}

/** The endpoint of a path, different for each. */
export function pathEndpoint(path: number): Endpoint {
  return {
    family: 4,
    address: Uint8Array.of(198, 51, 100, path + 1),
    port: 40_000 + path,
    scope: 0,
    localAddress: Uint8Array.of(192, 0, 2, path + 1),
    localInterface: 0,
  };
}

/** A path in the slot, with its endpoint. */
export function lanePath(path: number, use: LanePath['use'], rest: Partial<LanePath> = {}): LanePath {
  return {
    path,
    endpoint: pathEndpoint(path),
    isBound: false,
    use,
    rateBytesPerMs: 1e6,
    delayMs: 10,
    ...{ queueMs: 0, queueAtMs: Number.NEGATIVE_INFINITY },
    ...rest,
  };
}

/** What the control lane says of a peer's paths. */
export function lanePaths(paths: readonly LanePath[], rest: Partial<LanePaths> = {}): LanePaths {
  const knows = { gaps: true, paths: true, parity: false };
  return { mode: 'failover', paths, rttMs: 20, knows, loss: 0, ...rest };
}
