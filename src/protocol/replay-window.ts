/**
 * The replay window of RFC 6479: which transport counters of a keypair were received. It is asked once for each
 * authentic message, so it works on shared memory, with integers, and allocates nothing.
 *
 * The window is a ring of 128 blocks of 64 bits. The newest counter lies in the last block; moving forward clears whole
 * blocks, so that 127 of them, 8,128 counters behind the newest one, are always remembered. The caller holds the lock
 * of the keypair and has already checked the message's tag.
 */

const BLOCK_BITS_LOG = 6;
const BLOCK_MASK = 63;
const WORDS_PER_BLOCK = 2;
const BLOCKS = 128;
/** Block numbers are compared within the low 32 bits of a counter. */
const BLOCK_NUMBER_MASK = 0x03ff_ffff;

/** Length of one window in 32-bit words: 8,192 bits. */
export const REPLAY_WINDOW_WORDS: number = BLOCKS * WORDS_PER_BLOCK;
/** A counter further than this behind the newest one is too old. */
export const REPLAY_WINDOW_USABLE = 8_128;

/** The counter was not seen before, and is now marked. */
export const REPLAY_NEW = 0;
/** The counter was seen before. */
export const REPLAY_DUPLICATE = 1;
/** The counter lies behind the window; whether it was seen is unknown. */
export const REPLAY_TOO_OLD = 2;

/**
 * Says whether a transport counter is new, and marks it if so.
 *
 * @param window REPLAY_WINDOW_WORDS words; what they hold before the first counter does not matter
 * @param newest `newest[newestIndex]` is the highest counter seen plus one, 0 before the first; written here
 * @param counter whole number, 0 to 2^53 - 2
 */
export function acceptCounter(
  window: Int32Array,
  newest: Float64Array,
  newestIndex: number,
  counter: number,
): 0 | 1 | 2 {
  const expected = newest[newestIndex];
  const low = counter | 0;
  if (counter >= expected) {
    // The usual case is the very next counter, within the block of the one before.
    if (counter !== expected || (low & BLOCK_MASK) === 0) advance(window, expected, counter);
    newest[newestIndex] = counter + 1;
  } else if (expected - 1 - counter > REPLAY_WINDOW_USABLE) {
    return REPLAY_TOO_OLD;
  }
  const word = (low >>> 5) & (REPLAY_WINDOW_WORDS - 1);
  const bit = 1 << (low & 31);
  const bits = window[word];
  if ((bits & bit) !== 0) return REPLAY_DUPLICATE;
  window[word] = bits | bit;
  return REPLAY_NEW;
}

/**
 * Marks the `count` counters that follow the highest one seen, which are all new: what `acceptCounter` does for each of them.
 *
 * @param count 1 to REPLAY_WINDOW_USABLE
 */
export function acceptNext(window: Int32Array, newest: Float64Array, newestIndex: number, count: number): void {
  const expected = newest[newestIndex];
  advance(window, expected, expected + count - 1);
  let low = expected | 0;
  for (let left = count; left > 0; ) {
    const start = low & 31;
    const bits = Math.min(32 - start, left);
    window[(low >>> 5) & (REPLAY_WINDOW_WORDS - 1)] |= (bits === 32 ? -1 : (1 << bits) - 1) << start;
    low = (low + bits) | 0;
    left -= bits;
  }
  newest[newestIndex] = expected + count;
}

/** Clears the blocks behind that of the newest counter up to that of `counter`. */
function advance(window: Int32Array, expected: number, counter: number): void {
  if (counter - expected >= BLOCKS << BLOCK_BITS_LOG) {
    window.fill(0);
    return;
  }
  const newestBlock = (expected - 1) >>> BLOCK_BITS_LOG;
  const steps = ((counter >>> BLOCK_BITS_LOG) - newestBlock) & BLOCK_NUMBER_MASK;
  for (let step = 1; step <= steps; step++) {
    const word = ((newestBlock + step) & (BLOCKS - 1)) * WORDS_PER_BLOCK;
    window[word] = 0;
    window[word + 1] = 0;
  }
}
