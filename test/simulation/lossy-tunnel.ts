/**
 * Two lanes with histories, joined by a link that loses, reorders and doubles datagrams in both directions, those of the lanes'
 * own messages too. Time is simulated.
 *
 *     packets -> [ TUN, outbound, ring ] -> link -> [ gaps, order, TUN ] -> delivered
 *                [        repeats      ] <- link <- [     reports      ]
 */
import type { PeerHistory } from '../../src/history/peer-history.ts';
import { InboundPath } from '../../src/inbound/receive.ts';
import { type BurstLoss, NO_IMPAIRMENTS } from '../../src/lab/emulator/impairments.ts';
import { LinkDirection } from '../../src/lab/emulator/link-direction.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { giveHistory, type HistoryWish, lanePaths } from '../support/fake-history.ts';
import { endpointOf, FakeLane } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';
import { plainFromTun } from '../support/virtio.ts';
import { EventQueue } from './event-queue.ts';

const START_MS = 1_000_000;
/** One way, without jitter. */
export const ONE_WAY_MS = 10;

export interface Link {
  readonly loss: number;
  readonly jitterMs: number;
  readonly double: number;
  /** Of each direction, datagram by datagram. */
  readonly burst?: BurstLoss;
}

interface End {
  readonly lane: FakeLane;
  readonly history: PeerHistory;
  readonly outbound: OutboundPath;
  readonly inbound: InboundPath;
  plannedMs: number;
}

export interface Delivery {
  readonly number: number;
  readonly atMs: number;
}

/** Small and good enough for chance in tests (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function openEnd(side: 0 | 1, wish: HistoryWish): End {
  const lane = new FakeLane({ historiesBytes: 1 << 24, gsoDatagramsMax: 1 });
  const peer = lane.addPeer(0, endpointOf(side));
  lane.routeAllTo(0);
  const history = giveHistory(lane, peer, wish);
  history.setPaths(lanePaths([], { rttMs: 2 * ONE_WAY_MS }));
  peer.current = lane.addKeypair(peer, { id: 0, localIndex: 100 + side, remoteIndex: 101 - side });
  const outbound = new OutboundPath(lane.context, 1_500);
  const inbound = new InboundPath(lane.context, openGate(lane));
  return { lane, history, outbound, inbound, plannedMs: Number.POSITIVE_INFINITY };
}

export class LossyTunnel {
  readonly queue: EventQueue = new EventQueue();
  readonly ends: readonly [End, End];
  readonly delivered: Delivery[] = [];
  readonly sentMs: number[] = [];
  readonly #random: () => number;
  readonly #link: Link;
  readonly #bursts: readonly LinkDirection[];

  constructor(wish: HistoryWish, link: Link, seed: number) {
    this.ends = [openEnd(0, wish), openEnd(1, wish)];
    this.#link = link;
    this.#bursts = [0, 1].map(
      (side) => new LinkDirection({ ...NO_IMPAIRMENTS, burst: link.burst ?? null }, seed + side),
    );
    this.#random = randomFrom(seed);
  }

  /** A numbered packet enters at the first end. */
  send(): void {
    const number = this.sentMs.length;
    this.sentMs.push(this.queue.nowMs);
    const packet = udpPacketBytes(1, 2, 100);
    new DataView(packet.buffer, packet.byteOffset).setUint32(40, number);
    this.ends[0].lane.addon.tunQueue.push(plainFromTun(packet));
    this.#turn(this.ends[0]);
  }

  /** A new keypair on both ends, as after a handshake. */
  rekey(id: number): void {
    for (const [side, { lane, history }] of this.ends.entries()) {
      const indices = { localIndex: 100 + side + 10 * id, remoteIndex: 101 - side + 10 * id };
      history.peer.current = lane.addKeypair(history.peer, { id, ...indices, bornMs: lane.addon.nowMs + 1 });
    }
  }

  #turn(end: End): void {
    const { lane, outbound, inbound } = end;
    lane.addon.nowMs = START_MS + this.queue.nowMs;
    lane.addon.book(lane.context.handle, 0);
    while (inbound.turn(4) > 0);
    while (outbound.turn() > 0);
    const { due, histories } = lane.context;
    const nowMs = lane.context.nowMs();
    if (due.ms <= nowMs) {
      due.clear();
      for (const history of histories) {
        if (history.sendDueMs <= nowMs) outbound.sendDue(history, nowMs);
        if (history.receiveDueMs <= nowMs) inbound.due(history);
        due.expect(history.dueMs);
      }
    }
    this.#carry(end);
    this.#plan(end);
  }

  /** What the end sent goes over the link; what it wrote is delivered. */
  #carry(end: End): void {
    const { addon } = end.lane;
    const other = this.ends[end === this.ends[0] ? 1 : 0];
    for (const { datagrams } of addon.udpSends.splice(0))
      for (const datagram of datagrams) this.#launch(other, datagram);
    for (const { packet } of addon.tunWrites.splice(0)) {
      const number = new DataView(packet.buffer, packet.byteOffset).getUint32(40);
      this.delivered.push({ number, atMs: this.queue.nowMs });
    }
  }

  #launch(to: End, datagram: Uint8Array): void {
    const { loss, jitterMs, double } = this.#link;
    const times = this.#random() < double ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      if (this.#random() < loss) continue;
      if (this.#bursts[to === this.ends[0] ? 1 : 0]?.pass(this.queue.nowMs * 1_000, datagram.length) === 0) continue;
      this.queue.plan(this.queue.nowMs + ONE_WAY_MS + this.#random() * jitterMs, () => {
        to.lane.arrive([datagram], endpointOf(to === this.ends[0] ? 0 : 1));
        this.#turn(to);
      });
    }
  }

  #plan(end: End): void {
    const atMs = end.lane.context.due.ms - START_MS;
    if (atMs >= end.plannedMs && end.plannedMs > this.queue.nowMs) return;
    if (atMs === Number.POSITIVE_INFINITY) return;
    end.plannedMs = Math.max(atMs, this.queue.nowMs + 0.01);
    this.queue.plan(end.plannedMs, () => this.#turn(end));
  }
}

/** Sends `count` packets, one each `everyMs`, and lets all come to rest. */
export function run(tunnel: LossyTunnel, count: number, everyMs: number, rekeyAt = -1): void {
  for (let number = 0; number < count; number += 1)
    tunnel.queue.plan(number * everyMs, () => {
      if (number === rekeyAt) tunnel.rekey(1);
      tunnel.send();
    });
  tunnel.queue.runUntil(count * everyMs + 2_000);
}
