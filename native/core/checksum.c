#include "checksum.h"

#include <string.h>

// Ones' complement addition does not care about byte order (RFC 1071, 2 (B)): words are summed as they lie, 32 bits
// at a time into 64, which compilers vectorise, and the folded result is swapped once.
static inline __attribute__((always_inline)) uint64_t sum_words(const uint8_t *bytes, size_t length) {
  uint64_t sum = 0;
  size_t words = length / 4;
  for (size_t i = 0; i < words; i++) {
    uint32_t word;
    memcpy(&word, bytes + i * 4, sizeof word);
    sum += word;
  }
  uint32_t rest = 0;
  memcpy(&rest, bytes + words * 4, length % 4);
  return sum + rest;
}

#if defined(__x86_64__)
// Half the time of the SSE2 that every x86-64 has. Asked at run time without an ifunc, which musl lacks.
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *bytes, size_t length) {
  return sum_words(bytes, length);
}

static uint64_t sum_native(const uint8_t *bytes, size_t length) {
  return __builtin_cpu_supports("avx2") ? sum_avx2(bytes, length) : sum_words(bytes, length);
}
#else
static uint64_t sum_native(const uint8_t *bytes, size_t length) { return sum_words(bytes, length); }
#endif

static uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffffu) + (sum >> 32);
  sum = (sum & 0xffffffffu) + (sum >> 32);
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  return (uint16_t)sum;
}

static uint16_t big_endian(uint16_t value) {
  uint8_t bytes[2];
  memcpy(bytes, &value, sizeof bytes);
  return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint16_t checksum_sum(const uint8_t *bytes, size_t length) { return big_endian(fold(sum_native(bytes, length))); }

uint16_t checksum_field(uint16_t sum, uint32_t seed) {
  uint16_t field = (uint16_t)~fold((uint64_t)sum + seed);
  return field == 0 ? 0xffff : field;
}
