/**
 * Losses by the replay window alone, for lanes that share a peer: none of them sees all of its counters, but the window does.
 * A counter that the window leaves behind unseen is lost.
 */
const BLOCK_BITS = 64;
const BLOCKS = 128;
const WORDS_MASK = 2 * BLOCKS - 1;

/**
 * Counters that are left behind unseen when `counter` becomes the newest; to be asked before the window takes it.
 *
 * @param window of the keypair (replay-window.ts), locked
 * @param expected the newest counter so far + 1
 * @param counter at least `expected`
 */
export function lostBehind(window: Int32Array, expected: number, counter: number): number {
  const newest = Math.floor((expected - 1) / BLOCK_BITS);
  const block = Math.floor(counter / BLOCK_BITS);
  if (block === newest) return 0;
  const last = Math.min(newest, block - BLOCKS);
  let lost = Math.max(0, block - BLOCKS - newest) * BLOCK_BITS;
  for (let leaving = Math.max(0, newest - BLOCKS + 1); leaving <= last; leaving += 1) {
    const word = (leaving * 2) & WORDS_MASK;
    lost += BLOCK_BITS - onesIn(window[word]) - onesIn(window[word + 1]);
  }
  return lost;
}

function onesIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
