/** A kernel that joins datagrams wrongly: told from one that does not, and from forged messages. */
import { beforeEach, describe, expect, it } from 'vitest';
import { InboundPath } from '../../src/inbound/receive.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { FakeLane, padded, transportMessage } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';

let lane: FakeLane;
let path: InboundPath;
let counter: number;

beforeEach(() => {
  lane = new FakeLane();
  lane.addReadyPeer(0);
  lane.routeAllTo(0);
  path = new InboundPath(lane.context, openGate(lane));
  counter = 0;
});

function messages(count: number, isForged = false): Uint8Array[] {
  return Array.from({ length: count }, () => {
    const message = transportMessage(1_000, counter, padded(udpPacketBytes(5, 9, 100)), 0);
    counter += 1;
    if (isForged) message[message.length - 1] ^= 1;
    return message;
  });
}

/** Groups of equal length, the datagrams of which are good or forged. */
function receive(groups: readonly (readonly Uint8Array[])[]): void {
  for (const group of groups) lane.arrive(group);
  path.turn(4);
}

const mangled = (): object[] => lane.events.filter(({ type }) => type === 'groMangled');

describe('bad tags', () => {
  it('in groups alone are told, once per second', () => {
    receive([messages(40, true), messages(20)]);
    receive([messages(20, true)]);
    expect(mangled()).toEqual([{ type: 'groMangled', family: 4, datagrams: 40 }]);
    lane.addon.nowMs += 1_000;
    receive([messages(40, true)]);
    expect(mangled().length).toBe(2);
    expect(lane.drop('IN_BAD_TAG')).toBe(100);
  });

  it('of single messages are somebody else', () => {
    receive(messages(40, true).map((message) => [message]));
    receive([messages(40, true)]);
    expect(mangled()).toEqual([]);
  });

  it('of the last in each group, or of half of it, are damage on the way', () => {
    for (let group = 0; group < 50; group += 1)
      receive([
        [...messages(9), ...messages(1, true)],
        [...messages(2), ...messages(2, true)],
      ]);
    expect(lane.drop('IN_BAD_TAG')).toBe(150);
    expect(mangled()).toEqual([]);
  });

  it('that are few, or spread over time, say nothing', () => {
    for (let second = 0; second < 10; second += 1) {
      receive([messages(20, true), messages(20)]);
      lane.addon.nowMs += 1_000;
    }
    expect(mangled()).toEqual([]);
  });
});
