/** In-order delivery from the socket to the TUN: what waits, for how long, and that nothing is lost or comes twice for it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { HistorySettings } from '../../src/history/settings.ts';
import { InboundPath } from '../../src/inbound/receive.ts';
import { CONTROL_KIND } from '../../src/protocol/control-header.ts';
import type { LaneKeypair } from '../../src/tables/peers.ts';
import { encodePacket } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, tcpHeader, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { padded, transportMessage } from '../support/fake-lane.ts';
import { type Gap, gapsMessage } from '../support/gap-report.ts';
import { openGate } from '../support/handshake-gate.ts';
import { HistoryLane } from '../support/history-lane.ts';

let lane: HistoryLane;
let inbound: InboundPath;
let keypair: LaneKeypair;

function open(settings: Partial<HistorySettings>): void {
  lane = new HistoryLane({ settings: { inOrder: 'all', ...settings } });
  keypair = lane.addKeypair(lane.history.peer, { id: 0 });
  lane.routeAllTo(0);
  inbound = new InboundPath(lane.context, openGate(lane));
}

beforeEach(() => open({}));

function udpOf(counter: number): Uint8Array {
  return udpPacketBytes(5, 9, 60, counter + 1);
}

function tcpOf(counter: number): Uint8Array {
  const ip = ipv4Header(5, 9);
  return encodePacket({
    kind: 'tcp',
    ip,
    tcp: tcpHeader({ sequence: counter * 1_000 }),
    payload: bytesFrom(counter, 30),
  });
}

function hear(counters: readonly number[], packetOf: (counter: number) => Uint8Array = udpOf, from = keypair): void {
  for (const counter of counters) {
    lane.arrive([transportMessage(from.localIndex, counter, padded(packetOf(counter)), from.id)]);
  }
  while (inbound.turn(4) > 0);
}

function pass(ms: number): void {
  lane.pass(ms, () => inbound.due(lane.history));
}

/** What was written since it was last asked. */
function written(): Uint8Array[] {
  return lane.addon.tunWrites.splice(0).map(({ packet }) => packet);
}

describe('packets in order', () => {
  it('wait for the one before them, and go with it', () => {
    hear([0, 2, 3]);
    expect(written()).toEqual([udpOf(0)]);
    hear([1, 4]);
    expect(written()).toEqual([1, 2, 3, 4].map(udpOf));
    expect([lane.cell('HELD'), lane.cell('HELD_EXPIRED'), lane.drops()]).toEqual([2, 0, {}]);
  });

  it('go in order when they came together in another', () => {
    hear([1, 0, 3, 2]);
    expect(written()).toEqual([0, 1, 2, 3].map(udpOf));
  });

  it('are counted when they come, and written when they go', () => {
    hear([0, 2]);
    expect([lane.count('UDP_RX_UNIQ'), lane.count('TUN_TX')]).toEqual([2, 1]);
    hear([1]);
    expect([lane.count('UDP_RX_UNIQ'), lane.count('TUN_TX')]).toEqual([3, 3]);
    expect(lane.history.peer.cells[lane.history.peer.receivedBytesCell]).toBe(3 * 96);
  });

  it('wait no longer than what is before them may still be repeated', () => {
    hear([0, 2]);
    pass(149);
    expect(written()).toEqual([udpOf(0)]);
    pass(1);
    expect(written()).toEqual([udpOf(2)]);
    expect([lane.cell('LOST'), lane.cell('HELD_EXPIRED')]).toEqual([1, 1]);
    hear([1]);
    expect([written(), lane.drops()]).toEqual([[], { IN_TOO_LATE: 1 }]);
  });

  it('wait no longer than HoldTime, and what they waited for is delivered when it comes', () => {
    open({ holdMs: 10 });
    hear([0, 2]);
    pass(6);
    hear([4]);
    pass(4);
    expect(written()).toEqual([0, 2].map(udpOf));
    hear([1]);
    expect(written()).toEqual([udpOf(1)]);
    pass(6);
    expect(written()).toEqual([udpOf(4)]);
    expect(lane.drops()).toEqual({});
  });

  it('wait also where nothing is repeated, for reordering', () => {
    open({ retransmitMs: 0 });
    hear([0, 2]);
    pass(49);
    expect(written()).toEqual([udpOf(0)]);
    pass(1);
    expect(written()).toEqual([udpOf(2)]);
  });

  it('are TCP alone if so configured', () => {
    open({ inOrder: 'tcp' });
    hear([0, 2]);
    expect(written()).toEqual([0, 2].map(udpOf));
    hear([3], tcpOf);
    expect(written()).toEqual([]);
    hear([1], tcpOf);
    expect(written()).toEqual([1, 3].map(tcpOf));
  });

  it('are not held up by keepalives and control messages', () => {
    hear([0]);
    hear([1], () => new Uint8Array(0));
    hear([2, 3]);
    expect(written()).toEqual([0, 2, 3].map(udpOf));
  });

  describe('that the peer says it will not repeat', () => {
    const say = (counter: number, gaps: readonly Gap[], index = keypair.localIndex): void =>
      hear([counter], () => gapsMessage(index, gaps[0]?.[0] ?? 0, gaps, CONTROL_KIND.GONE));

    it('are waited for no more', () => {
      hear([0, 2, 4, 6]);
      say(7, [[1, 1]]);
      expect(written()).toEqual([0, 2].map(udpOf));
      say(8, [
        [3, 1],
        [5, 1],
      ]);
      expect(written()).toEqual([4, 6].map(udpOf));
      hear([9]);
      expect(written()).toEqual([udpOf(9)]);
    });

    it('are not waited for when their turn comes later', () => {
      hear([0, 2, 4]);
      say(5, [[3, 1]]);
      expect(written()).toEqual([udpOf(0)]);
      hear([1]);
      expect(written()).toEqual([1, 2, 4].map(udpOf));
    });

    it('are delivered when they come after all, once', () => {
      hear([0, 2]);
      say(3, [[1, 1]]);
      expect(written()).toEqual([0, 2].map(udpOf));
      hear([1, 1]);
      expect(written()).toEqual([udpOf(1)]);
      expect(lane.drops()).toEqual({ IN_REPLAY: 1 });
    });

    it('do not let go what is held itself, nor what was not sent yet, nor that of another keypair', () => {
      hear([0, 2, 3]);
      say(5, [[1, 1]], keypair.localIndex + 1);
      expect(written()).toEqual([udpOf(0)]);
      say(6, [[1, 8_000]]);
      expect(written()).toEqual([2, 3].map(udpOf));
      hear([8]);
      expect(written()).toEqual([]);
      hear([7]);
      expect(written()).toEqual([7, 8].map(udpOf));
    });
  });

  it('of a new keypair follow all that waited for the one before', () => {
    const next = lane.addKeypair(lane.history.peer, { id: 1, bornMs: lane.addon.nowMs + 1 });
    hear([0, 2]);
    hear([0], (counter) => udpOf(counter + 100), next);
    expect(written()).toEqual([udpOf(0), udpOf(2), udpOf(100)]);
    hear([1, 3]);
    expect(written()).toEqual([1, 3].map(udpOf));
  });

  it('go when order is switched off', () => {
    hear([0, 2]);
    inbound.releaseOrdered(lane.history);
    lane.set({ inOrder: 'off' });
    expect(written()).toEqual([0, 2].map(udpOf));
    hear([4, 3]);
    expect(written()).toEqual([4, 3].map(udpOf));
  });

  it('are ordered from what comes next when order is switched on', () => {
    open({ inOrder: 'off' });
    hear([0, 1, 2]);
    written();
    lane.set({ inOrder: 'all' });
    hear([3, 5, 4]);
    expect(written()).toEqual([3, 4, 5].map(udpOf));
  });
});
