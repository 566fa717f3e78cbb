/**
 * Outbound, send: each datagram group leaves as one UDP GSO message. This file hands groups to the kernel in one native call
 * and deals with those that it refuses: a stale source address is forgotten, a group that GSO cannot carry is repeated
 * datagram by datagram, the rest are counted drops. What is sent again (copies, repeats) goes the same way with books of its own.
 */
import { HISTORY_CELL, PATH_CELL } from '../history/history-cells.ts';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { ENDPOINT, UDP_SEND } from '../native/layout.ts';
import { DROP } from '../packet/drop-reason.ts';
import { NO_PATH } from '../path/path-types.ts';
import type { OutboundBatch } from './batch.ts';

const { UDP_TX, UDP_TX_BYTES, UDP_SEND_GROUPS, COPIES_TX, REPEATS_TX } = COUNTER;

const ERRNO = { EIO: 5, EAGAIN: 11, EINVAL: 22, EMSGSIZE: 90, ENOBUFS: 105 } as const;
/** What the kernel answers when the local address or its interface is gone: EINVAL, ENODEV, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH. */
const SOURCE_GONE: ReadonlySet<number> = new Set([22, 19, 99, 101, 113]);
/** A peer whose groups were refused for their size gets single datagrams for this long. */
const GSO_RETRY_MS = 60_000;

/** Which sending of a datagram it is. */
export const SENDING = { FIRST: 0, COPY: 1, REPEAT: 2 } as const;

/** Sends all closed groups of the batch. */
export function sendGroups(lane: LaneContext, batch: OutboundBatch): void {
  const sent = sendColumn(lane, batch.groups, SENDING.FIRST, ACTIVITY.USER_TUN_TO_UDP);
  if (sent === batch.groups && lane.isGsoOnTrial) promoteGso(lane, batch);
}

/**
 * Sends the first `groups` descriptors of the arena's column of groups. A descriptor that was refused is afterwards what it was,
 * but for its RESULT.
 *
 * @param sending one of SENDING
 * @param next the activity after it
 * @returns groups that the kernel took whole
 */
export function sendColumn(lane: LaneContext, groups: number, sending: number, next: number): number {
  const sent = lane.native.sendUdp(lane.handle, lane.arena.sends, groups, next);
  for (let group = 0; group < groups; group += 1) {
    const send = (lane.arena.sends >> 2) + group * UDP_SEND.WORDS;
    if (sent === groups || lane.arena.words[send + UDP_SEND.RESULT] >= 0) countGroup(lane, send, sending);
    else recover(lane, send, sending);
  }
  return sent;
}

/** GSO was off and is tried again: a group that went out ends the trial. */
function promoteGso(lane: LaneContext, batch: OutboundBatch): void {
  for (let group = 0; group < batch.groups; group += 1) {
    const send = (lane.arena.sends >> 2) + group * UDP_SEND.WORDS;
    if (lane.arena.words[send + UDP_SEND.SEGMENT_LENGTH] > 0) {
      lane.promoteGso();
      return;
    }
  }
}

function countGroup(lane: LaneContext, send: number, sending: number): void {
  lane.ledger.counts[UDP_SEND_GROUPS] += 1;
  countDatagrams(lane, send, sending);
}

function countDatagrams(lane: LaneContext, send: number, sending: number): void {
  const { counts } = lane.ledger;
  const words = lane.arena.words;
  counts[UDP_TX] += words[send + UDP_SEND.DATAGRAMS];
  counts[UDP_TX_BYTES] += words[send + UDP_SEND.LENGTH];
  if (words[send + UDP_SEND.PATH] !== NO_PATH || sending !== SENDING.FIRST) countHistory(lane, send, sending);
}

/** Books of a peer that has histories: what went over which path, and what went again. */
function countHistory(lane: LaneContext, send: number, sending: number): void {
  const { words } = lane.arena;
  const history = lane.peers[words[send + UDP_SEND.PEER]]?.history ?? null;
  if (history === null) return;
  const { cells } = history;
  const datagrams = words[send + UDP_SEND.DATAGRAMS];
  const path = words[send + UDP_SEND.PATH];
  if (path !== NO_PATH) {
    const at = history.cellsOf(path);
    cells[at + PATH_CELL.UDP_TX] += datagrams;
    cells[at + PATH_CELL.UDP_TX_BYTES] += words[send + UDP_SEND.LENGTH];
    if (sending === SENDING.FIRST) cells[at + PATH_CELL.UDP_TX_UNIQ] += datagrams;
  }
  if (sending === SENDING.FIRST) return;
  const isCopy = sending === SENDING.COPY;
  lane.ledger.counts[isCopy ? COPIES_TX : REPEATS_TX] += datagrams;
  cells[isCopy ? HISTORY_CELL.COPIES_TX : HISTORY_CELL.REPEATS_TX] += datagrams;
}

/** A group that the kernel refused: mends what can be mended and tries again, else counts the drop. */
function recover(lane: LaneContext, send: number, sending: number): void {
  const words = lane.arena.words;
  if (forgetSource(lane, send, errnoOf(lane, send)) && resend(lane, send)) {
    countGroup(lane, send, sending);
    return;
  }
  const errno = errnoOf(lane, send);
  const cannotSegment = errno === ERRNO.EIO || errno === ERRNO.EINVAL || errno === ERRNO.EMSGSIZE;
  if (words[send + UDP_SEND.SEGMENT_LENGTH] > 0 && cannotSegment) sendSingly(lane, send, errno, sending);
  else countDrop(lane, send, sending);
}

function errnoOf(lane: LaneContext, send: number): number {
  return -lane.arena.words[send + UDP_SEND.RESULT];
}

/** What is sent again and does not go is no loss of a packet: that is counted where it is. */
function countDrop(lane: LaneContext, send: number, sending: number): void {
  const words = lane.arena.words;
  const history = lane.peers[words[send + UDP_SEND.PEER]]?.history ?? null;
  const path = words[send + UDP_SEND.PATH];
  const datagrams = words[send + UDP_SEND.DATAGRAMS];
  if (history !== null && path !== NO_PATH) history.cells[history.cellsOf(path) + PATH_CELL.UDP_TX_FAILED] += datagrams;
  if (history !== null && sending !== SENDING.FIRST) {
    history.cells[HISTORY_CELL.AGAIN_FAILED] += datagrams;
    return;
  }
  const errno = errnoOf(lane, send);
  const isFull = errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS;
  const reason = isFull ? DROP.OUT_SEND_FULL : DROP.OUT_SEND_FAILED;
  lane.ledger.drops[reason] += datagrams;
}

/** Clears a local address that is gone (paper 2.1 roams both ends); true if there was one. That of a path is what makes it that path. */
function forgetSource(lane: LaneContext, send: number, errno: number): boolean {
  const words = lane.arena.words;
  if (!SOURCE_GONE.has(errno) || words[send + UDP_SEND.PATH] !== NO_PATH) return false;
  const local = (words[send + UDP_SEND.ENDPOINT_OFFSET] >> 2) + ENDPOINT.LOCAL_ADDRESS;
  let present = 0;
  for (let word = local; word <= local + 4; word += 1) present |= words[word];
  words.fill(0, local, local + 5);
  lane.peers[words[send + UDP_SEND.PEER]]?.endpoint.fill(0, ENDPOINT.LOCAL_ADDRESS, ENDPOINT.WORDS);
  return present !== 0;
}

function resend(lane: LaneContext, send: number): boolean {
  return lane.native.sendUdp(lane.handle, send << 2, 1, ACTIVITY.USER_TUN_TO_UDP) === 1;
}

/**
 * Repeats a group datagram by datagram. If that works where GSO did not, the reason decides: EIO is the device's (no
 * checksum offload) and ends GSO for the lane; a size (EINVAL, EMSGSIZE) is the path's and ends it for this peer, for a while.
 */
function sendSingly(lane: LaneContext, send: number, errno: number, sending: number): void {
  const words = lane.arena.words;
  const start = words[send + UDP_SEND.OFFSET];
  const length = words[send + UDP_SEND.LENGTH];
  const datagrams = words[send + UDP_SEND.DATAGRAMS];
  const segmentLength = words[send + UDP_SEND.SEGMENT_LENGTH];
  const end = start + length;
  let sent = 0;
  words[send + UDP_SEND.SEGMENT_LENGTH] = 0;
  words[send + UDP_SEND.DATAGRAMS] = 1;
  for (let offset = start; offset < end; offset += segmentLength) {
    words[send + UDP_SEND.OFFSET] = offset;
    words[send + UDP_SEND.LENGTH] = Math.min(segmentLength, end - offset);
    if (resend(lane, send)) {
      sent += 1;
      countDatagrams(lane, send, sending);
    } else countDrop(lane, send, sending);
  }
  words[send + UDP_SEND.OFFSET] = start;
  words[send + UDP_SEND.LENGTH] = length;
  words[send + UDP_SEND.SEGMENT_LENGTH] = segmentLength;
  words[send + UDP_SEND.DATAGRAMS] = datagrams;
  const peer = lane.peers[words[send + UDP_SEND.PEER]];
  if (sent === 0) return;
  if (errno !== ERRNO.EIO) {
    // Told once: several groups of a batch may be refused.
    if (peer === undefined || peer.gsoOffUntilMs > lane.nowMs()) return;
    peer.gsoOffUntilMs = lane.nowMs() + GSO_RETRY_MS;
    lane.notify({ type: 'groupsRefused', peer: peer.id, errno, offUntilMs: peer.gsoOffUntilMs });
  } else lane.demoteGso(errno);
}
