/** Datagrams that were made from parity pass all stages at the end of the turn; what they are not is no drop of a datagram. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { ParityReceiver } from '../../src/history/parity-receiver.ts';
import { InboundPath } from '../../src/inbound/receive.ts';
import { CONTROL_KIND, writeControlHeader } from '../../src/protocol/control-header.ts';
import type { LaneKeypair } from '../../src/tables/peers.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { endpointOf, padded, transportMessage } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';
import { HistoryLane, lanePath } from '../support/history-lane.ts';

let lane: HistoryLane;
let inbound: InboundPath;
let keypair: LaneKeypair;
/** What is to be injected when parity comes: counters, and datagrams as they were sealed. */
let remakes: readonly (readonly [number, Uint8Array])[];
let seen: string[];

beforeEach(() => {
  lane = new HistoryLane({ paths: { paths: [lanePath(1, endpointOf(0))] } });
  keypair = lane.addKeypair(lane.history.peer, { id: 0 });
  lane.routeAllTo(0);
  inbound = new InboundPath(lane.context, openGate(lane));
  remakes = [];
  seen = [];
  const receiver: ParityReceiver = {
    isExpecting: () => true,
    close: () => undefined,
    keep: ({ counters }, _keypair, first, end) => seen.push(`keep ${Array.from(counters.subarray(first, end))}`),
    confirm: ({ counters, fresh }, _keypair, first, end) =>
      seen.push(`confirm ${Array.from(counters.subarray(first, end))}: ${Array.from(fresh.subarray(first, end))}`),
    takeParity: (_offset, _length, path) => {
      let at = lane.arena.histories;
      for (const [counter, datagram] of remakes) {
        lane.arena.bytes.set(datagram, at);
        expect(inbound.inject(keypair, counter, at + 16, datagram.length - 16, path)).toBe(true);
        at += 2_048;
      }
    },
  };
  lane.history.parityReceiver = receiver;
});

function sealed(counter: number): Uint8Array {
  return transportMessage(1_000, counter, padded(packetOf(counter)), 0);
}

function packetOf(counter: number): Uint8Array {
  return udpPacketBytes(5, 9, 60, counter + 1);
}

function parity(counter: number): Uint8Array {
  const bytes = new Uint8Array(32);
  writeControlHeader(new DataView(bytes.buffer), 0, CONTROL_KIND.PARITY, 28);
  return transportMessage(1_000, counter, bytes, 0);
}

function turn(datagrams: readonly Uint8Array[]): Uint8Array[] {
  if (datagrams.length > 0) lane.arrive(datagrams);
  inbound.turn(4);
  return lane.addon.tunWrites.splice(0).map(({ packet }) => packet);
}

describe('a datagram that was remade', () => {
  it('is delivered, fills its gap, and counts as no datagram that came', () => {
    remakes = [[1, sealed(1)]];
    expect(turn([sealed(0), sealed(2), parity(3)])).toEqual([0, 2, 1].map(packetOf));
    expect([lane.count('UDP_RX'), lane.count('UDP_RX_UNIQ'), lane.count('REPAIRED_RX')]).toEqual([3, 4, 1]);
    expect([lane.cell('FILLED_PARITY'), lane.pathCell(1, 'UDP_RX')]).toEqual([1, 3]);
    expect(lane.history.rx.watchOf(keypair)?.missing).toBe(0);
    expect(turn([sealed(1)])).toEqual([]);
    expect(lane.drops()).toEqual({ IN_REPLAY: 1 });
  });

  it('that is wrong, not missing, or of a keypair that is gone, is refused', () => {
    const forged = sealed(1);
    forged[30] ^= 1;
    remakes = [
      [1, forged],
      [0, sealed(0)],
    ];
    expect(turn([sealed(0), sealed(2), parity(3)])).toEqual([0, 2].map(packetOf));
    expect([lane.cell('REMADE_REFUSED'), lane.drops()]).toEqual([2, {}]);
    lane.context.receivers.delete(keypair.localIndex);
    inbound.inject(keypair, 1, lane.arena.histories + 16, 80, 1);
    expect(turn([])).toEqual([]);
    expect(lane.drops()).toEqual({});
  });

  it('is refused when its keypair has expired: parity may come by a newer one', () => {
    const expiresMs = keypair.bornMs + lane.context.timing.REJECT_AFTER_TIME_MS;
    const datagram = sealed(1);
    const remake = (atMs: number): Uint8Array[] => {
      lane.addon.nowMs = atMs;
      lane.arena.bytes.set(datagram, lane.arena.histories);
      inbound.inject(keypair, 1, lane.arena.histories + 16, datagram.length - 16, 1);
      return turn([]);
    };
    expect(remake(expiresMs)).toEqual([]);
    expect(remake(expiresMs - 1)).toEqual([packetOf(1)]);
    expect(lane.drops()).toEqual({});
  });

  it('moves no endpoint', () => {
    remakes = [[1, sealed(1)]];
    lane.context.roamed.clear();
    turn([sealed(0), sealed(2), parity(3)]);
    expect(lane.context.roamed.size).toBe(0);
  });

  it('is one of at most 64 in a turn', () => {
    for (let at = 0; at < 64; at += 1) expect(inbound.inject(keypair, at, lane.arena.histories + 16, 80, 1)).toBe(true);
    expect(inbound.inject(keypair, 64, lane.arena.histories + 16, 80, 1)).toBe(false);
    turn([]);
    expect(inbound.inject(keypair, 64, lane.arena.histories + 16, 80, 1)).toBe(true);
  });
});

describe('who remakes', () => {
  it('sees each run before it is unsealed, and what was new of it', () => {
    remakes = [[1, sealed(1)]];
    turn([sealed(0), sealed(0), sealed(2), parity(3)]);
    expect(seen).toEqual(['keep 0,0,2,3', 'confirm 0,0,2,3: 1,0,1,1', 'confirm 1: 1']);
  });
});
