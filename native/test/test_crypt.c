// Seal and unseal of batches with the deferring double: gathering, checksums, padding, refusals, and bad messages.
#include <string.h>

#include "../core/checksum.h"
#include "check.h"
#include "fixture.h"

// Messages alternate between two slots with a key of each cipher; the third slot is empty.
enum { SLOT_CHACHA = 3, SLOT_AES = 4, SLOT_EMPTY = 5 };
enum { COUNT = 9, COLUMN = 0, HEADS = 8192, PAYLOADS = 16384, OUT = 65536, STRIDE = 2048 };

static void put_seals(struct lane *lane) {
  for (uint32_t i = 0; i < COUNT; i++) {
    uint32_t payload = i * 157, padded = (40 + payload + 15) & ~15u;
    const uint32_t d[] = {SLOT_CHACHA + i % 2, i, 0x80000000u, HEADS, 40, PAYLOADS + i, payload, padded,
                           OUT + i * STRIDE, i % 3 == 2 ? UINT32_MAX : 20, 36, 0x1f00 + i};
    put_words(lane, COLUMN + i * SEAL_WORDS * 4, d, SEAL_WORDS);
  }
}

static void put_unseals(struct lane *lane) {
  for (uint32_t i = 0; i < COUNT; i++) {
    uint32_t padded = (40 + i * 157 + 15) & ~15u;
    const uint32_t d[] = {SLOT_CHACHA + i % 2, i, 0x80000000u, OUT + i * STRIDE, padded + TAG_LENGTH, 5, 5, 5};
    put_words(lane, COLUMN + i * UNSEAL_WORDS * 4, d, UNSEAL_WORDS);
  }
}

static void check_packet(struct lane *lane, uint32_t i) {
  uint8_t *packet = lane->arena.base + OUT + i * STRIDE, expected[STRIDE] = {0};
  uint32_t length = 40 + i * 157, padded = (length + 15) & ~15u;
  memcpy(expected, lane->arena.base + HEADS, 40);
  memcpy(expected + 40, lane->arena.base + PAYLOADS + i, i * 157);
  if (i % 3 != 2) {
    uint16_t field = checksum_field(checksum_sum(expected + 20, length - 20), 0x1f00 + i);
    expected[36] = (uint8_t)(field >> 8);
    expected[37] = (uint8_t)field;
  }
  CHECK_EQUAL(memcmp(packet, expected, padded), 0);
  CHECK_EQUAL(get_word(lane, COLUMN + i * UNSEAL_WORDS * 4, UNSEAL_RESULT), padded);
  CHECK_EQUAL(get_word(lane, COLUMN + i * UNSEAL_WORDS * 4, UNSEAL_SUM), checksum_sum(expected, padded));
}

// The double puts the outer bytes of the counter into the tag.
static void check_nonce(struct lane *lane, uint32_t i) {
  const uint8_t *tag = lane->arena.base + OUT + i * STRIDE + ((40 + i * 157 + 15) & ~15u);
  bool reversed = i % 2 == 1;
  CHECK_EQUAL(tag[1], reversed ? 0x80 : i);
  CHECK_EQUAL(tag[2], reversed ? i : 0x80);
}

static void test_round_trip(struct lane *lane) {
  struct fault fault;
  unsigned deferred = deferred_jobs;
  put_seals(lane);
  CHECK_EQUAL(lane_seal(lane, (const uint32_t[]){COLUMN, COUNT}, &fault), 0);
  for (uint32_t i = 0; i < COUNT; i++) check_nonce(lane, i);
  put_unseals(lane);
  CHECK_EQUAL(lane_unseal(lane, (const uint32_t[]){COLUMN, COUNT}, &fault), COUNT);
  for (uint32_t i = 0; i < COUNT; i++) check_packet(lane, i);
  CHECK_EQUAL(deferred_jobs - deferred, COUNT);
}

// Two bad tags (one finished at once, one later) and an empty slot: told one by one, and bad plaintext is zeroed.
static void test_bad_messages(struct lane *lane) {
  struct fault fault;
  put_seals(lane);
  CHECK_EQUAL(lane_seal(lane, (const uint32_t[]){COLUMN, COUNT}, &fault), 0);
  put_unseals(lane);
  lane->arena.base[OUT + 2 * STRIDE] ^= 1;
  lane->arena.base[OUT + 3 * STRIDE + 40 + 3 * 157] ^= 0x80;
  put_words(lane, COLUMN + 4 * UNSEAL_WORDS * 4, (const uint32_t[]){SLOT_EMPTY}, 1);
  CHECK_EQUAL(lane_unseal(lane, (const uint32_t[]){COLUMN, COUNT}, &fault), COUNT - 3);
  for (uint32_t i = 0; i < COUNT; i++) {
    bool bad = i >= 2 && i <= 4;
    CHECK_EQUAL((int)get_word(lane, COLUMN + i * UNSEAL_WORDS * 4, UNSEAL_RESULT) == -1, bad);
    if (bad) CHECK_EQUAL(get_word(lane, COLUMN + i * UNSEAL_WORDS * 4, UNSEAL_SUM), 0);
    else check_packet(lane, i);
  }
  for (uint32_t k = 0; k < 320; k++) CHECK_EQUAL(lane->arena.base[OUT + 2 * STRIDE + k], 0);
}

static void refuse_seal(struct lane *lane, uint32_t column, uint32_t value) {
  struct fault fault;
  uint8_t before[64];
  put_seals(lane);
  put_words(lane, COLUMN + ((COUNT - 2) * SEAL_WORDS + column) * 4, &value, 1);
  memcpy(before, lane->arena.base + OUT, sizeof before);
  CHECK_EQUAL(lane_seal(lane, (const uint32_t[]){COLUMN, COUNT}, &fault), -1);
  CHECK_EQUAL(fault.kind, FAULT_RANGE);
  CHECK_EQUAL(memcmp(before, lane->arena.base + OUT, sizeof before), 0);
}

static void test_refusals(struct lane *lane) {
  struct fault fault;
  const uint32_t wild[] = {ARENA_LENGTH, ARENA_LENGTH + 1, INT32_MAX, 0x80000000u, UINT32_MAX};
  for (size_t i = 0; i < 5; i++) {
    refuse_seal(lane, SEAL_KEY_SLOT, wild[i]);
    refuse_seal(lane, SEAL_HEAD_OFFSET, wild[i]);
    refuse_seal(lane, SEAL_HEAD_LENGTH, wild[i]);
    refuse_seal(lane, SEAL_PAYLOAD_OFFSET, wild[i]);
    refuse_seal(lane, SEAL_PAYLOAD_LENGTH, wild[i]);
    refuse_seal(lane, SEAL_PADDED_LENGTH, wild[i]);
    refuse_seal(lane, SEAL_OUT_OFFSET, wild[i]);
    refuse_seal(lane, SEAL_CHECKSUM_FIELD, wild[i]);
    if (wild[i] != UINT32_MAX) refuse_seal(lane, SEAL_CHECKSUM_START, wild[i]);
    if (wild[i] > INT32_MAX) refuse_seal(lane, SEAL_CHECKSUM_SEED, wild[i]);
  }
  refuse_seal(lane, SEAL_KEY_SLOT, SLOT_EMPTY);
  refuse_seal(lane, SEAL_CHECKSUM_FIELD, 40 + 7 * 157 - 1);
  refuse_seal(lane, SEAL_PADDED_LENGTH, 40 + 7 * 157 - 1);
  refuse_seal(lane, SEAL_OUT_OFFSET, HEADS + 39);
  refuse_seal(lane, SEAL_OUT_OFFSET, PAYLOADS - 100);
  put_unseals(lane);
  put_words(lane, COLUMN + 7 * 32 + UNSEAL_LENGTH * 4, (const uint32_t[]){15}, 1);
  CHECK_EQUAL(lane_unseal(lane, (const uint32_t[]){COLUMN, COUNT}, &fault), -1);
  put_words(lane, COLUMN + 7 * 32 + UNSEAL_OFFSET * 4, (const uint32_t[]){ARENA_LENGTH - 15, 16}, 2);
  CHECK_EQUAL(lane_unseal(lane, (const uint32_t[]){COLUMN, COUNT}, &fault), -1);
}

void test_crypt(void) {
  struct fixture f = fixture_open();
  struct fault fault;
  const uint8_t key[KEY_LENGTH] = {0x5a};
  fill(f.lane->arena.base, ARENA_LENGTH, 6);
  CHECK_EQUAL(lane_set_key(f.lane, SLOT_AES, CIPHER_CHACHA20_POLY1305, key, &fault), 0);
  CHECK_EQUAL(lane_set_key(f.lane, SLOT_CHACHA, CIPHER_CHACHA20_POLY1305, key, &fault), 0);
  CHECK_EQUAL(lane_set_key(f.lane, SLOT_AES, CIPHER_AES_256_GCM, key, &fault), 0);
  CHECK_EQUAL(derived_keys, 2);
  CHECK_EQUAL(lane_set_key(f.lane, KEY_SLOTS, CIPHER_AES_256_GCM, key, &fault), -1);
  CHECK_EQUAL(lane_set_key(f.lane, SLOT_AES, CIPHER_COUNT, key, &fault), -1);
  CHECK_EQUAL(lane_clear_key(f.lane, KEY_SLOTS, &fault), -1);
  test_round_trip(f.lane);
  test_bad_messages(f.lane);
  test_refusals(f.lane);
  CHECK_EQUAL(lane_clear_key(f.lane, SLOT_CHACHA, &fault), 0);
  CHECK_EQUAL(lane_clear_key(f.lane, SLOT_CHACHA, &fault), 0);
  CHECK_EQUAL(lane_clear_key(f.lane, SLOT_EMPTY, &fault), 0);
  CHECK_EQUAL(derived_keys, 1);
  put_seals(f.lane);
  CHECK_EQUAL(lane_seal(f.lane, (const uint32_t[]){COLUMN, COUNT}, &fault), -1);
  fixture_close(&f);
  CHECK_EQUAL(derived_keys, 0);
}
