#include "blake2s.h"

enum { BLOCK_LENGTH = 64, BLOCK_WORDS = 16, STATE_WORDS = 8, ROUNDS = 10 };

// RFC 7693, section 2.6.
static const uint32_t iv[STATE_WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// RFC 7693, section 2.7.
static const uint8_t sigma[ROUNDS][BLOCK_WORDS] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

// The mixing function G (section 3.1).
EIGHT_INLINE void mix(eight *v, int a, int b, int c, int d, const eight *x, const eight *y) {
  v[a] += v[b] + *x;
  v[d] ^= v[a];
  rotate_left(v + d, 16);
  v[c] += v[d];
  v[b] ^= v[c];
  rotate_left(v + b, 20);
  v[a] += v[b] + *y;
  v[d] ^= v[a];
  rotate_left(v + d, 24);
  v[c] += v[d];
  v[b] ^= v[c];
  rotate_left(v + b, 25);
}

EIGHT_INLINE void round_of(eight *v, const eight *block, const uint8_t *order) {
  mix(v, 0, 4, 8, 12, block + order[0], block + order[1]);
  mix(v, 1, 5, 9, 13, block + order[2], block + order[3]);
  mix(v, 2, 6, 10, 14, block + order[4], block + order[5]);
  mix(v, 3, 7, 11, 15, block + order[6], block + order[7]);
  mix(v, 0, 5, 10, 15, block + order[8], block + order[9]);
  mix(v, 1, 6, 11, 12, block + order[10], block + order[11]);
  mix(v, 2, 7, 8, 13, block + order[12], block + order[13]);
  mix(v, 3, 4, 9, 14, block + order[14], block + order[15]);
}

// The compression function F (section 3.2). `count`: bytes hashed so far, these included; below 2^32.
EIGHT_INLINE void compress(eight *state, const eight *block, uint32_t count, bool is_last) {
  eight v[2 * STATE_WORDS] = {{0}};
  for (int i = 0; i < STATE_WORDS; i++) {
    v[i] = state[i];
    v[STATE_WORDS + i] = (eight){0} + iv[i];
  }
  v[12] ^= count;
  if (is_last) v[14] = ~v[14];
  for (int i = 0; i < ROUNDS; i++) round_of(v, block, sigma[i]);
  for (int i = 0; i < STATE_WORDS; i++) state[i] ^= v[i] ^ v[STATE_WORDS + i];
}

// Takes `length` bytes (1 to 64) at `offset` of each input; what they lack to a block is zeros.
EIGHT_INLINE void load(eight *block, const uint8_t *const *inputs, size_t offset, size_t length) {
  uint32_t words[BLOCK_WORDS][EIGHT];
  for (int lane = 0; lane < EIGHT; lane++) {
    uint8_t rest[BLOCK_LENGTH] = {0};
    const uint8_t *from = inputs[lane] + offset;
    if (length < BLOCK_LENGTH) from = memcpy(rest, from, length);
    for (int word = 0; word < BLOCK_WORDS; word++) words[word][lane] = load_word(from + 4 * word);
  }
  memcpy(block, words, sizeof words);
}

EIGHT_INLINE void mac_eight(struct blake2s_eight *e, size_t key_length, size_t length) {
  eight state[STATE_WORDS], block[BLOCK_WORDS];
  for (int i = 0; i < STATE_WORDS; i++) state[i] = (eight){0} + iv[i];
  // Section 2.5: one tree of depth one, the lengths of key and digest.
  state[0] ^= 0x01010000u ^ (uint32_t)key_length << 8 ^ BLAKE2S_MAC_LENGTH;
  load(block, e->keys, 0, key_length);
  compress(state, block, BLOCK_LENGTH, false);
  size_t done = 0;
  for (; length - done > BLOCK_LENGTH; done += BLOCK_LENGTH) {
    load(block, e->inputs, done, BLOCK_LENGTH);
    compress(state, block, (uint32_t)(BLOCK_LENGTH + done + BLOCK_LENGTH), false);
  }
  load(block, e->inputs, done, length - done);
  compress(state, block, (uint32_t)(BLOCK_LENGTH + length), true);
  for (int lane = 0; lane < EIGHT; lane++) {
    for (int word = 0; word < BLAKE2S_MAC_LENGTH / 4; word++) store_word(e->macs[lane] + 4 * word, state[word][lane]);
  }
}

static void mac_eight_portable(struct blake2s_eight *e, size_t key_length, size_t length) {
  mac_eight(e, key_length, length);
}

#ifdef EIGHT_HAS_AVX2
__attribute__((target("avx2"))) static void mac_eight_avx2(struct blake2s_eight *e, size_t key_length, size_t length) {
  mac_eight(e, key_length, length);
}

bool blake2s_has(enum blake2s_way way) {
  return way == BLAKE2S_PORTABLE || (way == BLAKE2S_AVX2 && __builtin_cpu_supports("avx2"));
}
#else
#define mac_eight_avx2 mac_eight_portable

bool blake2s_has(enum blake2s_way way) { return way == BLAKE2S_PORTABLE; }
#endif

void blake2s_mac_eight_by(enum blake2s_way way, struct blake2s_eight *e, size_t key_length, size_t length) {
  if (way == BLAKE2S_AVX2) mac_eight_avx2(e, key_length, length);
  else mac_eight_portable(e, key_length, length);
}

void blake2s_mac_eight(struct blake2s_eight *e, size_t key_length, size_t length) {
  blake2s_mac_eight_by(blake2s_has(BLAKE2S_AVX2) ? BLAKE2S_AVX2 : BLAKE2S_PORTABLE, e, key_length, length);
}
