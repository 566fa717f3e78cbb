/**
 * Outbound, copies at once: the groups of a batch that was just sent go out again, the same bytes, over another path or over
 * the same one. Each round of copies is one native call; nothing but descriptors is written. First sendings have all gone before
 * the first copy does, so copies delay nothing but themselves.
 */
import { copyPath } from '../history/copies.ts';
import { HISTORY_CELL } from '../history/history-cells.ts';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY } from '../ledger/catalog.ts';
import { ENDPOINT, UDP_SEND } from '../native/layout.ts';
import { type OutboundBatch, SEND_MARK } from './batch.ts';
import { writeEndpointOf } from './group.ts';
import { SENDING, sendColumn } from './send.ts';

/** Sends the copies of a batch. Its column of groups holds something else after it. */
export function sendCopies(lane: LaneContext, batch: OutboundBatch): void {
  let groups = batch.groups;
  for (let round = 0; groups > 0; round += 1) {
    groups = gatherCopies(lane, groups, round);
    if (groups > 0) sendColumn(lane, groups, SENDING.COPY, ACTIVITY.USER_TUN_TO_UDP);
  }
}

/** Moves those of the column's groups to its start that are copied in this round; returns how many. */
function gatherCopies(lane: LaneContext, groups: number, round: number): number {
  const { words, sends } = lane.arena;
  let copies = 0;
  for (let group = 0; group < groups; group += 1) {
    const send = (sends >> 2) + group * UDP_SEND.WORDS;
    if ((words[send + UDP_SEND.MARKS] & SEND_MARK.COPIED) === 0) continue;
    if (moveCopy(lane, send, copies, round)) copies += 1;
  }
  return copies;
}

/** Makes the group, or one before it in the column, the copy at place `copy`; false if it is not copied in this round. */
function moveCopy(lane: LaneContext, send: number, copy: number, round: number): boolean {
  const { words, sends, sendEndpoints } = lane.arena;
  const peer = lane.peers[words[send + UDP_SEND.PEER]];
  const history = peer?.history ?? null;
  if (peer === undefined || history === null || round >= history.copies.atOnce) return false;
  if (!history.copies.spend(words[send + UDP_SEND.LENGTH])) {
    history.cells[HISTORY_CELL.COPIES_HELD] += words[send + UDP_SEND.DATAGRAMS];
    return false;
  }
  const to = (sends >> 2) + copy * UDP_SEND.WORDS;
  for (let word = 0; word < UDP_SEND.WORDS; word += 1) words[to + word] = words[send + word];
  const path = copyPath(history.choice, round, (words[to + UDP_SEND.MARKS] >> SEND_MARK.PATH_SHIFT) - 1);
  const endpoint = sendEndpoints + copy * ENDPOINT.WORDS * 4;
  words[to + UDP_SEND.ENDPOINT_OFFSET] = endpoint;
  words[to + UDP_SEND.PATH] = path;
  writeEndpointOf(words, endpoint >> 2, peer, path);
  return true;
}
