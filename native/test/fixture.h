// A lane over memory of exactly the arena's length, so that AddressSanitizer sees every byte beyond it, with a socket
// pair in place of the TUN and loopback sockets for UDP.
#ifndef GIGATUN_FIXTURE_H
#define GIGATUN_FIXTURE_H

#include "../core/lane.h"

enum { ARENA_LENGTH = 1 << 20 };

struct fixture {
  struct lane *lane;
  int tun_other; // the far end of the "TUN"
  uint16_t port4, port6;
};

struct fixture fixture_open(void);
void fixture_close(struct fixture *fixture);
void put_words(struct lane *lane, uint32_t offset, const uint32_t *words, uint32_t count);
uint32_t get_word(const struct lane *lane, uint32_t offset, uint32_t index);
// Deterministic bytes.
void fill(uint8_t *bytes, size_t length, uint32_t seed);
// How many messages the deferring test double of aead_double.c has finished in `finish`.
extern unsigned deferred_jobs;
// How many keys it has prepared and not forgotten.
extern int derived_keys;

void test_arena(void);
void test_checksum(void);
void test_books(void);
void test_keys(void);
void test_tun(void);
void test_udp(void);
void test_crypt(void);
void test_wait(void);
void test_accumulate(void);
void test_handshake(void);
void test_process(void);

#endif
