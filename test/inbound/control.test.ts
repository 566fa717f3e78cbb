/** Control messages that the lane takes itself: reports of gaps, tails and parity, of peers that have histories. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { MessageTaker } from '../../src/history/message-sender.ts';
import type { ParityReceiver } from '../../src/history/parity-receiver.ts';
import { InboundPath } from '../../src/inbound/receive.ts';
import { CONTROL_KIND, writeControlHeader } from '../../src/protocol/control-header.ts';
import {
  gapFirst,
  gapsLength,
  gapsRanges,
  TAIL_LENGTH,
  writeGap,
  writeGaps,
  writeTail,
} from '../../src/protocol/gaps-message.ts';
import { endpointOf, padded, transportMessage } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';
import { HistoryLane, lanePath } from '../support/history-lane.ts';

let lane: HistoryLane;
let inbound: InboundPath;
let counter: number;
let taken: number[];

beforeEach(() => {
  lane = new HistoryLane({ paths: { paths: [lanePath(2, endpointOf(0))] } });
  lane.addKeypair(lane.history.peer, { id: 0 });
  taken = [];
  const taker: MessageTaker = {
    takeGaps: (_history, view, offset, length) => {
      if (gapsRanges(view, offset, length) > 0) taken.push(gapFirst(view, offset, 0));
    },
  };
  lane.context.taker = taker;
  inbound = new InboundPath(lane.context, openGate(lane));
  counter = 0;
});

function hear(plaintext: Uint8Array): void {
  lane.arrive([transportMessage(1_000, counter, padded(plaintext), 0)]);
  inbound.turn(4);
  counter += 1;
}

function reportOf(base: number): Uint8Array {
  const bytes = new Uint8Array(gapsLength(1));
  const view = new DataView(bytes.buffer);
  writeGaps(view, 0, 2_000, base, 1);
  writeGap(view, 0, 0, 0, 1);
  return bytes;
}

function parityOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  writeControlHeader(new DataView(bytes.buffer), 0, CONTROL_KIND.PARITY, length - 4);
  return bytes;
}

function tail(): Uint8Array {
  const bytes = new Uint8Array(TAIL_LENGTH);
  writeTail(new DataView(bytes.buffer), 0);
  return bytes;
}

describe('a report of gaps', () => {
  it('is answered by the lane, where it lies', () => {
    hear(reportOf(77));
    expect([taken, lane.events.filter(({ type }) => type === 'control')]).toEqual([[77], []]);
    expect([lane.count('CONTROL_RX'), lane.drops()]).toEqual([1, {}]);
  });

  it('is one of at most 1,000 in a second', () => {
    for (let report = 0; report < 1_005; report += 1) hear(reportOf(report));
    expect([taken.length, lane.drop('IN_CONTROL_QUEUE')]).toEqual([1_000, 5]);
    lane.addon.nowMs += 1_000;
    hear(reportOf(9));
    expect(taken.length).toBe(1_001);
  });

  it('of a peer without histories goes the way of all control messages', () => {
    lane.history.peer.history = null;
    hear(reportOf(77));
    expect([taken, lane.events.filter(({ type }) => type === 'control').length]).toEqual([[], 1]);
  });

  it('that is shorter than it says is no control message', () => {
    const report = reportOf(1);
    report[2] = 9;
    hear(report);
    expect([taken, lane.drops()]).toEqual([[], { IN_NOT_IP: 1 }]);
  });
});

describe('a tail', () => {
  it('shows by its own counter what is missing before it', () => {
    hear(tail());
    counter = 4;
    hear(tail());
    lane.pass(1, () => inbound.due(lane.history));
    expect(lane.reports.map(({ counters }) => counters)).toEqual([[1, 2, 3]]);
    expect([lane.count('CONTROL_RX'), lane.events.filter(({ type }) => type === 'control')]).toEqual([2, []]);
  });
});

describe('parity', () => {
  it('goes to who remakes from it, however long, with its path', () => {
    const messages: number[][] = [];
    const receiver: ParityReceiver = {
      isExpecting: () => true,
      close: () => undefined,
      keep: () => undefined,
      confirm: () => undefined,
      takeParity: (offset, length, path) => messages.push([lane.arena.bytes[offset + 1], length, path]),
    };
    lane.history.parityReceiver = receiver;
    hear(parityOf(1_424));
    expect(messages).toEqual([[CONTROL_KIND.PARITY, 1_424, 2]]);
    expect([lane.count('PARITY_RX'), lane.drops()]).toEqual([1, {}]);
  });

  it('is counted, and nothing else, where nobody remakes', () => {
    hear(parityOf(64));
    expect([lane.count('PARITY_RX'), lane.drops(), lane.addon.tunWrites]).toEqual([1, {}, []]);
  });
});
