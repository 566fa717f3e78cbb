/**
 * What an attacker sends who may have no key of ours: each kind of flood as a pool of datagrams that are sent in turn. The
 * attacker knows the device's public key, which is no secret, and has seen an initiation of one of its peers.
 */
import { randomBytes } from 'node:crypto';
import { COOKIE_REPLY, INITIATION, RESPONSE, WIREGUARD_TIMING } from '../../protocol/constants.ts';
import { DeviceMachine } from '../../protocol/device-machine.ts';
import { mac1Key, stampMac1 } from '../../protocol/mac.ts';

/** No flood lasts longer. */
export const FLOOD_SECONDS_MAX = 150;
const POOL = 2_048;
const LENGTH_MAX = 1_472;

export interface FloodFacts {
  /** Of the device under attack, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Of one of its peers, whose initiation is replayed, 32 bytes. */
  readonly recordedKey: Uint8Array;
}

export interface FloodKind {
  readonly name: string;
  readonly title: string;
  /** Addresses that it comes from. */
  readonly sources: number;
  /** false: to a socket beside the device's that nobody reads: what the flood costs the machine itself. */
  readonly hitsDevice: boolean;
  readonly pool: (facts: FloodFacts) => Uint8Array[];
}

const ONE = 1;
const MANY = 16_384;
/** All of SOURCES_PREFIX. */
const SPOOFED = 2 ** 22;

/** Where senders of many addresses have them from: 2^22 of them. */
export const SOURCES_PREFIX = '100.64.0.0/10';
const SOURCES_FIRST = 0x6440_0000;
/** Odd, so that it leads through all addresses, in no order that a router could count on. */
const SOURCES_STEP = 2_654_435;

/** What a flood costs the machine itself: as many datagrams, from as many addresses, to a socket that nobody reads. */
const FLOORS: readonly FloodKind[] = [
  floor('floor', 'to a socket that nobody reads', ONE),
  floor('floor-many', 'to a socket that nobody reads, from 16,384 addresses', MANY),
  floor('floor-spoofed', 'to a socket that nobody reads, from 4,194,304 addresses', SPOOFED),
];

export const FLOOD_KINDS: readonly FloodKind[] = [
  kind('random-initiations', 'initiations of random bytes', () => poolOf(() => typed(1, INITIATION.LENGTH))),
  kind('mac1-initiations', 'initiations with valid mac1, from one address', stampedInitiations),
  kind('mac1-many', 'initiations with valid mac1, from 16,384 addresses', stampedInitiations, MANY),
  kind('mac1-spoofed', 'initiations with valid mac1, from 4,194,304 addresses', stampedInitiations, SPOOFED),
  kind('replayed', "a peer's own initiation, again and again", ({ publicKey, recordedKey }) => [
    recordedInitiation(publicKey, recordedKey),
  ]),
  kind('responses', 'responses with valid mac1', ({ publicKey }) =>
    poolOf(() => stamped(typed(2, RESPONSE.LENGTH), publicKey)),
  ),
  kind('cookie-replies', 'cookie replies', () => poolOf(() => typed(3, COOKIE_REPLY.LENGTH))),
  kind('transport', 'transport messages to unknown receivers', () => poolOf(() => typed(4, 96))),
  kind('truncated', 'handshake and transport messages cut short', () =>
    poolOf((at) => typed(1 + (at % 4), INITIATION.LENGTH).subarray(0, (at * 7) % 64)),
  ),
  kind('oversized', 'handshake messages of 1,472 bytes', () => poolOf((at) => typed(1 + (at % 3), LENGTH_MAX), 256)),
  kind('random', 'random bytes of random length', () => poolOf((at) => randomBytes((at * 31) % LENGTH_MAX), 512)),
];

/** The kind or floor of that name, or undefined. */
export function floodKind(name: string): FloodKind | undefined {
  return [...FLOORS, ...FLOOD_KINDS].find((one) => one.name === name);
}

/** The floor to hold a kind against. */
export function floorOf(kind: FloodKind): FloodKind {
  const found = FLOORS.find(({ sources }) => sources === kind.sources);
  if (found === undefined) throw new RangeError(`expected a floor from ${kind.sources} addresses`);
  return found;
}

/** Address of SOURCES_PREFIX, as a number, of the sender `number`; as many of them differ as there are. */
export function sourceAddress(number: number): number {
  return SOURCES_FIRST + (Math.imul(number, SOURCES_STEP) & (SPOOFED - 1));
}

function kind(name: string, title: string, pool: FloodKind['pool'], sources = ONE): FloodKind {
  return { name, title, sources, hitsDevice: true, pool };
}

function floor(name: string, title: string, sources: number): FloodKind {
  return { name, title, sources, hitsDevice: false, pool: () => poolOf(() => typed(1, INITIATION.LENGTH)) };
}

function poolOf(make: (at: number) => Uint8Array, count = POOL): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

/** Random bytes behind a message type and its reserved zeros. */
function typed(type: number, length: number): Uint8Array {
  const bytes = Uint8Array.from(randomBytes(length));
  bytes.set([type, 0, 0, 0]);
  return bytes;
}

function stamped(message: Uint8Array, publicKey: Uint8Array): Uint8Array {
  stampMac1(message, mac1Key(publicKey));
  return message;
}

function stampedInitiations({ publicKey }: FloodFacts): Uint8Array[] {
  return poolOf(() => stamped(typed(1, INITIATION.LENGTH), publicKey));
}

/** A genuine one: the device answers it once, and then knows its timestamp. */
function recordedInitiation(publicKey: Uint8Array, privateKey: Uint8Array): Uint8Array {
  const random = (length: number): Uint8Array => Uint8Array.from(randomBytes(length));
  const machine = new DeviceMachine({ privateKey, timing: WIREGUARD_TIMING, random });
  const [send] = machine.wantHandshake(machine.addPeer(publicKey), performance.now(), Date.now());
  if (send?.kind !== 'send') throw new Error('expected an initiation');
  return send.message;
}
