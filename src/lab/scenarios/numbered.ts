/**
 * What the packets of a numbered stream say, in their first bytes, little-endian: mark, number, time of sending (CLOCK_MONOTONIC
 * ms, which all processes of a machine share). The rest is zeros. A number of END_NUMBER ends the stream and tells how many there were.
 */
const MARK = 0x4754_4e53;
const NUMBER = 4;
const TIME = 8;

/** Shortest packet of a stream, bytes of UDP payload. */
export const NUMBERED_LENGTH_MIN = 20;
/** Packets of a stream are numbered from 0 to below this. */
export const NUMBERS_MAX = 4_000_000;
export const END_NUMBER = 0xffff_ffff;
const COUNT = 16;

/** What came of a stream, as its receiver saw it. */
export interface StreamFigures {
  readonly sent: number;
  readonly received: number;
  /** Packets that came again. */
  readonly duplicates: number;
  /** Packets that came after a later one. */
  readonly late: number;
  /** One-way times of the packets that came, ms. */
  readonly latencyMs: { readonly least: number; readonly p50: number; readonly p99: number; readonly most: number };
  /** Longest time without any packet between the first and the last, ms. */
  readonly longestGapMs: number;
  /** How many in a row were lost, at most. */
  readonly longestLoss: number;
}

export function writeNumbered(packet: Buffer, number: number, nowMs: number, count = 0): void {
  packet.writeUInt32LE(MARK, 0);
  packet.writeUInt32LE(number, NUMBER);
  packet.writeDoubleLE(nowMs, TIME);
  packet.writeUInt32LE(count, COUNT);
}

/** Number of a packet, or -1 if it is none of a stream. */
export function numberOf(packet: Buffer): number {
  return packet.length >= NUMBERED_LENGTH_MIN && packet.readUInt32LE(0) === MARK ? packet.readUInt32LE(NUMBER) : -1;
}

export function sentMsOf(packet: Buffer): number {
  return packet.readDoubleLE(TIME);
}

/** Of the packet that ends a stream. */
export function countOf(packet: Buffer): number {
  return packet.readUInt32LE(COUNT);
}
