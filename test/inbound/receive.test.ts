/**
 * From the sockets to the TUN, whole turns of the inbound path. Every datagram is delivered, or handed over, or counted
 * as exactly one drop: random receives against outcomes that are known beforehand.
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { InboundPath } from '../../src/inbound/receive.ts';
import { DROP_REASONS } from '../../src/packet/drop-reason.ts';
import { REJECT_AFTER_MESSAGES } from '../../src/protocol/constants.ts';
import { bytesFrom, udpPacketBytes } from '../support/arbitrary-packets.ts';
import {
  type ArrivingDatagram,
  arrivingDatagrams,
  openReceivingLane,
  outcomesOf,
  receivesOf,
} from '../support/arriving-datagrams.ts';
import { endpointOf, type FakeLane, padded, transportMessage } from '../support/fake-lane.ts';
import { genuine, openGate } from '../support/handshake-gate.ts';

let lane: FakeLane;
let path: InboundPath;
let admits: boolean;

beforeEach(() => {
  lane = openReceivingLane();
  admits = true;
  path = new InboundPath(
    lane.context,
    openGate(lane, () => admits),
  );
});

function turnAll(): void {
  while (path.turn(4) > 0);
}

/** Takes in a single datagram; says which drop it was, if any. */
function receiveOne(datagram: Uint8Array): string[] {
  lane.ledger.drops.fill(0);
  lane.arrive([datagram]);
  turnAll();
  return Object.keys(lane.drops());
}

function dataMessage(counter: number, length = 100): Uint8Array {
  return transportMessage(1_000, counter, padded(udpPacketBytes(5, 9, length, counter + 1)), 0);
}

/** Datagrams whose drop reason has to do with what they hold, not with whether they may be unsealed. */
const AFTER_UNSEALING: readonly string[] = ['IN_NOT_IP', 'IN_BAD_SOURCE'];

function expectBooksBalance(): void {
  const drops = (after: boolean): number =>
    DROP_REASONS.filter(({ name }) => AFTER_UNSEALING.includes(name) === after).reduce(
      (sum, { id }) => sum + lane.ledger.drops[id],
      0,
    );
  expect(lane.count('UDP_RX')).toBe(lane.count('UDP_RX_UNIQ') + lane.count('HANDSHAKE_RX') + drops(false));
  expect(lane.count('UDP_RX_UNIQ')).toBe(lane.count('TUN_TX') + lane.count('KEEPALIVE_RX') + drops(true));
}

describe('a receive', () => {
  it('has each of its datagrams delivered, handed over, or dropped for one reason', () => {
    const all = fc.array(arrivingDatagrams, { maxLength: 60 });
    fc.assert(
      fc.property(all, fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }), (datagrams, joins) => {
        lane = openReceivingLane();
        path = new InboundPath(lane.context, openGate(lane));
        for (const receive of receivesOf(
          datagrams.map(({ bytes }) => bytes.slice()),
          joins,
        ))
          lane.arrive(receive);
        turnAll();
        expectOutcomes(datagrams);
      }),
      { numRuns: 150 },
    );
  });

  it('may hold more messages than one batch', () => {
    const datagrams = Array.from({ length: 1_400 }, (_, counter) => dataMessage(counter % 1_300, 40));
    for (let first = 0; first < datagrams.length; first += 100) lane.arrive(datagrams.slice(first, first + 100));
    turnAll();
    expect(lane.count('TUN_TX')).toBe(1_300);
    expect(lane.drops()).toEqual({ IN_REPLAY: 100 });
    expectBooksBalance();
  });

  it('may be empty, which is a datagram that is too short', () => {
    lane.arrive([new Uint8Array(0)]);
    turnAll();
    expect([lane.count('UDP_RX'), lane.count('UDP_RX_BYTES')]).toEqual([1, 0]);
    expect(lane.drops()).toEqual({ IN_TOO_SHORT: 1 });
  });

  it('comes from the socket of the family that was asked for', () => {
    lane.arrive([dataMessage(0)], endpointOf(0), 6);
    path.turn(4);
    expect(lane.count('UDP_RX')).toBe(0);
    path.turn(6);
    expect(lane.count('TUN_TX')).toBe(1);
  });

  it('of any bytes is counted and never throws', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.integer({ min: 1, max: 4 }), fc.uint8Array({ minLength: 31, maxLength: 200 }))
        .map(([type, rest]) => Uint8Array.of(type, 0, 0, 0, ...rest)),
    );
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 30 }), fc.array(fc.boolean(), { minLength: 1 }), (datagrams, joins) => {
        lane.reset();
        for (const receive of receivesOf(datagrams, joins)) lane.arrive(receive);
        turnAll();
        expect(lane.count('UDP_RX')).toBe(datagrams.length);
        expectBooksBalance();
      }),
      { numRuns: 200 },
    );
  });

  function expectOutcomes(datagrams: readonly ArrivingDatagram[]): void {
    const outcomes = outcomesOf(datagrams);
    const count = (wanted: string): number => outcomes.filter((outcome) => outcome === wanted).length;
    expect(lane.count('UDP_RX')).toBe(datagrams.length);
    expect(lane.count('UDP_RX_BYTES')).toBe(datagrams.reduce((sum, { bytes }) => sum + bytes.length, 0));
    expect(lane.count('KEEPALIVE_RX')).toBe(count('keepalive'));
    expect(lane.count('HANDSHAKE_RX')).toBe(count('handshake'));
    expect(lane.count('TUN_TX')).toBe(count('written'));
    for (const { name, id } of DROP_REASONS) expect(lane.ledger.drops[id], name).toBe(count(name));
    const written = datagrams.filter((_, index) => outcomes[index] === 'written').map(({ inner }) => inner);
    expect(lane.addon.tunWrites.map(({ packet }) => packet)).toEqual(written);
    const handed = datagrams.filter((_, index) => outcomes[index] === 'handshake').map(({ bytes }) => bytes);
    const told = lane.events.flatMap((event) => (event.type === 'handshake' ? [event.message] : []));
    // Cookie replies have no MAC to be checked, and go before the others of their turn.
    for (const isReply of [true, false])
      expect(told.filter(([type]) => (type === 3) === isReply)).toEqual(
        handed.filter(([type]) => (type === 3) === isReply),
      );
    expectBooksBalance();
  }
});

describe('a transport message', () => {
  it('is delivered without its padding', () => {
    for (const length of [28, 31, 32, 33, 300]) expect(receiveOne(dataMessage(length, length))).toEqual([]);
    expect(lane.addon.tunWrites.map(({ packet }) => packet.length)).toEqual([28, 31, 32, 33, 300]);
  });

  it('need not be a multiple of 16 long: padding ends at the MTU', () => {
    const inner = udpPacketBytes(5, 9, 1_420);
    expect(receiveOne(transportMessage(1_000, 0, inner, 0))).toEqual([]);
    expect(lane.addon.tunWrites.map(({ packet }) => packet)).toEqual([inner]);
  });

  it('of 32 bytes is a keepalive, and one byte less is too short', () => {
    const keepalive = transportMessage(1_000, 0, new Uint8Array(0), 0);
    expect(receiveOne(keepalive)).toEqual([]);
    expect(lane.count('KEEPALIVE_RX')).toBe(1);
    expect(receiveOne(keepalive.slice(0, 31))).toEqual(['IN_TOO_SHORT']);
  });

  it('may have any counter that lies 2^32 or more below the limit, and none from the limit on', () => {
    const accepted = [2 ** 32 - 1, 2 ** 32, 2 ** 52, REJECT_AFTER_MESSAGES - 2 ** 32];
    for (const counter of accepted) expect(receiveOne(dataMessage(counter)), String(counter)).toEqual([]);
    for (const counter of [REJECT_AFTER_MESSAGES, REJECT_AFTER_MESSAGES + 1, 2 ** 53])
      expect(receiveOne(dataMessage(counter)), String(counter)).toEqual(['IN_COUNTER_LIMIT']);
    const highest = dataMessage(0);
    highest.fill(0xff, 8, 16);
    expect(receiveOne(highest)).toEqual(['IN_COUNTER_LIMIT']);
  });

  it('does not move the replay window with a counter that is not authentic', () => {
    const forged = dataMessage(1_000_000);
    forged[forged.length - 1] ^= 1;
    expect(receiveOne(forged)).toEqual(['IN_BAD_TAG']);
    expect(receiveOne(dataMessage(0))).toEqual([]);
  });

  it('of a keypair that was retired is for an unknown index', () => {
    expect(receiveOne(dataMessage(0))).toEqual([]);
    lane.context.receivers.delete(1_000);
    expect(receiveOne(dataMessage(1))).toEqual(['IN_UNKNOWN_INDEX']);
  });
});

describe('a handshake message', () => {
  const initiation = genuine(Uint8Array.of(1, 0, 0, 0, ...bytesFrom(1, 144)));

  it('goes to the control lane whole, with the address it came from', () => {
    const source = endpointOf(3, 9);
    lane.arrive([initiation], source);
    turnAll();
    expect(lane.events).toEqual([{ type: 'handshake', message: initiation, source }]);
  });

  it('is a copy: what comes after it does not change it', () => {
    lane.arrive([initiation]);
    turnAll();
    lane.arena.bytes.fill(0);
    expect(lane.events.flatMap((event) => (event.type === 'handshake' ? [event.message] : []))).toEqual([initiation]);
  });

  it('is dropped when the queue to the control lane is full', () => {
    admits = false;
    expect(receiveOne(initiation)).toEqual(['IN_HANDSHAKE_QUEUE']);
    expect(lane.count('HANDSHAKE_RX')).toBe(0);
    expect(lane.events).toEqual([]);
  });

  it('that names no source is dropped, and counted', () => {
    lane.arrive([initiation], null);
    turnAll();
    expect(lane.events).toEqual([]);
    expect(lane.dropsTotal()).toBe(1);
  });
});
