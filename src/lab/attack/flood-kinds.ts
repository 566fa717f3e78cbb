/**
 * What an attacker sends who may have no key of ours: each kind of flood as a pool of datagrams that are sent in turn. The
 * attacker knows the device's public key, which is no secret, and has seen an initiation of one of its peers.
 */
import { randomBytes } from 'node:crypto';
import { COOKIE_REPLY, INITIATION, RESPONSE, WIREGUARD_TIMING } from '../../protocol/constants.ts';
import { DeviceMachine } from '../../protocol/device-machine.ts';
import { mac1Key, stampMac1 } from '../../protocol/mac.ts';

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

export const FLOOD_KINDS: readonly FloodKind[] = [
  kind(
    'floor',
    'nothing to do with us: to a socket that nobody reads',
    () => poolOf(() => typed(1, INITIATION.LENGTH)),
    {
      hitsDevice: false,
    },
  ),
  kind('floor-many', 'the same from 16,384 addresses', () => poolOf(() => typed(1, INITIATION.LENGTH)), {
    hitsDevice: false,
    sources: MANY,
  }),
  kind('random-initiations', 'initiations of random bytes', () => poolOf(() => typed(1, INITIATION.LENGTH))),
  kind('mac1-initiations', 'initiations with valid mac1, from one address', stampedInitiations),
  kind('mac1-many', 'initiations with valid mac1, from 16,384 addresses', stampedInitiations, { sources: MANY }),
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

/** The kind of that name, or undefined. */
export function floodKind(name: string): FloodKind | undefined {
  return FLOOD_KINDS.find((one) => one.name === name);
}

function kind(
  name: string,
  title: string,
  pool: FloodKind['pool'],
  { sources = ONE, hitsDevice = true }: { sources?: number; hitsDevice?: boolean } = {},
): FloodKind {
  return { name, title, sources, hitsDevice, pool };
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
