/*
 * Integers in network order and the internet checksum (RFC 1071). Sums are ones' complement sums of native-order words:
 * they may be added, folded and stored without a swap of bytes (RFC 1071, section 2 B).
 */
#ifndef FLOOR_BYTES_H
#define FLOOR_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_be16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t load_be32(const uint8_t *at) {
  return (uint32_t)load_be16(at) << 16 | load_be16(at + 2);
}

static inline void store_be16(uint8_t *at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static inline void store_be32(uint8_t *at, uint32_t value) {
  store_be16(at, value >> 16);
  store_be16(at + 2, value);
}

static inline void store_sum(uint8_t *at, uint16_t folded) {
  memcpy(at, &folded, sizeof folded);
}

/* The last one to three bytes of a range, as words in memory order with zeros behind. */
static inline uint64_t sum_tail(const uint8_t *bytes, size_t length) {
  uint32_t word = 0;
  memcpy(&word, bytes, length);
  return word;
}

/*
 * Sum of `length` bytes. The loop over 32-bit words with a 64-bit sum is what compilers turn into vector code; inlined into
 * a larger function, gcc 12 left it scalar, at 20 times the cost.
 */
static __attribute__((noinline, unused)) uint64_t sum_of(const uint8_t *bytes, size_t length) {
  size_t words = length / 4;
  uint64_t sum = 0;
  for (size_t i = 0; i < words; i++) {
    uint32_t word;
    memcpy(&word, bytes + 4 * i, 4);
    sum += word;
  }
  return sum + sum_tail(bytes + 4 * words, length % 4);
}

static inline uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

#endif
