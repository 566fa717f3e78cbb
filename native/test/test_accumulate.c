// Accumulating over GF(256): every way against a product taken bit by bit, and what the verb refuses.
#include <string.h>

#include "../core/galois.h"
#include "check.h"
#include "fixture.h"

static uint8_t slow_product(uint8_t a, uint8_t b) {
  unsigned product = 0;
  for (int bit = 0; bit < 8; bit++) product ^= b >> bit & 1 ? (unsigned)a << bit : 0;
  for (int bit = 14; bit >= 8; bit--) product ^= product >> bit & 1 ? 0x11du << (bit - 8) : 0;
  return (uint8_t)product;
}

static void check_way(enum galois_way way, size_t length, size_t shift, uint8_t coefficient) {
  // Blocks of exactly their length, so that every byte beyond is seen.
  uint8_t *in = malloc(length + shift + 1), *out = malloc(length + 1), *expected = malloc(length + 1);
  fill(in, length + shift, (uint32_t)(length * 31 + coefficient));
  fill(out, length, (uint32_t)length + 7);
  for (size_t i = 0; i < length; i++) expected[i] = out[i] ^ slow_product(coefficient, in[shift + i]);
  galois_accumulate_by(way, out, in + shift, length, coefficient);
  CHECK_EQUAL(memcmp(out, expected, length), 0);
  free(in);
  free(out);
  free(expected);
}

static void test_ways(void) {
  CHECK_EQUAL(slow_product(2, 0x80), 0x1d);
  CHECK(galois_has(GALOIS_PORTABLE) && !galois_has(GALOIS_WAYS));
  for (enum galois_way way = GALOIS_PORTABLE; way < GALOIS_WAYS; way++) {
    if (!galois_has(way)) continue;
    for (unsigned coefficient = 0; coefficient < 256; coefficient++) check_way(way, 257, 0, (uint8_t)coefficient);
    for (size_t length = 0; length < 1500; length += length < 140 ? 1 : 131) {
      for (size_t shift = 0; shift < 4; shift++) check_way(way, length, shift, (uint8_t)(length * 7 + shift));
    }
  }
}

enum { COLUMN = 64, IN = 4096, OUT = 8192, LENGTH = 1400 };

static int accumulate_one(struct lane *lane, uint32_t in, uint32_t out, uint32_t length, uint32_t coefficient) {
  struct fault fault;
  put_words(lane, COLUMN, (const uint32_t[]){in, out, length, coefficient}, ACCUMULATE_WORDS);
  int result = lane_accumulate(lane, (const uint32_t[]){COLUMN, 1}, &fault);
  if (result < 0) CHECK_EQUAL(fault.kind, FAULT_RANGE);
  return result;
}

static void test_refusals(struct lane *lane) {
  struct fault fault;
  uint8_t *out = lane->arena.base + OUT, before[LENGTH];
  fill(out, LENGTH, 3);
  memcpy(before, out, LENGTH);
  CHECK_EQUAL(accumulate_one(lane, ARENA_LENGTH - 10, OUT, 11, 1), -1);
  CHECK_EQUAL(accumulate_one(lane, OUT, ARENA_LENGTH - 10, 11, 1), -1);
  CHECK_EQUAL(accumulate_one(lane, UINT32_MAX, OUT, 11, 1), -1);
  CHECK_EQUAL(accumulate_one(lane, IN, OUT, UINT32_MAX, 1), -1);
  CHECK_EQUAL(accumulate_one(lane, OUT, OUT, 1, 1), -1);
  CHECK_EQUAL(accumulate_one(lane, OUT + 9, OUT, 10, 1), -1);
  CHECK_EQUAL(accumulate_one(lane, OUT, OUT + 9, 10, 1), -1);
  CHECK_EQUAL(accumulate_one(lane, IN, OUT, LENGTH, 256), -1);
  // One that is wrong keeps those before it from being done.
  put_words(lane, COLUMN, (const uint32_t[]){IN, OUT, LENGTH, 3, IN, OUT, LENGTH, 256}, 2 * ACCUMULATE_WORDS);
  CHECK_EQUAL(lane_accumulate(lane, (const uint32_t[]){COLUMN, 2}, &fault), -1);
  CHECK_EQUAL(memcmp(out, before, LENGTH), 0);
  CHECK_EQUAL(accumulate_one(lane, ARENA_LENGTH, 0, 0, 0), 0);
  CHECK_EQUAL(accumulate_one(lane, OUT + 10, OUT, 10, 1), 0);
}

static void test_sums(struct lane *lane) {
  struct fault fault;
  uint8_t *in = lane->arena.base + IN, *out = lane->arena.base + OUT, expected[LENGTH];
  fill(in, 2 * LENGTH, 1);
  fill(out, LENGTH, 2);
  for (size_t i = 0; i < LENGTH; i++) {
    expected[i] = out[i] ^ slow_product(77, in[i]);
    if (i < 100) expected[i] ^= in[LENGTH + i];
  }
  put_words(lane, COLUMN, (const uint32_t[]){IN, OUT, LENGTH, 77, IN + LENGTH, OUT, 100, 1}, 2 * ACCUMULATE_WORDS);
  CHECK_EQUAL(lane_accumulate(lane, (const uint32_t[]){COLUMN, 2}, &fault), 0);
  CHECK_EQUAL(memcmp(out, expected, LENGTH), 0);
}

void test_accumulate(void) {
  struct fixture fixture = fixture_open();
  test_ways();
  test_refusals(fixture.lane);
  test_sums(fixture.lane);
  fixture_close(&fixture);
}
