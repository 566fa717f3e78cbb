/** The internet checksum as RFC 1071 tells it: word by word, each carry brought round at once. */

/** Ones' complement sum of big-endian 16-bit words (an odd last byte is followed by a zero), 0 to 65,535. */
export function onesSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += bytes[at] * 256 + (at + 1 < bytes.length ? bytes[at + 1] : 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** What belongs in a checksum field. 0 is written as 0xffff, its twin: UDP keeps 0 for "none" (RFC 768). */
export function checksumField(bytes: Uint8Array): number {
  const field = 0xffff - onesSum(bytes);
  return field === 0 ? 0xffff : field;
}

/** Whether bytes that hold their own checksum sum up to a zero of ones' complement. */
export function sumsToZero(bytes: Uint8Array): boolean {
  return onesSum(bytes) === 0xffff;
}
