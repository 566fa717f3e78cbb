// Datagram groups over loopback: sent by a lane to its own sockets.
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "check.h"
#include "fixture.h"

enum { SEND_AT = 0, RECEIVE_AT = 4096, PEER4 = 8192, PEER6 = 8256, NOBODY = 8320, DATA = 16384, BUFFER = 1 << 19,
       NO_INTERFACE = 0x7ffffff0 };

// What of a group the tests say: all but the columns that native code does not read.
enum { GROUP_WORDS = 8, STRIDE = UDP_SEND_WORDS * 4 };

static void put_groups(struct fixture *f, const uint32_t *groups, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) put_words(f->lane, SEND_AT + i * STRIDE, groups + i * GROUP_WORDS, GROUP_WORDS);
}

static void put_endpoints(struct fixture *f) {
  uint32_t peer4[ENDPOINT_WORDS] = {4, f->port4, htonl(INADDR_LOOPBACK)};
  uint32_t peer6[ENDPOINT_WORDS] = {6, f->port6, 0, 0, 0, htonl(1)};
  const uint32_t nobody[ENDPOINT_WORDS] = {0};
  put_words(f->lane, PEER4, peer4, ENDPOINT_WORDS);
  put_words(f->lane, PEER6, peer6, ENDPOINT_WORDS);
  put_words(f->lane, NOBODY, nobody, ENDPOINT_WORDS);
  fill(f->lane->arena.base + DATA, 100000, 4);
}

static int receive(struct fixture *f, uint32_t family, uint32_t most) {
  struct fault fault;
  const uint32_t arguments[] = {family, RECEIVE_AT, most, BUFFER, ARENA_LENGTH - BUFFER};
  return lane_receive_udp(f->lane, arguments, &fault);
}

static void check_source(struct fixture *f, uint32_t at, uint32_t family, uint16_t port) {
  uint32_t endpoint = at + UDP_RECEIVE_ENDPOINT * 4, last = family == 4 ? 0 : 3;
  uint32_t address = htonl(family == 4 ? INADDR_LOOPBACK : 1);
  CHECK_EQUAL(get_word(f->lane, endpoint, ENDPOINT_FAMILY), family);
  CHECK_EQUAL(get_word(f->lane, endpoint, ENDPOINT_PORT), port);
  CHECK_EQUAL(get_word(f->lane, endpoint, ENDPOINT_ADDRESS + last), address);
  CHECK_EQUAL(get_word(f->lane, endpoint, ENDPOINT_LOCAL_ADDRESS + last), address);
  CHECK(get_word(f->lane, endpoint, ENDPOINT_LOCAL_INTERFACE) > 0);
}

// One group of ten datagrams, one empty one, then a single one: the first arrives merged (GRO).
static void test_family(struct fixture *f, uint32_t family, uint32_t peer, uint16_t port) {
  struct fault fault;
  const uint32_t groups[] = {DATA, 9500, 1000, 0x2e, peer, 77, 10, 0, DATA, 0, 0, 3, peer, 77, 1, 0,
                             DATA, 64,   0,    UINT32_MAX, peer, 77, 1,  0};
  put_groups(f, groups, 3);
  CHECK_EQUAL(lane_send_udp(f->lane, (const uint32_t[]){SEND_AT, 3}, &fault), 3);
  for (uint32_t i = 0; i < 3; i++) CHECK_EQUAL(get_word(f->lane, SEND_AT + i * STRIDE, UDP_SEND_RESULT), groups[i * 8 + 1]);
  CHECK_EQUAL(receive(f, family, 100), 3);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT, UDP_RECEIVE_LENGTH), 9500);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT, UDP_RECEIVE_SEGMENT_LENGTH), 1000);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT, UDP_RECEIVE_TRAFFIC_CLASS), 0x2e);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT + 64, UDP_RECEIVE_LENGTH), 0);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT + 64, UDP_RECEIVE_TRAFFIC_CLASS), 3);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT + 128, UDP_RECEIVE_LENGTH), 64);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT + 128, UDP_RECEIVE_SEGMENT_LENGTH), 0);
  CHECK_EQUAL(get_word(f->lane, RECEIVE_AT + 128, UDP_RECEIVE_TRAFFIC_CLASS), 0);
  for (uint32_t i = 0; i < 3; i++) {
    uint32_t at = RECEIVE_AT + i * 64, offset = get_word(f->lane, at, UDP_RECEIVE_OFFSET);
    CHECK_EQUAL(offset % 64, 0);
    CHECK_EQUAL(memcmp(f->lane->arena.base + offset, f->lane->arena.base + DATA, groups[i * 8 + 1]), 0);
    check_source(f, at, family, port);
  }
}

// Families in turn, a group that is too long in the middle, and one to nobody: each has its own result.
static void test_failures_stay_single(struct fixture *f) {
  struct fault fault;
  const uint32_t groups[] = {
      DATA, 100, 0,   UINT32_MAX, PEER4, 9, 1, 0, DATA, 70000, 0, UINT32_MAX, PEER4,  9, 1, 0,
      DATA, 101, 0,   UINT32_MAX, PEER4, 9, 1, 0, DATA, 102,   0, UINT32_MAX, PEER6,  9, 1, 0,
      DATA, 103, 103, UINT32_MAX, PEER4, 9, 1, 0, DATA, 104,   0, UINT32_MAX, NOBODY, 9, 1, 0,
      DATA, 105, 0,   UINT32_MAX, PEER4, 9, 1, 0,
  };
  const int results[] = {100, -EMSGSIZE, 101, 102, 103, -EDESTADDRREQ, 105};
  put_groups(f, groups, 7);
  CHECK_EQUAL(lane_send_udp(f->lane, (const uint32_t[]){SEND_AT, 7}, &fault), 5);
  for (uint32_t i = 0; i < 7; i++) {
    CHECK_EQUAL((int)get_word(f->lane, SEND_AT + i * STRIDE, UDP_SEND_RESULT), results[i]);
  }
  CHECK_EQUAL(receive(f, 4, 3), 3);
  CHECK_EQUAL(receive(f, 4, 100), 1);
  CHECK_EQUAL(receive(f, 6, 100), 1);
}

static void test_refusals(struct fixture *f) {
  struct fault fault;
  const uint32_t good[] = {DATA, 10, 0, UINT32_MAX, PEER4, 9, 1, 0};
  const struct { uint32_t column, value; } bad[] = {
      {UDP_SEND_OFFSET, ARENA_LENGTH},          {UDP_SEND_OFFSET, UINT32_MAX},    {UDP_SEND_LENGTH, ARENA_LENGTH},
      {UDP_SEND_SEGMENT_LENGTH, 65536},         {UDP_SEND_TRAFFIC_CLASS, 256},    {UDP_SEND_ENDPOINT_OFFSET, PEER4 + 1},
      {UDP_SEND_ENDPOINT_OFFSET, UINT32_MAX - 3}, {UDP_SEND_ENDPOINT_OFFSET, ARENA_LENGTH - 44},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put_words(f->lane, SEND_AT, good, 8);
    put_words(f->lane, SEND_AT + STRIDE, good, 8);
    put_words(f->lane, SEND_AT + STRIDE + bad[i].column * 4, &bad[i].value, 1);
    CHECK_EQUAL(lane_send_udp(f->lane, (const uint32_t[]){SEND_AT, 2}, &fault), -1);
    CHECK_EQUAL(fault.kind, FAULT_RANGE);
    CHECK_EQUAL(receive(f, 4, 100), 0);
  }
  CHECK_EQUAL(lane_receive_udp(f->lane, (const uint32_t[]){5, 0, 1, BUFFER, 70000}, &fault), -1);
  CHECK_EQUAL(lane_receive_udp(f->lane, (const uint32_t[]){4, ARENA_LENGTH - 32, 1, BUFFER, 70000}, &fault), -1);
  CHECK_EQUAL(lane_receive_udp(f->lane, (const uint32_t[]){4, 0, 1, BUFFER + 1, BUFFER}, &fault), -1);
}

// With a negative interface a datagram leaves through that one, with or without a local address; else the route decides.
static void test_bound(struct fixture *f) {
  struct fault fault;
  const uint32_t groups[] = {DATA, 10, 0, UINT32_MAX, PEER4, 9, 1, 0, DATA, 11, 0, UINT32_MAX, PEER6, 9, 1, 0};
  const struct { int interface; uint32_t sent; int result; } cases[] = {
      {-1, 2, 10}, {NO_INTERFACE, 2, 10}, {-NO_INTERFACE, 0, -ENODEV}, {INT_MIN, 0, -ENODEV}, {0, 2, 10},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put_words(f->lane, PEER4 + ENDPOINT_LOCAL_INTERFACE * 4, (const uint32_t *)&cases[i].interface, 1);
    put_words(f->lane, PEER6 + ENDPOINT_LOCAL_INTERFACE * 4, (const uint32_t *)&cases[i].interface, 1);
    put_groups(f, groups, 2);
    CHECK_EQUAL(lane_send_udp(f->lane, (const uint32_t[]){SEND_AT, 2}, &fault), cases[i].sent);
    CHECK_EQUAL((int)get_word(f->lane, SEND_AT, UDP_SEND_RESULT), cases[i].result);
    CHECK_EQUAL(receive(f, 4, 9), cases[i].sent / 2);
    CHECK_EQUAL(receive(f, 6, 9), cases[i].sent / 2);
  }
}

// A full run of messages goes out over several sendmmsg() calls, and the buffer's end is respected on the way in.
static void test_many(struct fixture *f) {
  struct fault fault;
  for (uint32_t i = 0; i < 100; i++) {
    const uint32_t group[] = {DATA + i, 200, 0, UINT32_MAX, PEER4, 9, 1, 0};
    put_words(f->lane, SEND_AT + i * STRIDE, group, 8);
  }
  CHECK_EQUAL(lane_send_udp(f->lane, (const uint32_t[]){SEND_AT, 100}, &fault), 100);
  uint32_t room = 65536 + 5 * 256;
  CHECK_EQUAL(lane_receive_udp(f->lane, (const uint32_t[]){4, RECEIVE_AT, 100, ARENA_LENGTH - room, room}, &fault), 6);
  CHECK_EQUAL(receive(f, 4, 1024 / 16), 64);
  CHECK_EQUAL(receive(f, 4, 100), 30);
}

void test_udp(void) {
  struct fixture f = fixture_open();
  struct fault fault;
  put_endpoints(&f);
  test_family(&f, 4, PEER4, f.port4);
  test_family(&f, 6, PEER6, f.port6);
  test_failures_stay_single(&f);
  test_refusals(&f);
  test_bound(&f);
  test_many(&f);
  f.lane->udp6_fd = -1;
  CHECK_EQUAL(lane_receive_udp(f.lane, (const uint32_t[]){6, 0, 1, BUFFER, 70000}, &fault), -1);
  CHECK(fault.kind == FAULT_SYSTEM && fault.number == EBADF);
  put_words(f.lane, SEND_AT, (const uint32_t[]){DATA, 10, 0, UINT32_MAX, PEER6, 9, 1, 0}, 8);
  CHECK_EQUAL(lane_send_udp(f.lane, (const uint32_t[]){SEND_AT, 1}, &fault), 0);
  CHECK_EQUAL((int)get_word(f.lane, SEND_AT, UDP_SEND_RESULT), -EAFNOSUPPORT);
  fixture_close(&f);
}
