/**
 * Inbound, roaming: where the peer is answered follows from where it is heard (paper, 2.1). A stock peer and one without
 * paths roam with every authentic message. Of a gigatun with paths, control messages move nothing, for it probes all its
 * paths; what comes over a known path moves it in mode `follow` only, by data that is newer than all, and not to and fro.
 */
import type { PeerHistory } from '../history/peer-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { ENDPOINT } from '../native/layout.ts';
import { NO_PATH } from '../path/path-types.ts';
import type { LanePeer } from '../tables/peers.ts';
import type { InboundBatch } from './batch.ts';

/** The endpoint follows at once; the control lane is told at the end of the turn, and not more often than it can use. */
export function roam(lane: LaneContext, peer: LanePeer, source: number): void {
  const { words } = lane.arena;
  let differing = 0;
  for (let word = 0; word < ENDPOINT.LOCAL_INTERFACE; word += 1)
    differing |= words[(source >> 2) + word] ^ peer.endpoint[word];
  if (differing === 0) return;
  for (let word = 0; word < ENDPOINT.WORDS; word += 1) peer.endpoint[word] = words[(source >> 2) + word];
  lane.roamed.add(peer);
}

/**
 * For a run of a peer with histories.
 *
 * @param packets fresh messages of the run with an inner packet
 * @param controls those with a control message
 * @param messages fresh messages in all
 */
export function roamByPaths(
  lane: LaneContext,
  batch: InboundBatch,
  run: number,
  history: PeerHistory,
  messages: number,
  packets: number,
  controls: number,
): void {
  if (batch.isRemade) return;
  const { paths, mode, knows } = history.paths;
  const path = batch.runPaths[run];
  const isNewest = batch.runNewest[run] === 1;
  const source = batch.runSources[run];
  if (paths.length === 0) roam(lane, history.peer, source);
  else if (path === NO_PATH) {
    if (!knows.paths || (isNewest && controls < messages)) roam(lane, history.peer, source);
  } else if (mode !== 'follow') return;
  else if (!knows.paths) roam(lane, history.peer, source);
  else if (isNewest && packets > 0 && history.rx.follows(path, lane.nowMs())) {
    history.choice.first = path;
    roam(lane, history.peer, source);
  }
}
