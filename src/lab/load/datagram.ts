/**
 * What the load's datagrams say, in their first bytes, as little-endian words: mark, kind, step, sequence. A step is one part of a
 * run with numbers of its own. Acknowledgements hold the receiver's view of the step instead. The rest of a datagram is zeros.
 */

/** Tells our datagrams from whatever else comes to the port. */
const MARK = 0x4754_4c44;

export const KIND = {
  /** Counted. */
  DATA: 1,
  /** Counted and acknowledged. */
  WINDOWED: 2,
  ACK: 3,
  /** The run is over. */
  END: 4,
} as const;

/** Shortest datagram of a load, bytes. */
export const DATAGRAM_LENGTH_MIN = 16;
export const ACK_LENGTH = 20;

export function writeDatagram(view: DataView, at: number, kind: number, step: number, sequence: number): void {
  view.setUint32(at, MARK, true);
  view.setUint32(at + 4, kind, true);
  view.setUint32(at + 8, step, true);
  view.setUint32(at + 12, sequence, true);
}

/** `next`: one more than the highest sequence that came; `received`: how many came. */
export function writeAck(view: DataView, at: number, step: number, next: number, received: number): void {
  writeDatagram(view, at, KIND.ACK, step, next);
  view.setUint32(at + 16, received, true);
}

/** Kind of the datagram at `at`, or 0 if it is none of ours. */
export function kindOf(view: DataView, at: number, length: number): number {
  if (length < DATAGRAM_LENGTH_MIN || view.getUint32(at, true) !== MARK) return 0;
  const kind = view.getUint32(at + 4, true);
  return kind === KIND.ACK && length < ACK_LENGTH ? 0 : kind;
}

export function stepOf(view: DataView, at: number): number {
  return view.getUint32(at + 8, true);
}

/** Of an acknowledgement: its `next`. */
export function sequenceOf(view: DataView, at: number): number {
  return view.getUint32(at + 12, true);
}

export function receivedOf(view: DataView, at: number): number {
  return view.getUint32(at + 16, true);
}
