/**
 * Datagrams as they may come from the network, each with what must become of it: delivered, a keepalive, a handshake
 * message, or one drop reason. Two peers: inner sources 10.0.0.0/25 belong to peer 0, 10.0.0.128/25 to peer 1.
 */
import fc from 'fast-check';
import type { DropName } from '../../src/packet/drop-reason.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { ReferenceReplayWindow } from '../reference/replay-window.ts';
import { bytesFrom, udpPacketBytes } from './arbitrary-packets.ts';
import { FakeLane, padded, transportMessage } from './fake-lane.ts';
import { genuine } from './handshake-gate.ts';

export type Outcome = 'written' | 'keepalive' | 'handshake' | DropName;

export interface ArrivingDatagram {
  readonly bytes: Uint8Array;
  /** What becomes of it if it is authentic and new; else what it is dropped for. */
  readonly outcome: Outcome;
  /** For authentic messages: what the replay window is asked. */
  readonly keypair: number;
  readonly counter: number;
  /** The inner packet that is written. */
  readonly inner: Uint8Array;
}

/** Keypairs of the lane: number, peer, receiver index. Number 2 is too old. */
const KEYPAIRS = [
  { id: 0, peer: 0, localIndex: 1_000 },
  { id: 1, peer: 1, localIndex: -7 },
  { id: 2, peer: 0, localIndex: 1_002 },
  { id: 3, peer: 1, localIndex: 0x7fff_ffff },
] as const;
const EXPIRED = 2;
const USABLE = [0, 1, 3];
const HANDSHAKE_LENGTH: Readonly<Record<number, number>> = { 1: 148, 2: 92, 3: 64 };

/** A lane with those peers and keypairs. */
export function openReceivingLane(): FakeLane {
  const lane = new FakeLane();
  const peers = [lane.addPeer(0), lane.addPeer(1)];
  for (const { id, peer, localIndex } of KEYPAIRS) {
    const ageMs = id === EXPIRED ? WIREGUARD_TIMING.REJECT_AFTER_TIME_MS : 0;
    lane.addKeypair(peers[peer], { id, localIndex, bornMs: lane.addon.nowMs - ageMs });
  }
  lane.route([
    { address: Uint8Array.of(10, 0, 0, 0), length: 25, peer: 0 },
    { address: Uint8Array.of(10, 0, 0, 128), length: 25, peer: 1 },
  ]);
  return lane;
}

/** What must become of datagrams, in order, replay windows included. */
export function outcomesOf(datagrams: readonly ArrivingDatagram[]): Outcome[] {
  const windows = KEYPAIRS.map(() => new ReferenceReplayWindow());
  return datagrams.map(({ outcome, keypair, counter }) => {
    if (keypair < 0) return outcome;
    return ([outcome, 'IN_REPLAY', 'IN_TOO_OLD'] as const)[windows[keypair].accept(counter)];
  });
}

/** Datagrams of all kinds; lengths and counters are often equal, so that GRO groups and duplicates come about. */
export const arrivingDatagrams: fc.Arbitrary<ArrivingDatagram> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ ...message(), length: innerLengths() }).map(data) },
  fc.record({ ...message(), isForeign: fc.constant(true), length: innerLengths() }).map(data),
  fc.record(message()).map(keepalive),
  fc.record({ ...message(), seed: fc.nat(), length: fc.integer({ min: 1, max: 19 }) }).map(notIp),
  fc.record({ ...message(), at: fc.nat() }).map(badTag),
  fc.record(message()).map(unknownIndex),
  fc.record(message()).map(expired),
  fc.record({ ...message(), high: fc.integer({ min: 2 ** 21 - 1, max: 2 ** 32 - 1 }) }).map(beyondLimit),
  fc.record({ type: fc.integer({ min: 1, max: 3 }), seed: fc.nat() }).map(handshake),
  fc.record({ type: fc.integer({ min: 1, max: 3 }), length: fc.integer({ min: 32, max: 200 }) }).map(wrongLength),
  fc
    .record({ type: fc.integer({ min: 1, max: 4 }), at: fc.integer({ min: 1, max: 3 }), bits: byteNotZero() })
    .map(reserved),
  fc.integer({ min: 5, max: 255 }).map((type) => dropped(Uint8Array.of(type, ...new Uint8Array(60)), 'IN_BAD_TYPE')),
  fc
    .record({ length: fc.nat(31), seed: fc.nat() })
    .map(({ length, seed }) => dropped(bytesFrom(seed, length), 'IN_TOO_SHORT')),
);

/** Puts datagrams into receives as GRO may: neighbours of equal length, a shorter one last. `joins` says where it does. */
export function receivesOf(datagrams: readonly Uint8Array[], joins: readonly boolean[]): Uint8Array[][] {
  const receives: Uint8Array[][] = [];
  for (const [index, datagram] of datagrams.entries()) {
    const open = receives.at(-1);
    const fits =
      open !== undefined &&
      joins[index % joins.length] === true &&
      datagram.length > 0 &&
      datagram.length <= open[0].length &&
      open.every(({ length }) => length === open[0].length);
    if (fits) open.push(datagram);
    else receives.push([datagram]);
  }
  return receives;
}

interface MessageFields {
  readonly keypair: number;
  readonly counter: number;
}

function message(): { keypair: fc.Arbitrary<number>; counter: fc.Arbitrary<number> } {
  const counter = fc.oneof({ weight: 8, arbitrary: fc.nat(40) }, fc.nat(20_000));
  return { keypair: fc.constantFrom(...USABLE), counter };
}

function innerLengths(): fc.Arbitrary<number> {
  return fc.oneof(fc.constantFrom(64, 100), fc.integer({ min: 28, max: 300 }));
}

function byteNotZero(): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max: 255 });
}

function data({
  keypair,
  counter,
  length,
  isForeign = false,
}: MessageFields & { length: number; isForeign?: boolean }): ArrivingDatagram {
  const owner = KEYPAIRS[keypair].peer === (isForeign ? 1 : 0) ? 5 : 133;
  const inner = udpPacketBytes(owner, 9, length, counter + 1);
  return authentic(keypair, counter, padded(inner), isForeign ? 'IN_BAD_SOURCE' : 'written', inner);
}

function keepalive({ keypair, counter }: MessageFields): ArrivingDatagram {
  return authentic(keypair, counter, new Uint8Array(0), 'keepalive');
}

function notIp({ keypair, counter, seed, length }: MessageFields & { seed: number; length: number }): ArrivingDatagram {
  const plaintext = bytesFrom(seed, length);
  // A first nibble of zero may be a control message.
  if (plaintext[0] < 16) plaintext[0] |= 0x80;
  return authentic(keypair, counter, plaintext, 'IN_NOT_IP');
}

function badTag({ keypair, counter, at }: MessageFields & { at: number }): ArrivingDatagram {
  const { bytes } = data({ keypair, counter, length: 64 });
  bytes[16 + (at % (bytes.length - 16))] ^= 1 + (at % 255);
  return dropped(bytes, 'IN_BAD_TAG');
}

function unknownIndex({ keypair, counter }: MessageFields): ArrivingDatagram {
  return dropped(
    transportMessage(KEYPAIRS[keypair].localIndex ^ 1, counter, new Uint8Array(64), keypair),
    'IN_UNKNOWN_INDEX',
  );
}

function expired({ counter }: MessageFields): ArrivingDatagram {
  const { localIndex } = KEYPAIRS[EXPIRED];
  return dropped(transportMessage(localIndex, counter, new Uint8Array(64), EXPIRED), 'IN_KEYPAIR_EXPIRED');
}

function beyondLimit({ keypair, counter, high }: MessageFields & { high: number }): ArrivingDatagram {
  const { bytes } = data({ keypair, counter, length: 64 });
  new DataView(bytes.buffer).setUint32(12, high, true);
  return dropped(bytes, 'IN_COUNTER_LIMIT');
}

function handshake({ type, seed }: { type: number; seed: number }): ArrivingDatagram {
  const message = typed(type, bytesFrom(seed, HANDSHAKE_LENGTH[type]));
  return seed % 3 === 0 ? dropped(message, 'IN_HANDSHAKE_BAD') : dropped(genuine(message), 'handshake');
}

function wrongLength({ type, length }: { type: number; length: number }): ArrivingDatagram {
  const other = length === HANDSHAKE_LENGTH[type] ? length + 1 : length;
  return dropped(typed(type, new Uint8Array(other)), 'IN_BAD_LENGTH');
}

function reserved({ type, at, bits }: { type: number; at: number; bits: number }): ArrivingDatagram {
  const bytes = typed(type, new Uint8Array(HANDSHAKE_LENGTH[type] ?? 64));
  bytes[at] = bits;
  return dropped(bytes, 'IN_BAD_TYPE');
}

function typed(type: number, bytes: Uint8Array): Uint8Array {
  bytes.set([type, 0, 0, 0]);
  return bytes;
}

function dropped(bytes: Uint8Array, outcome: Outcome): ArrivingDatagram {
  return { bytes, outcome, keypair: -1, counter: 0, inner: new Uint8Array(0) };
}

function authentic(
  keypair: number,
  counter: number,
  plaintext: Uint8Array,
  outcome: Outcome,
  inner: Uint8Array = new Uint8Array(0),
): ArrivingDatagram {
  return {
    bytes: transportMessage(KEYPAIRS[keypair].localIndex, counter, plaintext, keypair),
    outcome,
    keypair,
    counter,
    inner,
  };
}
