// Handshake messages: every way of eight MACs against the portable one and a known answer, and what the verbs refuse. That
// they are right is held against libraries in test/native/handshakes.test.ts.
#include <string.h>

#include "../core/blake2s.h"
#include "../core/poly1305.h"
#include "check.h"
#include "fixture.h"

enum { COLUMN = 64, KEYS = 4096, SOURCE = 8192, MESSAGE = 12288, REPLY = 16384, INITIATION = 148, REPLY_BYTES = 64 };

static void test_ways(void) {
  struct blake2s_eight one, other;
  for (size_t length = 1; length < 300; length += 1 + length / 7) {
    uint8_t *inputs = malloc(EIGHT * length), *keys = malloc((size_t)EIGHT * KEY_LENGTH);
    fill(inputs, EIGHT * length, (uint32_t)length);
    fill(keys, (size_t)EIGHT * KEY_LENGTH, 5);
    for (size_t i = 0; i < EIGHT; i++) {
      one.keys[i] = keys + i * KEY_LENGTH;
      one.inputs[i] = inputs + i * length;
    }
    other = one;
    blake2s_mac_eight_by(BLAKE2S_PORTABLE, &one, 1 + length % KEY_LENGTH, length);
    for (enum blake2s_way way = BLAKE2S_PORTABLE; way < BLAKE2S_WAYS; way++) {
      if (!blake2s_has(way)) continue;
      blake2s_mac_eight_by(way, &other, 1 + length % KEY_LENGTH, length);
      CHECK_EQUAL(memcmp(one.macs, other.macs, sizeof one.macs), 0);
    }
    free(inputs);
    free(keys);
  }
}

// RFC 8439, appendix A.3, test vectors 7 to 11: the edge of the prime.
static void test_poly1305(void) {
  uint8_t key[POLY1305_KEY_LENGTH] = {2}, blocks[48], tag[POLY1305_TAG_LENGTH], expected[POLY1305_TAG_LENGTH] = {3};
  memset(blocks, 255, 16);
  poly1305_tag(key, blocks, 1, tag);
  CHECK_EQUAL(memcmp(tag, expected, sizeof tag), 0);
  memset(key + 16, 255, 16);
  memset(blocks, 0, 16);
  blocks[0] = 2;
  poly1305_tag(key, blocks, 1, tag);
  CHECK_EQUAL(memcmp(tag, expected, sizeof tag), 0);
  memset(key, 0, sizeof key);
  key[0] = 1;
  memset(blocks, 255, 32);
  memset(blocks + 32, 0, 16);
  blocks[16] = 0xf0;
  blocks[32] = 0x11;
  expected[0] = 5;
  poly1305_tag(key, blocks, 3, tag);
  CHECK_EQUAL(memcmp(tag, expected, sizeof tag), 0);
  memset(blocks + 16, 254, 16);
  memset(blocks + 32, 1, 16);
  blocks[16] = 0xfb;
  expected[0] = 0;
  poly1305_tag(key, blocks, 3, tag);
  CHECK_EQUAL(memcmp(tag, expected, sizeof tag), 0);
  key[0] = 2;
  memset(blocks, 255, 16);
  blocks[0] = 0xfd;
  memset(expected, 255, sizeof expected);
  expected[0] = 0xfa;
  poly1305_tag(key, blocks, 1, tag);
  CHECK_EQUAL(memcmp(tag, expected, sizeof tag), 0);
}

static int run(int (*verb)(struct lane *, const uint32_t *, struct fault *), struct lane *lane, const uint32_t *row,
               uint32_t keys) {
  struct fault fault;
  put_words(lane, COLUMN, row, HANDSHAKE_WORDS);
  int result = verb(lane, (const uint32_t[]){COLUMN, 1, keys}, &fault);
  if (result < 0) CHECK_EQUAL(fault.kind, FAULT_RANGE);
  return result;
}

static void test_refusals(struct lane *lane) {
  const uint32_t keys_last = ARENA_LENGTH - HANDSHAKE_KEYS_WORDS * 4;
  const uint32_t good[] = {ARENA_LENGTH - INITIATION, INITIATION, ARENA_LENGTH - ENDPOINT_WORDS * 4, REPLY, 9};
  const uint32_t bad[][HANDSHAKE_WORDS] = {
      {ARENA_LENGTH - INITIATION + 1, INITIATION, SOURCE, REPLY}, {MESSAGE, 64, SOURCE, REPLY},
      {MESSAGE, UINT32_MAX, SOURCE, REPLY},                       {UINT32_MAX, INITIATION, SOURCE, REPLY},
      {MESSAGE, INITIATION, UINT32_MAX, REPLY},                   {MESSAGE, 92, ARENA_LENGTH - ENDPOINT_WORDS * 4 + 1, REPLY},
  };
  CHECK_EQUAL(run(lane_check_macs, lane, good, keys_last), 0);
  CHECK_EQUAL(run(lane_check_macs, lane, good, keys_last + 1), -1);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_EQUAL(run(lane_check_macs, lane, bad[i], KEYS), -1);
    CHECK_EQUAL(run(lane_seal_cookies, lane, bad[i], KEYS), -1);
  }
  CHECK_EQUAL(run(lane_seal_cookies, lane, (const uint32_t[]){MESSAGE, 92, SOURCE, ARENA_LENGTH - 63, 0}, KEYS), -1);
  CHECK_EQUAL(run(lane_seal_cookies, lane, (const uint32_t[]){MESSAGE, 92, SOURCE, ARENA_LENGTH - 64, 0}, KEYS), 0);
}

// Each reply has a nonce of its own, and so is another.
static void test_replies(struct lane *lane) {
  const uint32_t row[] = {MESSAGE, INITIATION, SOURCE, REPLY, 0};
  uint8_t first[REPLY_BYTES];
  fill(lane->arena.base + KEYS, HANDSHAKE_KEYS_WORDS * 4, 1);
  fill(lane->arena.base + MESSAGE, INITIATION, 2);
  memset(lane->arena.base + SOURCE, 0, ENDPOINT_WORDS * 4);
  uint32_t count = get_word(lane, KEYS + 4 * HANDSHAKE_KEYS_NONCE + 16, 0);
  CHECK_EQUAL(run(lane_seal_cookies, lane, row, KEYS), 0);
  memcpy(first, lane->arena.base + REPLY, sizeof first);
  CHECK_EQUAL(first[0], 3);
  CHECK_EQUAL(memcmp(first + 4, lane->arena.base + MESSAGE + 4, 4), 0);
  CHECK_EQUAL(get_word(lane, KEYS + 4 * HANDSHAKE_KEYS_NONCE + 16, 0), count + 1);
  CHECK_EQUAL(run(lane_seal_cookies, lane, row, KEYS), 0);
  CHECK(memcmp(first + 32, lane->arena.base + REPLY + 32, 32) != 0);
}

void test_handshake(void) {
  struct fixture fixture = fixture_open();
  memset(fixture.lane->arena.base, 0, ARENA_LENGTH);
  test_ways();
  test_poly1305();
  test_refusals(fixture.lane);
  test_replies(fixture.lane);
  fixture_close(&fixture);
}
