/** Where a peer is answered, by where it is heard: as WireGuard does without paths, by data alone with them. */
import { beforeEach, describe, expect, it } from 'vitest';
import { InboundPath } from '../../src/inbound/receive.ts';
import { type Endpoint, isSameEndpoint, readEndpoint } from '../../src/packet/endpoint.ts';
import type { LanePaths } from '../../src/path/path-types.ts';
import { encodeControlMessage } from '../../src/protocol/control-message.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { endpointOf, padded, transportMessage } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';
import { HistoryLane, lanePath } from '../support/history-lane.ts';

const DATA = padded(udpPacketBytes(5, 9, 100));
const KEEPALIVE = new Uint8Array(0);
const CONTROL = padded(encodeControlMessage({ kind: 'ask', round: 7 }));
/** Those of two paths, and one that is none's. */
const [FIRST, SECOND, OTHER] = [endpointOf(0), endpointOf(5), endpointOf(9)] as const;
const PATHS = [lanePath(0, FIRST), lanePath(1, SECOND)];

let lane: HistoryLane;
let inbound: InboundPath;
let counter: number;

function open(paths: Partial<LanePaths>): void {
  lane = new HistoryLane({ paths });
  lane.addKeypair(lane.history.peer, { id: 0 });
  lane.routeAllTo(0);
  inbound = new InboundPath(lane.context, openGate(lane));
  counter = 0;
}

function hear(source: Endpoint, plaintext: Uint8Array, number: number = counter): void {
  lane.arrive([transportMessage(1_000, number, plaintext, 0)], source);
  inbound.turn(4);
  counter = Math.max(counter, number + 1);
}

function isAt(endpoint: Endpoint): boolean {
  return isSameEndpoint(readEndpoint(new Uint8Array(lane.history.peer.endpoint.buffer), 0), endpoint);
}

describe('a peer with histories and without paths', () => {
  beforeEach(() => open({}));

  it('roams with whatever is authentic', () => {
    for (const [source, plaintext] of [
      [SECOND, DATA],
      [OTHER, KEEPALIVE],
      [FIRST, CONTROL],
    ] as const) {
      hear(source, plaintext);
      expect(isAt(source)).toBe(true);
    }
    expect(lane.context.roamed.has(lane.history.peer)).toBe(true);
  });
});

describe('a gigatun with paths that is followed', () => {
  beforeEach(() => open({ mode: 'follow', paths: PATHS }));

  it('is followed by data, and not by keepalives and control messages over a path', () => {
    for (const plaintext of [KEEPALIVE, CONTROL]) hear(SECOND, plaintext);
    expect(isAt(FIRST)).toBe(true);
    hear(SECOND, DATA);
    expect([isAt(SECOND), lane.history.choice.first]).toEqual([true, 1]);
  });

  it('is not followed to and fro: the path before must have been silent', () => {
    hear(FIRST, DATA);
    lane.addon.nowMs += 99;
    hear(SECOND, DATA);
    expect(isAt(FIRST)).toBe(true);
    lane.addon.nowMs += 2;
    hear(SECOND, DATA);
    expect(isAt(SECOND)).toBe(true);
  });

  it('is not followed by what is older than the newest', () => {
    counter = 5;
    hear(FIRST, DATA);
    lane.addon.nowMs += 500;
    hear(SECOND, DATA, 2);
    expect(isAt(FIRST)).toBe(true);
  });

  it('is followed to a new address by data and keepalives, not by control messages', () => {
    hear(OTHER, CONTROL);
    expect(isAt(FIRST)).toBe(true);
    hear(OTHER, KEEPALIVE);
    expect(isAt(OTHER)).toBe(true);
  });
});

describe('a gigatun with paths that are chosen', () => {
  it('moves by no path, and by data from a new address', () => {
    open({ mode: 'failover', paths: PATHS });
    hear(SECOND, DATA);
    expect(isAt(FIRST)).toBe(true);
    hear(OTHER, CONTROL);
    expect(isAt(FIRST)).toBe(true);
    hear(OTHER, DATA);
    expect(isAt(OTHER)).toBe(true);
  });
});

describe('a stock peer with paths', () => {
  const knows = { gaps: false, paths: false, parity: false };

  it('does not flap between the addresses it answers from, and roams to new ones', () => {
    open({ mode: 'redundant', paths: PATHS, knows });
    hear(SECOND, DATA);
    expect(isAt(FIRST)).toBe(true);
    hear(OTHER, KEEPALIVE);
    expect(isAt(OTHER)).toBe(true);
  });

  it('roams as ever where it is followed', () => {
    open({ mode: 'follow', paths: PATHS, knows });
    hear(SECOND, KEEPALIVE);
    expect(isAt(SECOND)).toBe(true);
  });
});
