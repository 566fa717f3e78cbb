/**
 * What all control messages between two gigatuns begin with, and their numbers: read and written in place, in whatever
 * memory they lie, without allocating, so that lanes can do it too. `control-message.ts` says what they are.
 */

/** Bytes before the body: version, kind, length of the body. */
export const CONTROL_HEADER_LENGTH = 4;
/** Of the header; another version's messages are skipped. */
export const CONTROL_VERSION = 1;

/** Kinds of control messages. The lane takes GAPS and what follows itself; the others are the control lane's. */
export const CONTROL_KIND = {
  ANNOUNCE: 1,
  PROBE: 2,
  ASK: 3,
  ARRIVED: 4,
  RECEIVED: 5,
  PATH_PROBE: 6,
  PATH_ANSWER: 7,
  GAPS: 8,
  TAIL: 9,
  PARITY: 10,
  GONE: 11,
} as const;

const TWO_32 = 2 ** 32;
/** Numbers of 64 bits are believed below 2^53. */
const HIGH_MAX = 2 ** 21 - 1;

/** Kind of the control message at `offset`, of which at least CONTROL_HEADER_LENGTH bytes are there; 0 for another version's. */
export function controlKind(view: DataView, offset: number): number {
  return view.getUint8(offset) === CONTROL_VERSION ? view.getUint8(offset + 1) : 0;
}

/**
 * Length of the body of the control message at `offset`, of whatever kind and however long; -1 if it does not fit in the
 * plaintext, or is of another version.
 */
export function controlBodyLength(view: DataView, offset: number, plaintextLength: number): number {
  if (plaintextLength < CONTROL_HEADER_LENGTH || view.getUint8(offset) !== CONTROL_VERSION) return -1;
  const length = view.getUint16(offset + 2);
  return length <= plaintextLength - CONTROL_HEADER_LENGTH ? length : -1;
}

/** Writes the header at `offset`. */
export function writeControlHeader(view: DataView, offset: number, kind: number, bodyLength: number): void {
  view.setUint8(offset, CONTROL_VERSION);
  view.setUint8(offset + 1, kind);
  view.setUint16(offset + 2, bodyLength);
}

/** A number of 64 bits, big-endian; -1 if it is not below 2^53. */
export function readUint53(view: DataView, offset: number): number {
  const high = view.getUint32(offset);
  return high > HIGH_MAX ? -1 : high * TWO_32 + view.getUint32(offset + 4);
}

/** Writes a whole number from 0 to 2^53 - 1 as 64 bits, big-endian. */
export function writeUint53(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / TWO_32));
  view.setUint32(offset + 4, value % TWO_32);
}
