#include "galois.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Products of one coefficient with the lower and with the upper half of a byte: multiplication is linear, so the product of
// a byte is the sum of one of each. Both fit a register, which byte shuffles look up 16 or 32 at a time (Plank, Greenan,
// Miller: Screaming Fast Galois Field Arithmetic Using Intel SIMD Instructions, FAST 2013).
struct products {
  uint8_t low[16], high[16];
};

static void products_of(uint8_t coefficient, struct products *products) {
  uint8_t powers[8]; // the coefficient times x^bit
  unsigned power = coefficient;
  for (int bit = 0; bit < 8; bit++) {
    powers[bit] = (uint8_t)power;
    power = power << 1 ^ (power & 0x80 ? 0x11d : 0);
  }
  products->low[0] = products->high[0] = 0;
  for (unsigned half = 1; half < 16; half++) {
    unsigned rest = half & (half - 1), bit = (unsigned)__builtin_ctz(half);
    products->low[half] = products->low[rest] ^ powers[bit];
    products->high[half] = products->high[rest] ^ powers[bit + 4];
  }
}

static inline __attribute__((always_inline)) void add_bytes(uint8_t *restrict out, const uint8_t *restrict in,
                                                            size_t length) {
  for (size_t i = 0; i < length; i++) out[i] ^= in[i];
}

static void add_products(const struct products *products, uint8_t *restrict out, const uint8_t *restrict in,
                         size_t length) {
  for (size_t i = 0; i < length; i++) out[i] ^= products->low[in[i] & 15] ^ products->high[in[i] >> 4];
}

static void accumulate_portable(uint8_t *out, const uint8_t *in, size_t length, uint8_t coefficient) {
  struct products products;
  if (coefficient == 1) {
    add_bytes(out, in, length);
    return;
  }
  products_of(coefficient, &products);
  add_products(&products, out, in, length);
}

#if defined(__x86_64__)
__attribute__((target("ssse3"))) static void accumulate_ssse3(uint8_t *out, const uint8_t *in, size_t length,
                                                              uint8_t coefficient) {
  struct products products;
  if (coefficient == 1) {
    add_bytes(out, in, length);
    return;
  }
  products_of(coefficient, &products);
  const __m128i low = _mm_loadu_si128((const __m128i *)products.low);
  const __m128i high = _mm_loadu_si128((const __m128i *)products.high);
  const __m128i half = _mm_set1_epi8(15);
  size_t i = 0;
  for (; i + 16 <= length; i += 16) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(in + i));
    __m128i lows = _mm_shuffle_epi8(low, _mm_and_si128(bytes, half));
    __m128i highs = _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi64(bytes, 4), half));
    __m128i sum = _mm_loadu_si128((const __m128i *)(out + i));
    _mm_storeu_si128((__m128i *)(out + i), _mm_xor_si128(sum, _mm_xor_si128(lows, highs)));
  }
  add_products(&products, out + i, in + i, length - i);
}

__attribute__((target("avx2"))) static void accumulate_avx2(uint8_t *out, const uint8_t *in, size_t length,
                                                            uint8_t coefficient) {
  struct products products;
  if (coefficient == 1) {
    add_bytes(out, in, length);
    return;
  }
  products_of(coefficient, &products);
  const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)products.low));
  const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)products.high));
  const __m256i half = _mm256_set1_epi8(15);
  size_t i = 0;
  for (; i + 32 <= length; i += 32) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(in + i));
    __m256i lows = _mm256_shuffle_epi8(low, _mm256_and_si256(bytes, half));
    __m256i highs = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi64(bytes, 4), half));
    __m256i sum = _mm256_loadu_si256((const __m256i *)(out + i));
    _mm256_storeu_si256((__m256i *)(out + i), _mm256_xor_si256(sum, _mm256_xor_si256(lows, highs)));
  }
  add_products(&products, out + i, in + i, length - i);
}

// Asked at run time without an ifunc, which musl lacks.
bool galois_has(enum galois_way way) {
  if (way == GALOIS_SSSE3) return __builtin_cpu_supports("ssse3");
  if (way == GALOIS_AVX2) return __builtin_cpu_supports("avx2");
  return way == GALOIS_PORTABLE;
}

void galois_accumulate_by(enum galois_way way, uint8_t *out, const uint8_t *in, size_t length, uint8_t coefficient) {
  if (coefficient == 0) return;
  if (way == GALOIS_AVX2) accumulate_avx2(out, in, length, coefficient);
  else if (way == GALOIS_SSSE3) accumulate_ssse3(out, in, length, coefficient);
  else accumulate_portable(out, in, length, coefficient);
}
#else
bool galois_has(enum galois_way way) { return way == GALOIS_PORTABLE; }

void galois_accumulate_by(enum galois_way way, uint8_t *out, const uint8_t *in, size_t length, uint8_t coefficient) {
  (void)way;
  if (coefficient != 0) accumulate_portable(out, in, length, coefficient);
}
#endif

void galois_accumulate(uint8_t *out, const uint8_t *in, size_t length, uint8_t coefficient) {
  enum galois_way way = galois_has(GALOIS_AVX2) ? GALOIS_AVX2 : galois_has(GALOIS_SSSE3) ? GALOIS_SSSE3 : GALOIS_PORTABLE;
  galois_accumulate_by(way, out, in, length, coefficient);
}
