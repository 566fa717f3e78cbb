// Numbers of 130 bits are five limbs of 26, so that sums of products of two fit 64 bits with room for carries.
#include "poly1305.h"

#include "eight.h"

enum { LIMBS = 5, LIMB_BITS = 26, LIMB_MASK = (1 << LIMB_BITS) - 1 };

// 16 bytes as limbs, with 2^128 added where it is a block.
static void to_limbs(const uint8_t *bytes, uint32_t top, uint32_t *limbs) {
  limbs[0] = load_word(bytes) & LIMB_MASK;
  limbs[1] = load_word(bytes + 3) >> 2 & LIMB_MASK;
  limbs[2] = load_word(bytes + 6) >> 4 & LIMB_MASK;
  limbs[3] = load_word(bytes + 9) >> 6;
  limbs[4] = load_word(bytes + 12) >> 8 | top;
}

// Moves what exceeds each limb to the next; what exceeds 2^130 comes back five times, for 2^130 = 5 modulo the prime.
static void carry(uint64_t *sums, uint32_t *limbs) {
  uint64_t over = 0;
  for (int i = 0; i < LIMBS; i++) {
    sums[i] += over;
    limbs[i] = (uint32_t)sums[i] & LIMB_MASK;
    over = sums[i] >> LIMB_BITS;
  }
  over = limbs[0] + over * 5;
  limbs[0] = (uint32_t)over & LIMB_MASK;
  limbs[1] += (uint32_t)(over >> LIMB_BITS);
}

static void multiply(uint32_t *h, const uint32_t *r) {
  uint64_t sums[LIMBS] = {0};
  for (int i = 0; i < LIMBS; i++) {
    for (int j = 0; j < LIMBS; j++) {
      uint32_t factor = i + j < LIMBS ? r[j] : 5 * r[j];
      sums[(i + j) % LIMBS] += (uint64_t)h[i] * factor;
    }
  }
  carry(sums, h);
}

// h modulo the prime, which is h or what is left of h + 5 - 2^130; in a time that does not tell which.
static void reduce(uint32_t *h) {
  uint64_t sums[LIMBS] = {h[0], h[1], h[2], h[3], h[4]};
  uint32_t less[LIMBS], over = 5;
  carry(sums, h);
  for (int i = 0; i < LIMBS; i++) sums[i] = h[i];
  carry(sums, h);
  for (int i = 0; i < LIMBS; i++) {
    over += h[i];
    less[i] = over & LIMB_MASK;
    over >>= LIMB_BITS;
  }
  uint32_t mask = 0 - over;
  for (int i = 0; i < LIMBS; i++) h[i] = (h[i] & ~mask) | (less[i] & mask);
}

static void finish(const uint32_t *h, const uint8_t *addend, uint8_t *tag) {
  const uint32_t words[4] = {h[0] | h[1] << 26, h[1] >> 6 | h[2] << 20, h[2] >> 12 | h[3] << 14, h[3] >> 18 | h[4] << 8};
  uint64_t sum = 0;
  for (int i = 0; i < 4; i++) {
    sum += (uint64_t)words[i] + load_word(addend + 4 * i);
    store_word(tag + 4 * i, (uint32_t)sum);
    sum >>= 32;
  }
}

void poly1305_tag(const uint8_t key[POLY1305_KEY_LENGTH], const uint8_t *blocks, size_t count,
                  uint8_t tag[POLY1305_TAG_LENGTH]) {
  // Section 2.5.1: bits of r that are cleared.
  static const uint8_t clamp[16] = {255, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15};
  uint8_t clamped[16];
  uint32_t r[LIMBS], h[LIMBS] = {0}, block[LIMBS];
  for (int i = 0; i < 16; i++) clamped[i] = key[i] & clamp[i];
  to_limbs(clamped, 0, r);
  for (size_t at = 0; at < count; at++) {
    to_limbs(blocks + at * POLY1305_BLOCK_LENGTH, 1 << 24, block);
    for (int i = 0; i < LIMBS; i++) h[i] += block[i];
    multiply(h, r);
  }
  reduce(h);
  finish(h, key + 16, tag);
}
