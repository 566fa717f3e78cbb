/**
 * Control messages between two gigatuns. Each is the plaintext of a transport message, so it is authentic, and it is no
 * IP packet: its first nibble is 0, so a peer that is not gigatun drops it. Numbers on the wire are big-endian, as in
 * the inner packets that they travel among:
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
 *
 * A body may be longer than its kind needs (later versions add fields); a kind or a version that is not known is skipped.
 */

/** Capability bits of an announcement. */
export const CAPABILITY = { PROBES: 1, RECEIVED: 2 } as const;

/** Datagrams in one probe round, and bits in one answer. */
export const PROBE_DATAGRAMS_MAX = 512;
/** Header and body of the longest control message. */
export const CONTROL_LENGTH_MAX = 1_024;
export const CONTROL_HEADER_LENGTH = 4;

const VERSION = 1;
const KIND = { ANNOUNCE: 1, PROBE: 2, ASK: 3, ARRIVED: 4, RECEIVED: 5 } as const;
/** Shortest body of each kind, by its number. */
const BODY_LENGTH_MIN: readonly number[] = [0, 5, 8, 4, 5, 20];
/** What fills a probe up to its length. */
const PATTERN = 0xa5;
const ARRIVED_HEADER_LENGTH = 4;
const COUNTER_MAX = Number.MAX_SAFE_INTEGER;

export type ControlMessage =
  | { readonly kind: 'announce'; readonly capabilities: number; readonly heard: boolean }
  | { readonly kind: 'probe'; readonly round: number; readonly number: number; readonly total: number }
  | { readonly kind: 'ask'; readonly round: number }
  /** `bits`: number n arrived if bit n % 8 of byte n / 8 is set. */
  | { readonly kind: 'arrived'; readonly round: number; readonly bits: Uint8Array }
  | { readonly kind: 'received'; readonly index: number; readonly newest: number; readonly count: number };

/** Bytes of a message, as the plaintext of a transport message. A probe is filled up to `length` bytes. */
export function encodeControlMessage(message: ControlMessage, length = 0): Uint8Array {
  const body = encodeBody(message);
  const needed = CONTROL_HEADER_LENGTH + body.length;
  const bytes = new Uint8Array(Math.max(needed, length)).fill(PATTERN, needed);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, KIND_OF[message.kind]);
  view.setUint16(2, body.length);
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
  if (bytes.length < CONTROL_HEADER_LENGTH || view.getUint8(0) !== VERSION) return null;
  const kind = view.getUint8(1);
  const length = view.getUint16(2);
  const least = BODY_LENGTH_MIN[kind] ?? 0;
  if (least === 0 || length < least || length > bytes.length - CONTROL_HEADER_LENGTH) return null;
  return decodeBody(kind, new DataView(bytes.buffer, bytes.byteOffset + CONTROL_HEADER_LENGTH, length));
}

function decodeBody(kind: number, body: DataView): ControlMessage | null {
  const first = body.getUint32(0);
  switch (kind) {
    case KIND.ANNOUNCE:
      return { kind: 'announce', capabilities: first, heard: (body.getUint8(4) & 1) !== 0 };
    case KIND.PROBE:
      return decodeProbe(first, body.getUint16(4), body.getUint16(6));
    case KIND.ASK:
      return { kind: 'ask', round: first };
    case KIND.ARRIVED:
      return decodeArrived(first, body);
    case KIND.RECEIVED:
      return decodeReceived(first, Number(body.getBigUint64(4)), Number(body.getBigUint64(12)));
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
  return newest <= COUNTER_MAX && count <= newest ? { kind: 'received', index, newest, count } : null;
}

const KIND_OF: Readonly<Record<ControlMessage['kind'], number>> = {
  announce: KIND.ANNOUNCE,
  probe: KIND.PROBE,
  ask: KIND.ASK,
  arrived: KIND.ARRIVED,
  received: KIND.RECEIVED,
};

function encodeBody(message: ControlMessage): Uint8Array {
  const kind = KIND_OF[message.kind];
  const bitsLength = message.kind === 'arrived' ? message.bits.length : 0;
  const body = new Uint8Array(Math.max(BODY_LENGTH_MIN[kind], ARRIVED_HEADER_LENGTH + bitsLength));
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
      view.setBigUint64(4, BigInt(message.newest));
      view.setBigUint64(12, BigInt(message.count));
      return body;
  }
}
