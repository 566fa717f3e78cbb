/**
 * Control messages between two gigatuns. Each is the plaintext of a transport message, so it is authentic, and it is no
 * IP packet: its first nibble is 0, so a peer that is not gigatun drops it. Numbers on the wire are big-endian, as in
 * the inner packets that they travel among; docs/extension-protocol.md says what they are for, and when they are sent:
 *
 *     0        version of this format (1)
 *     1        kind
 *     2 - 3    length of the body
 *     4 -      body, then padding, which means nothing
 *
 *     announce (1)   0 - 3  capability bits    4  1 if the sender has heard the other's announcement, else 0
 *     probe    (2)   0 - 3  round    4 - 5  number of this datagram in the round    6 - 7  datagrams in the round
 *     ask      (3)   0 - 3  round: which of its datagrams arrived?
 *     arrived  (4)   0 - 3  round    4 -  one bit per number, lowest first, at most 64 bytes
 *     received (5)   0 - 3  receiver index of the keypair    4 - 11  newest counter + 1    12 - 19  how many arrived
 *     path probe  (6)   0  path    1  1 if the sender sends data over it, else 0    2 - 5  sequence    6 - 13  sent, us
 *     path answer (7)   0 - 13  as in the probe, flags 0    14 - 17  held for, us    18 - 25  datagrams that came over
 *                       the path so far    26 - 33  their bytes
 *     gaps (8), tail (9), gone (11): `gaps-message.ts`    parity (10): `parity-message.ts`; lanes take these where they lie
 *
 * A body may be longer than its kind needs (later versions add fields); a kind or a version that is not known is skipped.
 */
import {
  CONTROL_HEADER_LENGTH,
  CONTROL_KIND,
  controlBodyLength,
  readUint53,
  writeControlHeader,
  writeUint53,
} from './control-header.ts';

/**
 * Capability bits of an announcement: PROBES, it answers probes of groups; RECEIVED, it reports what arrived; PATHS, it
 * answers path probes; GAPS, it reports gaps and repeats what is missing at the other; PARITY, it remakes datagrams from parity.
 */
export const CAPABILITY = { PROBES: 1, RECEIVED: 2, PATHS: 4, GAPS: 8, PARITY: 16 } as const;

/** Datagrams in one probe round, and bits in one answer. */
export const PROBE_DATAGRAMS_MAX = 512;
/** Header and body of the longest control message that is handed to the control lane. */
export const CONTROL_LENGTH_MAX = 1_024;

/** Shortest body of each kind that is the control lane's, by its number. */
const BODY_LENGTH_MIN: readonly number[] = [0, 5, 8, 4, 5, 20, 14, 34];
/** What fills a probe up to its length. */
const PATTERN = 0xa5;
/** A path answer with the time of arrival, which ends, and may not be there. */
const TIMED_ANSWER_LENGTH = 38;
const ARRIVED_HEADER_LENGTH = 4;

export type ControlMessage =
  | { readonly kind: 'announce'; readonly capabilities: number; readonly heard: boolean }
  | { readonly kind: 'probe'; readonly round: number; readonly number: number; readonly total: number }
  | { readonly kind: 'ask'; readonly round: number }
  /** `bits`: number n arrived if bit n % 8 of byte n / 8 is set. */
  | { readonly kind: 'arrived'; readonly round: number; readonly bits: Uint8Array }
  | { readonly kind: 'received'; readonly index: number; readonly newest: number; readonly count: number }
  /** `path`: number of it at the sender; `sequence`: random, 32 bits; `sentUs`: by the sender's clock. */
  | {
      readonly kind: 'pathProbe';
      readonly path: number;
      readonly carriesData: boolean;
      readonly sequence: number;
      readonly sentUs: number;
    }
  /**
   * The first three are the probe's; `heldUs` from its arrival to this answer; what came over the path at the answerer; when the
   * probe came, us of the answerer's clock modulo 2^32, null where it does not say.
   */
  | {
      readonly kind: 'pathAnswer';
      readonly path: number;
      readonly sequence: number;
      readonly sentUs: number;
      readonly heldUs: number;
      readonly datagrams: number;
      readonly bytes: number;
      readonly arrivedUs: number | null;
    };

/** Bytes of a message, as the plaintext of a transport message. A probe is filled up to `length` bytes. */
export function encodeControlMessage(message: ControlMessage, length = 0): Uint8Array {
  const body = encodeBody(message);
  const needed = CONTROL_HEADER_LENGTH + body.length;
  const bytes = new Uint8Array(Math.max(needed, length)).fill(PATTERN, needed);
  const view = new DataView(bytes.buffer);
  writeControlHeader(view, 0, KIND_OF[message.kind], body.length);
  bytes.set(body, CONTROL_HEADER_LENGTH);
  return bytes;
}

/**
 * Whether a plaintext that is no IP packet may be a control message of whatever version, and how long it is without its
 * padding; 0 if it is none. Cheap: a lane asks it before it hands anything over.
 */
export function controlMessageLength(view: DataView, offset: number, plaintextLength: number): number {
  if (plaintextLength < CONTROL_HEADER_LENGTH) return 0;
  const version = view.getUint8(offset);
  const length = CONTROL_HEADER_LENGTH + view.getUint16(offset + 2);
  return version >= 1 && version <= 15 && length <= Math.min(plaintextLength, CONTROL_LENGTH_MAX) ? length : 0;
}

/** Reads a message, with or without its padding; null for a kind or a version that is not known, or one that is malformed. */
export function decodeControlMessage(bytes: Uint8Array): ControlMessage | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = controlBodyLength(view, 0, bytes.length);
  const kind = length < 0 ? 0 : view.getUint8(1);
  const least = BODY_LENGTH_MIN[kind] ?? 0;
  if (least === 0 || length < least) return null;
  return decodeBody(kind, new DataView(bytes.buffer, bytes.byteOffset + CONTROL_HEADER_LENGTH, length));
}

function decodeBody(kind: number, body: DataView): ControlMessage | null {
  const first = body.getUint32(0);
  switch (kind) {
    case CONTROL_KIND.ANNOUNCE:
      return { kind: 'announce', capabilities: first, heard: (body.getUint8(4) & 1) !== 0 };
    case CONTROL_KIND.PROBE:
      return decodeProbe(first, body.getUint16(4), body.getUint16(6));
    case CONTROL_KIND.ASK:
      return { kind: 'ask', round: first };
    case CONTROL_KIND.ARRIVED:
      return decodeArrived(first, body);
    case CONTROL_KIND.RECEIVED:
      return decodeReceived(first, readUint53(body, 4), readUint53(body, 12));
    case CONTROL_KIND.PATH_PROBE:
      return decodePathProbe(body);
    case CONTROL_KIND.PATH_ANSWER:
      return decodePathAnswer(body);
    default:
      return null;
  }
}

function decodeProbe(round: number, number: number, total: number): ControlMessage | null {
  return total <= PROBE_DATAGRAMS_MAX && number < total ? { kind: 'probe', round, number, total } : null;
}

function decodeArrived(round: number, body: DataView): ControlMessage | null {
  const length = body.byteLength - ARRIVED_HEADER_LENGTH;
  if (length > PROBE_DATAGRAMS_MAX / 8) return null;
  const bits = new Uint8Array(body.buffer, body.byteOffset + ARRIVED_HEADER_LENGTH, length);
  return { kind: 'arrived', round, bits: Uint8Array.from(bits) };
}

function decodeReceived(index: number, newest: number, count: number): ControlMessage | null {
  return count >= 0 && count <= newest ? { kind: 'received', index, newest, count } : null;
}

function decodePathProbe(body: DataView): ControlMessage | null {
  const carriesData = (body.getUint8(1) & 1) !== 0;
  const sentUs = readUint53(body, 6);
  return sentUs < 0
    ? null
    : { kind: 'pathProbe', path: body.getUint8(0), carriesData, sequence: body.getUint32(2), sentUs };
}

function decodePathAnswer(body: DataView): ControlMessage | null {
  const [sentUs, datagrams, bytes] = [readUint53(body, 6), readUint53(body, 18), readUint53(body, 26)];
  if (sentUs < 0 || datagrams < 0 || bytes < 0) return null;
  const probe = { path: body.getUint8(0), sequence: body.getUint32(2), sentUs };
  const arrivedUs = body.byteLength >= TIMED_ANSWER_LENGTH ? body.getUint32(34) : null;
  return { kind: 'pathAnswer', ...probe, heldUs: body.getUint32(14), datagrams, bytes, arrivedUs };
}

const KIND_OF: Readonly<Record<ControlMessage['kind'], number>> = {
  announce: CONTROL_KIND.ANNOUNCE,
  probe: CONTROL_KIND.PROBE,
  ask: CONTROL_KIND.ASK,
  arrived: CONTROL_KIND.ARRIVED,
  received: CONTROL_KIND.RECEIVED,
  pathProbe: CONTROL_KIND.PATH_PROBE,
  pathAnswer: CONTROL_KIND.PATH_ANSWER,
};

function encodeBody(message: ControlMessage): Uint8Array {
  const kind = KIND_OF[message.kind];
  const bitsLength = message.kind === 'arrived' ? message.bits.length : 0;
  const isTimed = message.kind === 'pathAnswer' && message.arrivedUs !== null;
  const length = isTimed ? TIMED_ANSWER_LENGTH : ARRIVED_HEADER_LENGTH + bitsLength;
  const body = new Uint8Array(Math.max(BODY_LENGTH_MIN[kind], length));
  const view = new DataView(body.buffer);
  switch (message.kind) {
    case 'announce':
      view.setUint32(0, message.capabilities);
      view.setUint8(4, message.heard ? 1 : 0);
      return body;
    case 'probe':
      view.setUint32(0, message.round);
      view.setUint16(4, message.number);
      view.setUint16(6, message.total);
      return body;
    case 'ask':
      view.setUint32(0, message.round);
      return body;
    case 'arrived':
      view.setUint32(0, message.round);
      body.set(message.bits, ARRIVED_HEADER_LENGTH);
      return body;
    case 'received':
      view.setUint32(0, message.index);
      writeUint53(view, 4, message.newest);
      writeUint53(view, 12, message.count);
      return body;
    case 'pathProbe':
      view.setUint8(0, message.path);
      view.setUint8(1, message.carriesData ? 1 : 0);
      view.setUint32(2, message.sequence);
      writeUint53(view, 6, message.sentUs);
      return body;
    case 'pathAnswer':
      view.setUint8(0, message.path);
      view.setUint32(2, message.sequence);
      writeUint53(view, 6, message.sentUs);
      view.setUint32(14, message.heldUs);
      writeUint53(view, 18, message.datagrams);
      writeUint53(view, 26, message.bytes);
      if (message.arrivedUs !== null) view.setUint32(34, message.arrivedUs);
      return body;
  }
}
