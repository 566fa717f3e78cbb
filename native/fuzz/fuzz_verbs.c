// The core's batch verbs under clang's libFuzzer, AddressSanitizer and UBSan: each input is words for descriptors, and the
// verb, place and count of a batch. The arena is a block of exactly its length, so that every byte beyond it is seen.
//
//     clang -fsanitize=fuzzer,address,undefined … native/fuzz/fuzz_verbs.c      (test/native/core-fuzz.test.ts has it whole)
//
// What must hold: no report of a sanitizer, and a verb returns a count within its batch, or -1 with a fault.
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../test/fixture.h"

enum { SMALL_ARENA = 1 << 14, HEAD_BYTES = 8, KEYS = 4 };

typedef int verb(struct lane *lane, const uint32_t *arguments, struct fault *fault);

static struct lane *lane;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  // What sendUdp is told to send must reach nobody: a network of its own, in which even loopback is down.
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) abort();
  struct fixture fixture = fixture_open();
  struct fault fault;
  lane = fixture.lane;
  free(lane->arena.base);
  lane->arena = (struct arena){malloc(SMALL_ARENA), SMALL_ARENA};
  memset(lane->arena.base, 0, SMALL_ARENA);
  for (uint32_t slot = 0; slot < KEYS; slot++) {
    uint8_t key[KEY_LENGTH];
    fill(key, sizeof key, slot + 1);
    if (lane_set_key(lane, slot, slot % CIPHER_COUNT, key, &fault) < 0) abort();
  }
  return 0;
}

// Arguments in the order of the verb: descriptors and count; for receiveUdp and readTun a buffer too, for handshakes keys.
static uint32_t arguments_of(const uint8_t *head, uint32_t *arguments) {
  uint16_t place, count, edge;
  memcpy(&place, head + 1, 2);
  memcpy(&count, head + 3, 2);
  memcpy(&edge, head + 5, 2);
  uint32_t kind = head[0] % 9, at = place % (2 * SMALL_ARENA), many = count % 2 == 0 ? count % 16 : count;
  const uint32_t batch[2] = {at, many};
  const uint32_t receive[5] = {head[7] % 8, at, many, edge, count};
  const uint32_t read[5] = {at, many, edge, count, edge};
  const uint32_t handshakes[3] = {at, many, edge};
  if (kind == 4) memcpy(arguments, receive, sizeof receive);
  else if (kind == 5) memcpy(arguments, read, sizeof read);
  else if (kind >= 7) memcpy(arguments, handshakes, sizeof handshakes);
  else memcpy(arguments, batch, sizeof batch);
  return kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static verb *const verbs[] = {lane_seal, lane_unseal, lane_send_udp, lane_write_tun, lane_receive_udp, lane_read_tun,
                               lane_accumulate, lane_check_macs, lane_seal_cookies};
  if (size < HEAD_BYTES) return 0;
  uint32_t arguments[5] = {0};
  uint32_t kind = arguments_of(data, arguments);
  uint32_t place = arguments[kind == 4 ? 1 : 0], many = arguments[kind == 4 ? 2 : 1];
  size_t words = size - HEAD_BYTES;
  size_t room = place < SMALL_ARENA ? SMALL_ARENA - place : 0;
  if (room > 0) memcpy(lane->arena.base + place, data + HEAD_BYTES, words < room ? words : room);
  struct fault fault = {0};
  int result = verbs[kind](lane, arguments, &fault);
  if (result < -1 || (result >= 0 && (uint32_t)result > many)) abort();
  if (result < 0 && fault.what == NULL) abort();
  return 0;
}
