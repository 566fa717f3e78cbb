/**
 * Where the words of an allowed-IPs table stand, for its builder and its look-ups. Word 0 is the branch to the first
 * node. Most prefixes end as singles, which are kept as small as they can be: what a look-up costs in a large table is the
 * memory that it has to fetch.
 *
 *     branch   a leaf, ~(peer + 1), which is negative: -1 for no peer; or the offset of a node or single, times two, and
 *              1 if it is a single
 *     node     key words (1 or 4) | SHAPE | MISS | branches; starts at a multiple of NODE_ALIGN words, so that the header
 *              of none lies across two cache lines
 *     single   key words (1 or 2) | peer << 8, prefix length: one prefix, of at most 64 bits, that nothing covers
 *
 * SHAPE packs what a look-up does at a node: bits 0 to 7 say how many leading bits of the key must match (else it ends
 * with MISS), bits 8 to 12 the shift and bits 13 to 30 the mask that make the number of the branch of an address word.
 */

export const NO_PEER = -1;

/** Words behind the key. */
export const SHAPE = 0;
export const MISS = 1;
export const HEADER_TAIL_WORDS = 2;

export const LENGTH_MASK = 0xff;
export const SHIFT_AT = 8;
export const MASK_AT = 13;
/** Bits that a node branches on at most: MASK has so many. */
export const STRIDE_MAX = 18;

export const NODE_ALIGN = 4;

/** Longest prefix that may be a single. */
export const SINGLE_LENGTH_MAX = 64;
/** Where the peer starts in the last word of a single. */
export const SINGLE_PEER_AT = 8;

/** Branch that ends a look-up with a peer, or with NO_PEER. */
export function leafOf(peer: number): number {
  return ~(peer + 1);
}
