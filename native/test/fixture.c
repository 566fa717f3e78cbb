#include "fixture.h"

#include <string.h>
#include <unistd.h>

#include "../core/device.h"
#include "check.h"

static uint16_t open_udp(int family, int *fd) {
  const struct udp_options options = {.family = family, .buffer_length = 1 << 20, .gro = true, .fd = -1, .replaces = -1};
  struct udp_opened opened;
  struct fault fault;
  CHECK_EQUAL(udp_open(&options, &opened, &fault), 0);
  CHECK(opened.port != 0 && opened.gso_datagrams_max >= 1);
  CHECK(descriptor_is_udp(opened.fd, family) && !descriptor_is_udp(opened.fd, 10 - family));
  *fd = opened.fd;
  return opened.port;
}

struct fixture fixture_open(void) {
  struct fixture fixture;
  struct lane_options options = {.aead = "double", .book_time = true};
  struct fault fault;
  int pair[2];
  CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
  options.tun_fd = pair[0];
  fixture.tun_other = pair[1];
  fixture.port4 = open_udp(4, &options.udp4_fd);
  fixture.port6 = open_udp(6, &options.udp6_fd);
  fixture.lane = calloc(1, sizeof *fixture.lane);
  fixture.lane->arena = (struct arena){malloc(ARENA_LENGTH), ARENA_LENGTH};
  fixture.lane->books.cells = malloc(BOOKS_CELLS * sizeof(double));
  CHECK_EQUAL(lane_open(fixture.lane, &options, &fault), 0);
  return fixture;
}

void fixture_close(struct fixture *fixture) {
  struct lane *lane = fixture->lane;
  lane_close(lane);
  close(lane->tun_fd);
  close(fixture->tun_other);
  close(lane->udp4_fd);
  close(lane->udp6_fd);
  free(lane->arena.base);
  free(lane->books.cells);
  free(lane);
}

void put_words(struct lane *lane, uint32_t offset, const uint32_t *words, uint32_t count) {
  memcpy(lane->arena.base + offset, words, count * sizeof *words);
}

uint32_t get_word(const struct lane *lane, uint32_t offset, uint32_t index) {
  uint32_t word;
  memcpy(&word, lane->arena.base + offset + index * 4, sizeof word);
  return word;
}

void fill(uint8_t *bytes, size_t length, uint32_t seed) {
  for (size_t i = 0; i < length; i++) {
    seed = seed * 1664525u + 1013904223u;
    bytes[i] = (uint8_t)(seed >> 24);
  }
}
