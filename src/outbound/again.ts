/**
 * Outbound, what goes out of a peer's ring once more: a column of groups that is filled with datagrams and groups as they lie
 * there, and sent when it is full or complete. It uses the column of the batch, which must be empty meanwhile.
 */
import type { LaneContext } from '../lane-context.ts';
import { ENDPOINT, UDP_SEND } from '../native/layout.ts';
import { GROUP_BYTES_MAX } from '../offloads/group-shapes.ts';
import { LIMIT } from '../packet/arena.ts';
import type { LanePeer } from '../tables/peers.ts';
import { writeEndpointOf } from './group.ts';
import { groupDatagramsMax } from './seal.ts';
import { sendColumn } from './send.ts';

const DEFAULT_TRAFFIC_CLASS = -1;

export class AgainColumn {
  readonly #lane: LaneContext;
  readonly #sending: number;
  #groups = 0;

  /** `sending`: one of SENDING, but not FIRST. */
  constructor(lane: LaneContext, sending: number) {
    this.#lane = lane;
    this.#sending = sending;
  }

  /** Adds one datagram; with those before it that it continues it makes a group. `next`: the activity if the column had to be sent. */
  addDatagram(peer: LanePeer, offset: number, length: number, path: number, next: number): void {
    if (!this.#extend(peer, offset, length, path)) this.#open(peer, offset, length, path, next);
  }

  /** Adds a group that was sent before: where it lies, and as its descriptor was. */
  addGroup(
    peer: LanePeer,
    offset: number,
    length: number,
    segmentLength: number,
    datagrams: number,
    trafficClass: number,
    path: number,
    next: number,
  ): void {
    const send = this.#open(peer, offset, length, path, next);
    const { words } = this.#lane.arena;
    words[send + UDP_SEND.SEGMENT_LENGTH] = segmentLength;
    words[send + UDP_SEND.DATAGRAMS] = datagrams;
    words[send + UDP_SEND.TRAFFIC_CLASS] = trafficClass;
  }

  /** Sends what is in the column. */
  send(next: number): void {
    if (this.#groups === 0) return;
    sendColumn(this.#lane, this.#groups, this.#sending, next);
    this.#groups = 0;
  }

  /** Makes the datagram part of the last group, if it lies right behind and is as long, or shorter and so its last. */
  #extend(peer: LanePeer, offset: number, length: number, path: number): boolean {
    if (this.#groups === 0) return false;
    const { words, sends } = this.#lane.arena;
    const send = (sends >> 2) + (this.#groups - 1) * UDP_SEND.WORDS;
    const total = words[send + UDP_SEND.LENGTH];
    const datagrams = words[send + UDP_SEND.DATAGRAMS];
    const segmentLength = words[send + UDP_SEND.SEGMENT_LENGTH] || total;
    const isSame = words[send + UDP_SEND.PEER] === peer.id && words[send + UDP_SEND.PATH] === path;
    const isNext = words[send + UDP_SEND.OFFSET] + total === offset && total === datagrams * segmentLength;
    const fits = datagrams < groupDatagramsMax(this.#lane, peer) && total + length <= GROUP_BYTES_MAX;
    const isLegal = length === segmentLength || (length < segmentLength && peer.groupShortTail);
    if (!isSame || !isNext || !fits || !isLegal) return false;
    words[send + UDP_SEND.LENGTH] = total + length;
    words[send + UDP_SEND.SEGMENT_LENGTH] = segmentLength;
    words[send + UDP_SEND.DATAGRAMS] = datagrams + 1;
    return true;
  }

  /** A descriptor for one datagram; returns its first word. */
  #open(peer: LanePeer, offset: number, length: number, path: number, next: number): number {
    if (this.#groups === LIMIT.SENDS) this.send(next);
    const { words, sends, sendEndpoints } = this.#lane.arena;
    const endpoint = sendEndpoints + this.#groups * ENDPOINT.WORDS * 4;
    const send = (sends >> 2) + this.#groups * UDP_SEND.WORDS;
    words[send + UDP_SEND.OFFSET] = offset;
    words[send + UDP_SEND.LENGTH] = length;
    words[send + UDP_SEND.SEGMENT_LENGTH] = 0;
    words[send + UDP_SEND.TRAFFIC_CLASS] = DEFAULT_TRAFFIC_CLASS;
    words[send + UDP_SEND.ENDPOINT_OFFSET] = endpoint;
    words[send + UDP_SEND.DATAGRAMS] = 1;
    words[send + UDP_SEND.PEER] = peer.id;
    words[send + UDP_SEND.PATH] = path;
    words[send + UDP_SEND.MARKS] = 0;
    writeEndpointOf(words, endpoint >> 2, peer, path);
    this.#groups += 1;
    return send;
  }
}
