/** Fuzz targets of what comes from the network: handshake messages, whole datagrams, control messages. */
import { randomFillSync } from 'node:crypto';
import { InboundPath } from '../../src/inbound/receive.ts';
import { DROP_REASONS } from '../../src/packet/drop-reason.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import type { Action } from '../../src/protocol/action.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { CONTROL_HEADER_LENGTH, CONTROL_KIND, controlKind } from '../../src/protocol/control-header.ts';
import {
  controlMessageLength,
  decodeControlMessage,
  encodeControlMessage,
} from '../../src/protocol/control-message.ts';
import { DeviceMachine } from '../../src/protocol/device-machine.ts';
import {
  GAPS_RANGES_MAX,
  GAPS_SPAN,
  gapCount,
  gapFirst,
  gapsLength,
  gapsRanges,
  TAIL_LENGTH,
  writeGap,
  writeGaps,
  writeTail,
} from '../../src/protocol/gaps-message.ts';
import { mac1Key, stampMac1 } from '../../src/protocol/mac.ts';
import { decodeHandshake } from '../../src/protocol/messages.ts';
import {
  BLOCK_DATAGRAMS_MAX,
  BLOCK_SPAN,
  maskCount,
  PARITY_HEADER_LENGTH,
  parityFirst,
  parityLength,
  parityMaskHigh,
  parityMaskLow,
  parityNumber,
  parityParities,
  writeParity,
} from '../../src/protocol/parity-message.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { openReceivingLane } from '../support/arriving-datagrams.ts';
import { padded, transportMessage } from '../support/fake-lane.ts';
import { genuine, openGate } from '../support/handshake-gate.ts';
import { mutateBytes, type Random } from './random.ts';
import { expectThat, type Target } from './target.ts';

const SOURCE: Endpoint = {
  ...{ family: 4, address: Uint8Array.of(192, 0, 2, 1), port: 9, scope: 0 },
  ...{ localAddress: null, localInterface: 0 },
};
const LENGTHS = [0, 148, 92, 64];
const MAC_LENGTH = 16;

/** Mutants of genuine messages in which anything but mac2 differs must lead to no keypair, no endpoint and no answer. */
export const handshakes: Target = {
  name: 'handshakes',
  what: 'mutated initiations, responses and cookie replies, a part with mac1 made anew: none is believed, none throws',
  weight: 8,
  open: openHandshakes,
};

function openHandshakes(): (random: Random) => void {
  const { initiator, responder, initiation, response, keys } = exchange();
  return (random) => {
    const isInitiation = random.oneIn(2);
    const original = isInitiation ? initiation : response;
    const message = random.oneIn(8) ? typed(random, 1 + random.below(3)) : mutateBytes(random, original);
    const machine = isInitiation ? responder : initiator;
    if (random.oneIn(64) && message.length > 2 * MAC_LENGTH)
      stampMac1(message, isInitiation ? keys.responder : keys.initiator);
    checkDecoded(message);
    const actions = machine.receiveHandshake(message, SOURCE, 1_000_000, 1_700_000_000_000);
    const isSame = sameButMac2(message, original);
    expectThat(isSame || actions.every(isRefusal), 'a forged message was believed', () => message);
  };
}

/** Two machines; the initiation reached nobody yet, and its response neither: both would still be taken. */
function exchange(): {
  readonly initiator: DeviceMachine;
  readonly responder: DeviceMachine;
  readonly initiation: Uint8Array;
  readonly response: Uint8Array;
  readonly keys: { readonly initiator: Uint8Array; readonly responder: Uint8Array };
} {
  const random = (length: number): Uint8Array => randomFillSync(new Uint8Array(length));
  const [mine, yours] = [random(32), random(32)];
  const machine = (privateKey: Uint8Array): DeviceMachine =>
    new DeviceMachine({ privateKey, timing: WIREGUARD_TIMING, random });
  const [initiator, responder, twin] = [machine(mine), machine(yours), machine(yours)];
  const publicKeys = [initiator, responder].map(({ publicKey }) => publicKey ?? new Uint8Array(32)) as [
    Uint8Array,
    Uint8Array,
  ];
  const peer = initiator.addPeer(publicKeys[1]);
  for (const one of [responder, twin]) one.addPeer(publicKeys[0]);
  const initiation = sentOf(initiator.wantHandshake(peer, 1_000, 1_700_000_000_000));
  const response = sentOf(twin.receiveHandshake(initiation, SOURCE, 1_000, 1_700_000_000_000));
  const keys = { initiator: mac1Key(publicKeys[0]), responder: mac1Key(publicKeys[1]) };
  return { initiator, responder, initiation, response, keys };
}

function sentOf(actions: readonly Action[]): Uint8Array {
  for (const action of actions) if (action.kind === 'send') return action.message;
  throw new Error('expected a message');
}

function isRefusal({ kind }: Action): boolean {
  return kind === 'failed';
}

/** A message that differs from the original in mac2 alone is genuine. */
function sameButMac2(message: Uint8Array, original: Uint8Array): boolean {
  if (message.length !== original.length) return false;
  const end = original.length - MAC_LENGTH;
  return Buffer.compare(message.subarray(0, end), original.subarray(0, end)) === 0;
}

function checkDecoded(message: Uint8Array): void {
  const decoded = decodeHandshake(message);
  if (decoded === null) return;
  expectThat(message.length === LENGTHS[decoded.type], 'a message of a wrong length was read', () => message);
  expectThat(
    message[1] === 0 && message[2] === 0 && message[3] === 0,
    'reserved bytes were not checked',
    () => message,
  );
}

function typed(random: Random, type: number): Uint8Array {
  const message = random.bytes(LENGTHS[type] ?? 0);
  message.set([type, 0, 0, 0]);
  return message;
}

/** Whole turns of the inbound path: the books must balance, whatever comes, and nothing changed is delivered. */
export const datagrams: Target = {
  name: 'datagrams',
  what: 'mutated datagrams of all types, alone and joined, through a lane: each counted once, none that was changed delivered',
  weight: 25,
  open: openDatagrams,
};

function openDatagrams(): (random: Random) => void {
  const lane = openReceivingLane();
  const path = new InboundPath(lane.context, openGate(lane));
  const after = DROP_REASONS.filter(({ name }) => name === 'IN_NOT_IP' || name === 'IN_BAD_SOURCE').map(({ id }) => id);
  const before = DROP_REASONS.filter(({ id }) => !after.includes(id)).map(({ id }) => id);
  const dropsOf = (ids: readonly number[]): number => ids.reduce((sum, id) => sum + lane.ledger.drops[id], 0);
  let counter = 0;
  return (random) => {
    lane.reset();
    lane.addon.nowMs += 1;
    // Nothing may be old here: a keypair that expires is another test's business.
    for (const keypair of lane.context.receivers.values()) Object.assign(keypair, { bornMs: lane.addon.nowMs });
    const sent: Uint8Array[] = [];
    for (let count = 1 + random.below(3); count > 0; count -= 1) {
      counter += 1;
      sent.push(anyDatagram(random, counter));
    }
    const joined = random.oneIn(3) && sent.every(({ length }) => length === sent[0]?.length && length > 0);
    if (joined) lane.arrive(sent);
    else for (const datagram of sent) lane.arrive([datagram]);
    while (path.turn(4) > 0);
    const input = (): unknown => sent.map((one) => Buffer.from(one).toString('hex'));
    const received = lane.count('UDP_RX');
    expectThat(received === sent.length, `${received} datagrams were counted`, input);
    const unsealed = lane.count('UDP_RX_UNIQ');
    expectThat(received === unsealed + lane.count('HANDSHAKE_RX') + dropsOf(before), 'the books do not balance', input);
    const delivered = lane.count('TUN_TX') + lane.count('KEEPALIVE_RX') + lane.count('CONTROL_RX') + dropsOf(after);
    expectThat(unsealed === delivered, 'the books of what was unsealed do not balance', input);
  };
}

function anyDatagram(random: Random, counter: number): Uint8Array {
  const original = random.oneIn(4)
    ? genuine(typed(random, 1 + random.below(3)))
    : transportMessage(1_000, counter, padded(udpPacketBytes(5, 9, 28 + random.below(120), counter)), 0);
  return random.oneIn(4) ? original : mutateBytes(random, original);
}

/** What is read is written again the same, and a lane's cheap look at the length agrees. */
export const controlMessages: Target = {
  name: 'control-messages',
  what: 'mutated control messages: what is read, written and read again is the same; the length is within the plaintext',
  weight: 25,
  open: () => (random) => {
    const bytes = mutateBytes(random, random.pick(CONTROL_MESSAGES));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const length = controlMessageLength(view, 0, bytes.length);
    expectThat(length >= 0 && length <= bytes.length, 'a length beyond the plaintext', () => bytes);
    const decoded = decodeControlMessage(bytes);
    if (decoded === null) return;
    expectThat(length > 0, 'what a lane drops was read', () => bytes);
    const again = decodeControlMessage(encodeControlMessage(decoded));
    expectThat(JSON.stringify(again) === JSON.stringify(decoded), 'it reads differently the second time', () => bytes);
  },
};

const CONTROL_MESSAGES: readonly Uint8Array[] = [
  encodeControlMessage({ kind: 'announce', capabilities: 3, heard: true }),
  encodeControlMessage({ kind: 'probe', round: 7, number: 2, total: 30 }, 80),
  encodeControlMessage({ kind: 'ask', round: 7 }),
  encodeControlMessage({ kind: 'arrived', round: 7, bits: Uint8Array.of(1, 2, 3) }),
  encodeControlMessage({ kind: 'received', index: 9, newest: 1_000, count: 900 }),
  encodeControlMessage({ kind: 'pathProbe', path: 1, carriesData: true, sequence: 77, sentUs: 123_456_789_012 }),
  encodeControlMessage({
    ...{ kind: 'pathAnswer', path: 1, sequence: 77, sentUs: 123_456_789_012 },
    ...{ heldUs: 40, datagrams: 1_000, bytes: 1_400_000, arrivedUs: 99 },
  }),
];

/** What lanes read in place: whatever is believed lies within the plaintext, and no report asks for more than a window. */
export const laneMessages: Target = {
  name: 'lane-messages',
  what: 'mutated reports of gaps and parity messages: what is believed is within the plaintext and within its bounds',
  weight: 25,
  open: () => (random) => {
    const bytes = mutateBytes(random, random.pick(LANE_MESSAGES));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const kind = bytes.length < CONTROL_HEADER_LENGTH ? 0 : controlKind(view, 0);
    if (kind === CONTROL_KIND.GAPS || kind === CONTROL_KIND.GONE) checkGaps(view, bytes);
    else if (kind === CONTROL_KIND.PARITY) checkParity(view, bytes);
  },
};

function checkGaps(view: DataView, bytes: Uint8Array): void {
  const ranges = gapsRanges(view, 0, bytes.length);
  if (ranges === 0) return;
  expectThat(gapsLength(ranges) <= bytes.length, 'ranges beyond the plaintext', () => bytes);
  let next = 0;
  const seen: number[] = [];
  for (let range = 0; range < ranges; range += 1) {
    const first = gapFirst(view, 0, range);
    expectThat(first >= next && Number.isSafeInteger(first), 'ranges that do not ascend', () => bytes);
    next = first + gapCount(view, 0, range);
    seen.push(first);
  }
  expectThat(next - (seen[0] ?? 0) <= GAPS_SPAN, 'a report of more than a replay window', () => bytes);
}

function checkParity(view: DataView, bytes: Uint8Array): void {
  const length = parityLength(view, 0, bytes.length);
  if (length === 0) return;
  const datagrams = maskCount(parityMaskLow(view, 0)) + maskCount(parityMaskHigh(view, 0));
  expectThat(PARITY_HEADER_LENGTH + length <= bytes.length, 'parity beyond the plaintext', () => bytes);
  expectThat(datagrams >= 1 && datagrams <= BLOCK_DATAGRAMS_MAX, 'a block of a size that cannot be', () => bytes);
  expectThat(Number.isSafeInteger(parityFirst(view, 0) + BLOCK_SPAN), 'counters that cannot be', () => bytes);
  expectThat(parityNumber(view, 0) < parityParities(view, 0), 'a parity that the block has not', () => bytes);
}

const LANE_MESSAGES: readonly Uint8Array[] = [
  laneMessage(gapsLength(3), (view) => {
    writeGaps(view, 0, -7, 100_000, 3);
    for (const [range, start] of [0, 9, 4_000].entries()) writeGap(view, 0, range, start, 3 + range);
  }),
  laneMessage(gapsLength(GAPS_RANGES_MAX), (view) => {
    writeGaps(view, 0, 9, 0, GAPS_RANGES_MAX);
    for (let range = 0; range < GAPS_RANGES_MAX; range += 1) writeGap(view, 0, range, 60 * range, 5);
  }),
  laneMessage(PARITY_HEADER_LENGTH + 80, (view) => writeParity(view, 0, 5, 2 ** 40, 0x3ff, 1, 1, 2, 80)),
  laneMessage(TAIL_LENGTH, (view) => writeTail(view, 0)),
];

function laneMessage(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}
