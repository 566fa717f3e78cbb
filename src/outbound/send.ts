/**
 * Outbound, send: datagrams that lie one behind the other and go to one endpoint form a group, equal in length but for a
 * shorter last one, and leave as one UDP GSO message. This file closes groups, hands them to the kernel in one native
 * call, and deals with those that it refuses: a stale source address is forgotten, a group that GSO cannot carry is
 * repeated datagram by datagram, the rest are counted drops.
 */

import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { ENDPOINT, UDP_SEND } from '../native/layout.ts';
import { GROUP_BYTES_MAX } from '../offloads/group-shapes.ts';
import type { Arena } from '../packet/arena.ts';
import { DROP } from '../packet/drop-reason.ts';
import type { LanePeer } from '../tables/peers.ts';
import type { OutboundBatch } from './batch.ts';

const { UDP_TX, UDP_TX_BYTES, UDP_SEND_GROUPS } = COUNTER;

const ERRNO = { EIO: 5, EAGAIN: 11, EINVAL: 22, EMSGSIZE: 90, ENOBUFS: 105 } as const;
/** What the kernel answers when the local address or its interface is gone: EINVAL, ENODEV, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH. */
const SOURCE_GONE: ReadonlySet<number> = new Set([22, 19, 99, 101, 113]);
/** A peer whose groups were refused for their size gets single datagrams for this long. */
const GSO_RETRY_MS = 60_000;

/** Puts the datagram of `length` bytes at `outEnd` into the open group of `peer`, or closes that and opens another. */
export function appendDatagram(
  arena: Arena,
  batch: OutboundBatch,
  peer: LanePeer,
  length: number,
  datagramsMax: number,
): void {
  if (batch.groupDatagrams > 0) {
    const groupLength = batch.outEnd - batch.groupStart;
    const fits = batch.groupDatagrams < datagramsMax && groupLength + length <= GROUP_BYTES_MAX;
    const differs = length > batch.groupSegmentLength || (length < batch.groupSegmentLength && !peer.groupShortTail);
    if (!fits || differs) closeGroup(arena, batch);
  }
  if (batch.groupDatagrams === 0) {
    batch.groupPeer = peer;
    batch.groupStart = batch.outEnd;
    batch.groupSegmentLength = length;
  }
  batch.groupDatagrams += 1;
  batch.outEnd += length;
  // Only the last datagram of a group may be shorter.
  if (length < batch.groupSegmentLength) closeGroup(arena, batch);
}

/** Makes the open group, if any, a UDP_SEND descriptor. */
export function closeGroup(arena: Arena, batch: OutboundBatch): void {
  const peer = batch.groupPeer;
  if (peer === null || batch.groupDatagrams === 0) return;
  const words = arena.words;
  const endpoint = arena.sendEndpoints + batch.groups * ENDPOINT.WORDS * 4;
  for (let word = 0; word < ENDPOINT.WORDS; word += 1) words[(endpoint >> 2) + word] = peer.endpoint[word];
  const send = (arena.sends >> 2) + batch.groups * UDP_SEND.WORDS;
  words[send + UDP_SEND.OFFSET] = batch.groupStart;
  words[send + UDP_SEND.LENGTH] = batch.outEnd - batch.groupStart;
  words[send + UDP_SEND.SEGMENT_LENGTH] = batch.groupDatagrams > 1 ? batch.groupSegmentLength : 0;
  words[send + UDP_SEND.TRAFFIC_CLASS] = batch.groupTrafficClass;
  words[send + UDP_SEND.ENDPOINT_OFFSET] = endpoint;
  words[send + UDP_SEND.DATAGRAMS] = batch.groupDatagrams;
  words[send + UDP_SEND.PEER] = peer.id;
  batch.groups += 1;
  batch.groupPeer = null;
  batch.groupDatagrams = 0;
}

/** Sends all closed groups of the batch. */
export function sendGroups(lane: LaneContext, batch: OutboundBatch): void {
  const sent = lane.native.sendUdp(lane.handle, lane.arena.sends, batch.groups, ACTIVITY.USER_TUN_TO_UDP);
  const allSent = sent === batch.groups;
  if (allSent && lane.isGsoOnTrial) promoteGso(lane, batch);
  for (let group = 0; group < batch.groups; group += 1) {
    const send = (lane.arena.sends >> 2) + group * UDP_SEND.WORDS;
    if (allSent || lane.arena.words[send + UDP_SEND.RESULT] >= 0) countSent(lane, send);
    else recover(lane, send);
  }
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

function countSent(lane: LaneContext, send: number): void {
  const { counts } = lane.ledger;
  const words = lane.arena.words;
  counts[UDP_TX] += words[send + UDP_SEND.DATAGRAMS];
  counts[UDP_TX_BYTES] += words[send + UDP_SEND.LENGTH];
  counts[UDP_SEND_GROUPS] += 1;
}

/** A group that the kernel refused: mends what can be mended and tries again, else counts the drop. */
function recover(lane: LaneContext, send: number): void {
  const words = lane.arena.words;
  if (forgetSource(lane, send, errnoOf(lane, send)) && resend(lane, send)) {
    countSent(lane, send);
    return;
  }
  const errno = errnoOf(lane, send);
  const cannotSegment = errno === ERRNO.EIO || errno === ERRNO.EINVAL || errno === ERRNO.EMSGSIZE;
  if (words[send + UDP_SEND.SEGMENT_LENGTH] > 0 && cannotSegment) sendSingly(lane, send, errno);
  else countDrop(lane, send);
}

function errnoOf(lane: LaneContext, send: number): number {
  return -lane.arena.words[send + UDP_SEND.RESULT];
}

function countDrop(lane: LaneContext, send: number): void {
  const errno = errnoOf(lane, send);
  const isFull = errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS;
  const reason = isFull ? DROP.OUT_SEND_FULL : DROP.OUT_SEND_FAILED;
  lane.ledger.drops[reason] += lane.arena.words[send + UDP_SEND.DATAGRAMS];
}

/** Clears a local address that is gone (paper 2.1 roams both ends); true if there was one. */
function forgetSource(lane: LaneContext, send: number, errno: number): boolean {
  if (!SOURCE_GONE.has(errno)) return false;
  const words = lane.arena.words;
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
function sendSingly(lane: LaneContext, send: number, errno: number): void {
  const words = lane.arena.words;
  const { counts } = lane.ledger;
  const segmentLength = words[send + UDP_SEND.SEGMENT_LENGTH];
  const end = words[send + UDP_SEND.OFFSET] + words[send + UDP_SEND.LENGTH];
  let sent = 0;
  words[send + UDP_SEND.SEGMENT_LENGTH] = 0;
  words[send + UDP_SEND.DATAGRAMS] = 1;
  for (let offset = words[send + UDP_SEND.OFFSET]; offset < end; offset += segmentLength) {
    words[send + UDP_SEND.OFFSET] = offset;
    words[send + UDP_SEND.LENGTH] = Math.min(segmentLength, end - offset);
    if (resend(lane, send)) {
      sent += 1;
      counts[UDP_TX] += 1;
      counts[UDP_TX_BYTES] += words[send + UDP_SEND.LENGTH];
    } else countDrop(lane, send);
  }
  const peer = lane.peers[words[send + UDP_SEND.PEER]];
  if (sent === 0) return;
  if (errno !== ERRNO.EIO) {
    // Told once: several groups of a batch may be refused.
    if (peer === undefined || peer.gsoOffUntilMs > lane.nowMs()) return;
    peer.gsoOffUntilMs = lane.nowMs() + GSO_RETRY_MS;
    lane.notify({ type: 'groupsRefused', peer: peer.id, errno, offUntilMs: peer.gsoOffUntilMs });
  } else lane.demoteGso(errno);
}
