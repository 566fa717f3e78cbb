/**
 * TAI64N timestamps of initiations (paper, section 5.1): they must grow per peer, so that an initiation cannot be
 * replayed. Nanoseconds lose their lower 24 bits, so that they tell little about the sender's clock.
 */
import { TIMESTAMP_LENGTH } from './constants.ts';

/** TAI64's label of the epoch is 2^62 + 10, in two words: TAI was 10 s ahead of UTC then. */
const EPOCH_HIGH = 0x4000_0000;
const EPOCH_LOW = 10;
const WHITENED_BITS = 0x00ff_ffff;
const WHITENED_STEP_NS = WHITENED_BITS + 1;

/**
 * A timestamp for a time.
 *
 * @param realMs milliseconds since the epoch, 0 or more, with fractions
 * @returns 12 new bytes, big-endian
 */
export function encodeTimestamp(realMs: number): Uint8Array {
  const seconds = Math.floor(realMs / 1000);
  const nanoseconds = Math.floor((realMs - seconds * 1000) * 1e6);
  return encode(seconds, nanoseconds & ~WHITENED_BITS);
}

/** A timestamp for a time that is also later than `last`: a clock that was set back does not stop our handshakes. */
export function nextTimestamp(realMs: number, last: Uint8Array | null): Uint8Array {
  const timestamp = encodeTimestamp(realMs);
  if (last === null || compareTimestamps(timestamp, last) > 0) return timestamp;
  const view = new DataView(last.buffer, last.byteOffset, TIMESTAMP_LENGTH);
  const seconds = (view.getUint32(0) - EPOCH_HIGH) * 2 ** 32 + view.getUint32(4) - EPOCH_LOW;
  const nanoseconds = view.getUint32(8) + WHITENED_STEP_NS;
  return nanoseconds < 1e9 ? encode(seconds, nanoseconds) : encode(seconds + 1, 0);
}

/** Negative, zero or positive as `a` is before, equal to or after `b`; 12 bytes each. */
export function compareTimestamps(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

function encode(seconds: number, nanoseconds: number): Uint8Array {
  const bytes = new Uint8Array(TIMESTAMP_LENGTH);
  const view = new DataView(bytes.buffer);
  const label = seconds + EPOCH_LOW;
  view.setUint32(0, EPOCH_HIGH + Math.floor(label / 2 ** 32));
  view.setUint32(4, label % 2 ** 32);
  view.setUint32(8, nanoseconds);
  return bytes;
}
