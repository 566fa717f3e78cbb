#include "chacha.h"

#include <stdbool.h>

#include "keys.h"

enum { DOUBLE_ROUNDS = 10, KEY_WORD = 4, NONCE_WORD = 12 };

// 'expand 32-byte k' (RFC 8439, section 2.3).
static const uint32_t constants[KEY_WORD] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

EIGHT_INLINE void quarter_round(eight *v, int a, int b, int c, int d) {
  v[a] += v[b];
  v[d] ^= v[a];
  rotate_left(v + d, 16);
  v[c] += v[d];
  v[b] ^= v[c];
  rotate_left(v + b, 12);
  v[a] += v[b];
  v[d] ^= v[a];
  rotate_left(v + d, 8);
  v[c] += v[d];
  v[b] ^= v[c];
  rotate_left(v + b, 7);
}

// The rounds alone: their input is not added.
EIGHT_INLINE void rounds(eight *v) {
  for (int i = 0; i < DOUBLE_ROUNDS; i++) {
    for (int column = 0; column < 4; column++) quarter_round(v, column, column + 4, column + 8, column + 12);
    quarter_round(v, 0, 5, 10, 15);
    quarter_round(v, 1, 6, 11, 12);
    quarter_round(v, 2, 7, 8, 13);
    quarter_round(v, 3, 4, 9, 14);
  }
}

EIGHT_INLINE void begin(eight *v, const uint32_t *key, const uint32_t (*nonces)[CHACHA_NONCE_WORDS]) {
  for (int i = 0; i < KEY_WORD; i++) v[i] = (eight){0} + constants[i];
  for (int i = 0; i < CHACHA_KEY_WORDS; i++) v[KEY_WORD + i] = (eight){0} + key[i];
  for (int i = 0; i < CHACHA_NONCE_WORDS; i++) {
    for (int lane = 0; lane < EIGHT; lane++) v[NONCE_WORD + i][lane] = nonces[lane][i];
  }
}

EIGHT_INLINE void make_eight(const uint32_t *key, const uint32_t (*nonces)[CHACHA_NONCE_WORDS],
                             uint32_t (*blocks)[CHACHA_BLOCK_WORDS]) {
  eight input[CHACHA_BLOCK_WORDS], v[CHACHA_BLOCK_WORDS];
  begin(input, key, nonces);
  memcpy(v, input, sizeof v);
  rounds(v);
  for (int i = 0; i < CHACHA_BLOCK_WORDS; i++) {
    v[i] += input[i];
    for (int lane = 0; lane < EIGHT; lane++) blocks[lane][i] = v[i][lane];
  }
}

static void make_eight_portable(const uint32_t *key, const uint32_t (*nonces)[CHACHA_NONCE_WORDS],
                                uint32_t (*blocks)[CHACHA_BLOCK_WORDS]) {
  make_eight(key, nonces, blocks);
}

#ifdef EIGHT_HAS_AVX2
__attribute__((target("avx2"))) static void make_eight_avx2(const uint32_t *key,
                                                            const uint32_t (*nonces)[CHACHA_NONCE_WORDS],
                                                            uint32_t (*blocks)[CHACHA_BLOCK_WORDS]) {
  make_eight(key, nonces, blocks);
}

static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#else
#define make_eight_avx2 make_eight_portable

static bool has_avx2(void) { return false; }
#endif

void chacha_eight(const uint32_t key[CHACHA_KEY_WORDS], const uint32_t nonces[EIGHT][CHACHA_NONCE_WORDS],
                  uint32_t blocks[EIGHT][CHACHA_BLOCK_WORDS]) {
  if (has_avx2()) make_eight_avx2(key, nonces, blocks);
  else make_eight_portable(key, nonces, blocks);
}

// First and last row of what the rounds leave: a block less its input.
void chacha_subkey(const uint8_t key[CHACHA_KEY_LENGTH], const uint32_t nonce[CHACHA_NONCE_WORDS],
                   uint32_t subkey[CHACHA_KEY_WORDS]) {
  uint32_t words[CHACHA_KEY_WORDS], nonces[EIGHT][CHACHA_NONCE_WORDS] = {{0}}, blocks[EIGHT][CHACHA_BLOCK_WORDS];
  for (int i = 0; i < CHACHA_KEY_WORDS; i++) words[i] = load_word(key + 4 * i);
  memcpy(nonces[0], nonce, sizeof nonces[0]);
  chacha_eight(words, nonces, blocks);
  for (int i = 0; i < KEY_WORD; i++) {
    subkey[i] = blocks[0][i] - constants[i];
    subkey[KEY_WORD + i] = blocks[0][NONCE_WORD + i] - nonce[i];
  }
  secret_zero(words, sizeof words);
  secret_zero(blocks, sizeof blocks);
}
