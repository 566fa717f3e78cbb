// Arithmetic on eight 32-bit words side by side: the compiler makes of it what the machine has, from two SSE2 registers to
// one of AVX2. Vectors are passed by address, for by value they have no settled ABI without AVX.
#ifndef GIGATUN_EIGHT_H
#define GIGATUN_EIGHT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum { EIGHT = 8 };

typedef uint32_t eight __attribute__((vector_size(4 * EIGHT)));

#define EIGHT_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define EIGHT_HAS_AVX2 1
#endif

EIGHT_INLINE uint32_t load_word(const uint8_t *bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  return le32toh(word);
}

EIGHT_INLINE void store_word(uint8_t *bytes, uint32_t word) {
  word = htole32(word);
  memcpy(bytes, &word, sizeof word);
}

EIGHT_INLINE void rotate_left(eight *words, int bits) { *words = *words << bits | *words >> (32 - bits); }

#endif
