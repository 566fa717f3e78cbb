// What a flood of handshake messages asks of a lane, a batch at a time: MACs checked (paper, section 5.4.4) and cookie
// replies made (5.4.7). Keys lie in the arena; which message is worth what is decided elsewhere.
#include <sys/param.h>

#include "blake2s.h"
#include "chacha.h"
#include "keys.h"
#include "lane.h"
#include "poly1305.h"

enum {
  INITIATION_LENGTH = 148,
  RESPONSE_LENGTH = 92,
  REPLY_LENGTH = 64,
  SENDER_OFFSET = 4,
  REPLY_TYPE = 3,
  REPLY_NONCE = 8,
  REPLY_COOKIE = 32,
  MAC_LENGTH = BLAKE2S_MAC_LENGTH,
  KEYS_BYTES = HANDSHAKE_KEYS_WORDS * 4,
  // Family, port, and 16 bytes of address: what a cookie is bound to.
  SOURCE_BYTES = 24,
};

// A batch whose descriptors have been checked, and a copy of its keys.
struct work {
  struct lane *lane;
  const uint32_t *descriptors;
  uint32_t column, count; // where the descriptors lie in the arena
  uint8_t keys[KEYS_BYTES];
};

// Up to eight messages side by side.
struct group {
  struct blake2s_eight macs;
  uint32_t at[EIGHT], count;
};

static const uint8_t *key_of(const struct work *work, uint32_t word) { return work->keys + 4 * word; }

static const uint32_t *descriptor_of(const struct work *work, uint32_t at) {
  return work->descriptors + at * HANDSHAKE_WORDS;
}

static uint8_t *message_of(const struct work *work, uint32_t at) {
  return work->lane->arena.base + descriptor_of(work, at)[HANDSHAKE_OFFSET];
}

static int check(const struct arena *arena, const uint32_t *d, bool seals, struct fault *fault) {
  uint32_t length = d[HANDSHAKE_LENGTH];
  if (length != INITIATION_LENGTH && length != RESPONSE_LENGTH) {
    return fault_range(fault, "an initiation has 148 bytes, a response 92");
  }
  if (!arena_holds(arena, d[HANDSHAKE_OFFSET], length)) return fault_range(fault, "a message lies outside the arena");
  if (!arena_holds(arena, d[HANDSHAKE_ENDPOINT_OFFSET], ENDPOINT_WORDS * 4)) {
    return fault_range(fault, "an endpoint lies outside the arena");
  }
  if (seals && !arena_holds(arena, d[HANDSHAKE_OUT_OFFSET], REPLY_LENGTH)) {
    return fault_range(fault, "a reply lies outside the arena");
  }
  return 0;
}

// descriptors, count, keys
static int begin(struct lane *lane, const uint32_t *arguments, bool seals, struct work *work, struct fault *fault) {
  const struct arena *arena = &lane->arena;
  *work = (struct work){.lane = lane, .descriptors = lane->batch, .column = arguments[0], .count = arguments[1]};
  if (arena_load(arena, arguments[0], work->count, HANDSHAKE_WORDS, lane->batch, fault) < 0) return -1;
  if (!arena_holds(arena, arguments[2], KEYS_BYTES)) return fault_range(fault, "the keys lie outside the arena");
  for (uint32_t i = 0; i < work->count; i++) {
    if (check(arena, descriptor_of(work, i), seals, fault) < 0) return -1;
  }
  memcpy(work->keys, arena->base + arguments[2], KEYS_BYTES);
  return 0;
}

// Family, port and address of where a message came from; what an IPv4 address lacks to 16 bytes is zeros.
static void source_of(const struct work *work, uint32_t at, uint8_t *source) {
  uint32_t endpoint[ENDPOINT_WORDS], words[SOURCE_BYTES / 4] = {0};
  memcpy(endpoint, work->lane->arena.base + descriptor_of(work, at)[HANDSHAKE_ENDPOINT_OFFSET], sizeof endpoint);
  words[0] = endpoint[ENDPOINT_FAMILY];
  words[1] = endpoint[ENDPOINT_PORT];
  memcpy(words + 2, endpoint + ENDPOINT_ADDRESS, endpoint[ENDPOINT_FAMILY] == 4 ? 4 : 16);
  memcpy(source, words, SOURCE_BYTES);
}

static void make_cookies(const struct work *work, const struct group *group, uint8_t (*cookies)[MAC_LENGTH]) {
  uint8_t sources[EIGHT][SOURCE_BYTES] = {{0}};
  struct blake2s_eight macs;
  for (uint32_t i = 0; i < group->count; i++) source_of(work, group->at[i], sources[i]);
  for (int i = 0; i < EIGHT; i++) {
    macs.keys[i] = key_of(work, HANDSHAKE_KEYS_SECRET);
    macs.inputs[i] = sources[i];
  }
  blake2s_mac_eight(&macs, KEY_LENGTH, SOURCE_BYTES);
  memcpy(cookies, macs.macs, sizeof macs.macs);
}

// In a time that does not tell where they differ.
static bool is_same(const uint8_t *one, const uint8_t *other) {
  unsigned difference = 0;
  for (int i = 0; i < MAC_LENGTH; i++) difference |= one[i] ^ other[i];
  return difference == 0;
}

static bool bears_mac2(const uint8_t *mac2) {
  static const uint8_t none[MAC_LENGTH];
  return memcmp(mac2, none, MAC_LENGTH) != 0;
}

// Lanes of a group that are not in use do the first one's work again.
static void fill_up(struct group *group) {
  for (uint32_t i = group->count; i < EIGHT; i++) {
    group->macs.keys[i] = group->macs.keys[0];
    group->macs.inputs[i] = group->macs.inputs[0];
  }
}

static void set_result(const struct work *work, uint32_t at, uint32_t result) {
  arena_store(&work->lane->arena, work->column + (at * HANDSHAKE_WORDS + HANDSHAKE_RESULT) * 4, result);
}

static void finish_mac2(const struct work *work, struct group *group, size_t length) {
  uint8_t cookies[EIGHT][MAC_LENGTH];
  if (group->count == 0) return;
  make_cookies(work, group, cookies);
  for (uint32_t i = 0; i < group->count; i++) {
    group->macs.keys[i] = cookies[i];
    group->macs.inputs[i] = message_of(work, group->at[i]);
  }
  fill_up(group);
  blake2s_mac_eight(&group->macs, MAC_LENGTH, length - MAC_LENGTH);
  for (uint32_t i = 0; i < group->count; i++) {
    const uint8_t *mac2 = message_of(work, group->at[i]) + length - MAC_LENGTH;
    if (is_same(group->macs.macs[i], mac2)) set_result(work, group->at[i], MACS_MAC1 | MACS_MAC2);
  }
  secret_zero(cookies, sizeof cookies);
}

static void finish_mac1(const struct work *work, struct group *group, size_t length) {
  struct group bearers = {.count = 0};
  if (group->count == 0) return;
  for (uint32_t i = 0; i < group->count; i++) {
    group->macs.keys[i] = key_of(work, HANDSHAKE_KEYS_MAC1);
    group->macs.inputs[i] = message_of(work, group->at[i]);
  }
  fill_up(group);
  blake2s_mac_eight(&group->macs, KEY_LENGTH, length - 2 * MAC_LENGTH);
  for (uint32_t i = 0; i < group->count; i++) {
    const uint8_t *mac1 = message_of(work, group->at[i]) + length - 2 * MAC_LENGTH;
    bool is_good = is_same(group->macs.macs[i], mac1);
    set_result(work, group->at[i], is_good ? MACS_MAC1 : 0);
    if (is_good && bears_mac2(mac1 + MAC_LENGTH)) bearers.at[bearers.count++] = group->at[i];
  }
  finish_mac2(work, &bearers, length);
  group->count = 0;
}

static void check_all_of(const struct work *work, uint32_t length) {
  struct group group = {.count = 0};
  for (uint32_t at = 0; at < work->count; at++) {
    if (descriptor_of(work, at)[HANDSHAKE_LENGTH] != length) continue;
    group.at[group.count++] = at;
    if (group.count == EIGHT) finish_mac1(work, &group, length);
  }
  finish_mac1(work, &group, length);
}

int lane_check_macs(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  struct work work;
  if (begin(lane, arguments, false, &work, fault) < 0) return -1;
  check_all_of(&work, INITIATION_LENGTH);
  check_all_of(&work, RESPONSE_LENGTH);
  secret_zero(work.keys, sizeof work.keys);
  return 0;
}

// Type, receiver, nonce, sealed cookie and tag. `one_time_key` and `stream`: the first two blocks of the key stream.
static void write_reply(const struct work *work, uint32_t at, const uint8_t *nonce, const uint8_t *cookie,
                        const uint32_t *one_time_key, const uint32_t *stream) {
  const uint32_t *d = descriptor_of(work, at);
  const uint8_t *message = message_of(work, at), *mac1 = message + d[HANDSHAKE_LENGTH] - 2 * MAC_LENGTH;
  uint8_t *reply = work->lane->arena.base + d[HANDSHAKE_OUT_OFFSET], key[POLY1305_KEY_LENGTH];
  // What is authenticated: mac1, the sealed cookie, and both lengths.
  uint8_t blocks[3 * MAC_LENGTH] = {[2 * MAC_LENGTH] = MAC_LENGTH, [2 * MAC_LENGTH + 8] = MAC_LENGTH};
  memcpy(blocks, mac1, MAC_LENGTH);
  for (int i = 0; i < MAC_LENGTH / 4; i++) {
    store_word(blocks + MAC_LENGTH + 4 * i, load_word(cookie + 4 * i) ^ stream[i]);
  }
  for (int i = 0; i < POLY1305_KEY_LENGTH / 4; i++) store_word(key + 4 * i, one_time_key[i]);
  store_word(reply, REPLY_TYPE);
  memcpy(reply + 4, message + SENDER_OFFSET, 4);
  memcpy(reply + REPLY_NONCE, nonce, REPLY_COOKIE - REPLY_NONCE);
  memcpy(reply + REPLY_COOKIE, blocks + MAC_LENGTH, MAC_LENGTH);
  poly1305_tag(key, blocks, 3, reply + REPLY_COOKIE + MAC_LENGTH);
}

// Answers a group with nonces whose counting half is `count` and what follows.
static void seal_group(const struct work *work, const struct group *group, const uint32_t *subkey, uint64_t count) {
  uint32_t nonces[EIGHT][CHACHA_NONCE_WORDS], keys[EIGHT][CHACHA_BLOCK_WORDS], streams[EIGHT][CHACHA_BLOCK_WORDS];
  uint8_t cookies[EIGHT][MAC_LENGTH], nonce[REPLY_COOKIE - REPLY_NONCE];
  for (uint32_t i = 0; i < EIGHT; i++) {
    // 32 zero bits before the counting half of a nonce (draft-irtf-cfrg-xchacha, section 2.3).
    const uint32_t words[CHACHA_NONCE_WORDS] = {0, 0, (uint32_t)(count + i), (uint32_t)((count + i) >> 32)};
    memcpy(nonces[i], words, sizeof words);
  }
  chacha_eight(subkey, nonces, keys);
  for (int i = 0; i < EIGHT; i++) nonces[i][0] = 1;
  chacha_eight(subkey, nonces, streams);
  make_cookies(work, group, cookies);
  memcpy(nonce, key_of(work, HANDSHAKE_KEYS_NONCE), sizeof nonce);
  for (uint32_t i = 0; i < group->count; i++) {
    store_word(nonce + 16, nonces[i][2]);
    store_word(nonce + 20, nonces[i][3]);
    write_reply(work, group->at[i], nonce, cookies[i], keys[i], streams[i]);
  }
  secret_zero(keys, sizeof keys);
  secret_zero(streams, sizeof streams);
  secret_zero(cookies, sizeof cookies);
}

int lane_seal_cookies(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  struct work work;
  uint32_t subkey[CHACHA_KEY_WORDS], prefix[CHACHA_NONCE_WORDS];
  if (begin(lane, arguments, true, &work, fault) < 0) return -1;
  const uint8_t *nonce = key_of(&work, HANDSHAKE_KEYS_NONCE);
  for (int i = 0; i < CHACHA_NONCE_WORDS; i++) prefix[i] = load_word(nonce + 4 * i);
  chacha_subkey(key_of(&work, HANDSHAKE_KEYS_SEALING), prefix, subkey);
  uint64_t count = load_word(nonce + 16) | (uint64_t)load_word(nonce + 20) << 32;
  for (uint32_t at = 0; at < work.count; at += EIGHT) {
    struct group group = {.count = MIN(EIGHT, work.count - at)};
    for (uint32_t i = 0; i < group.count; i++) group.at[i] = at + i;
    seal_group(&work, &group, subkey, count + at);
  }
  // The next reply's nonce, in the arena.
  uint8_t *next = lane->arena.base + arguments[2] + 4 * HANDSHAKE_KEYS_NONCE + 16;
  store_word(next, (uint32_t)(count + work.count));
  store_word(next + 4, (uint32_t)((count + work.count) >> 32));
  secret_zero(subkey, sizeof subkey);
  secret_zero(work.keys, sizeof work.keys);
  return 0;
}
