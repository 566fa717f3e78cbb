// Batches from and to the TUN, played by a socket pair.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "fixture.h"

static const uint32_t BUFFER = 64 << 10;

static void test_read(struct fixture *f) {
  struct fault fault;
  uint8_t packet[3000];
  const uint32_t lengths[] = {1, 10, 22, 23, 1500, 3000};
  fill(packet, sizeof packet, 1);
  for (size_t i = 0; i < 6; i++) CHECK_EQUAL(write(f->tun_other, packet, lengths[i]), lengths[i]);
  const uint32_t arguments[] = {0, 100, BUFFER + 3, ARENA_LENGTH - BUFFER - 3, 1 << 20};
  CHECK_EQUAL(lane_read_tun(f->lane, arguments, &fault), 6);
  for (uint32_t i = 0; i < 6; i++) {
    uint32_t offset = get_word(f->lane, i * 8, TUN_READ_OFFSET);
    CHECK_EQUAL(get_word(f->lane, i * 8, TUN_READ_LENGTH), lengths[i]);
    CHECK_EQUAL((offset + VIRTIO_HEADER_LENGTH) % 16, 0);
    CHECK_EQUAL(memcmp(f->lane->arena.base + offset, packet, lengths[i]), 0);
    if (i > 0) CHECK(offset >= get_word(f->lane, i * 8 - 8, TUN_READ_OFFSET) + lengths[i - 1]);
  }
  CHECK_EQUAL(lane_read_tun(f->lane, arguments, &fault), 0);
  CHECK_EQUAL(f->lane->books.cells[BOOKS_READ_TUN_IO], 6);
}

static void test_read_limits(struct fixture *f) {
  struct fault fault;
  uint8_t packet[100] = {0};
  for (int i = 0; i < 6; i++) CHECK_EQUAL(write(f->tun_other, packet, sizeof packet), 100);
  CHECK_EQUAL(lane_read_tun(f->lane, (const uint32_t[]){0, 2, BUFFER, 1 << 19, 1 << 20}, &fault), 2);
  CHECK_EQUAL(lane_read_tun(f->lane, (const uint32_t[]){0, 9, BUFFER, 1 << 19, 99}, &fault), 1);
  CHECK_EQUAL(lane_read_tun(f->lane, (const uint32_t[]){0, 9, ARENA_LENGTH - 65568, 65568, 1 << 20}, &fault), 1);
  CHECK_EQUAL(lane_read_tun(f->lane, (const uint32_t[]){0, 9, BUFFER, 65567, 1 << 20}, &fault), 0);
  CHECK_EQUAL(lane_read_tun(f->lane, (const uint32_t[]){0, 9, BUFFER, ARENA_LENGTH, 1 << 20}, &fault), -1);
  CHECK_EQUAL(lane_read_tun(f->lane, (const uint32_t[]){ARENA_LENGTH - 8, 2, 0, 70000, 1}, &fault), -1);
  CHECK_EQUAL(fault.kind, FAULT_RANGE);
  CHECK_EQUAL(lane_read_tun(f->lane, (const uint32_t[]){0, 9, BUFFER, 1 << 19, 1 << 20}, &fault), 2);
}

static void test_write(struct fixture *f) {
  struct fault fault;
  uint8_t received[64];
  const uint32_t pieces[] = {40000, 10, 50000, 5, 40003, 1};
  const uint32_t descriptors[] = {1000, 3, 99, 7, 1008, 1, 99, 8};
  fill(f->lane->arena.base + 40000, 16, 2);
  fill(f->lane->arena.base + 50000, 16, 3);
  put_words(f->lane, 1000, pieces, 6);
  put_words(f->lane, 0, descriptors, 8);
  CHECK_EQUAL(lane_write_tun(f->lane, (const uint32_t[]){0, 2}, &fault), 2);
  CHECK_EQUAL(get_word(f->lane, 0, TUN_WRITE_RESULT), 16);
  CHECK_EQUAL(get_word(f->lane, 16, TUN_WRITE_RESULT), 5);
  CHECK_EQUAL(get_word(f->lane, 16, TUN_WRITE_PACKETS), 8);
  CHECK_EQUAL(read(f->tun_other, received, sizeof received), 16);
  CHECK_EQUAL(memcmp(received, f->lane->arena.base + 40000, 10), 0);
  CHECK_EQUAL(memcmp(received + 10, f->lane->arena.base + 50000, 5), 0);
  CHECK_EQUAL(received[15], f->lane->arena.base[40003]);
  CHECK_EQUAL(read(f->tun_other, received, sizeof received), 5);
  CHECK_EQUAL(f->lane->books.cells[BOOKS_WRITE_TUN_IO], 2);
}

// The whole batch is refused when one piece of it is bad, and nothing is written.
static void test_write_refusals(struct fixture *f) {
  struct fault fault;
  uint8_t received[64];
  const uint32_t bad_pieces[][2] = {{ARENA_LENGTH, 1}, {ARENA_LENGTH - 1, 2}, {UINT32_MAX, 2}, {4, UINT32_MAX}};
  const uint32_t bad_lists[][2] = {{1000, 0}, {1000, 1025}, {1002, 1}, {ARENA_LENGTH - 4, 1}, {UINT32_MAX - 3, 1}};
  const uint32_t good[] = {500, 1, 0, 0, 1000, 1, 0, 0}, good_piece[] = {500, 8};
  put_words(f->lane, 500, good_piece, 2);
  for (size_t i = 0; i < 9; i++) {
    put_words(f->lane, 0, good, 8);
    put_words(f->lane, 1000, i < 4 ? bad_pieces[i] : good_piece, 2);
    if (i >= 4) put_words(f->lane, 16, bad_lists[i - 4], 2);
    CHECK_EQUAL(lane_write_tun(f->lane, (const uint32_t[]){0, 2}, &fault), -1);
    CHECK_EQUAL(fault.kind, FAULT_RANGE);
    CHECK(read(f->tun_other, received, sizeof received) < 0 && errno == EAGAIN);
  }
}

// An error about one packet stands as a descriptor of length 0, and the packets behind it are read. A socket pair has one:
// its end that is closed with something unread leaves the other a single ECONNRESET, before what it sent.
static void test_read_error(void) {
  struct fixture f = fixture_open();
  struct fault fault;
  const uint32_t arguments[] = {0, 100, BUFFER, 1 << 19, 1 << 20};
  uint8_t packet[40] = {0};
  CHECK_EQUAL(write(f.lane->tun_fd, packet, sizeof packet), 40);
  CHECK_EQUAL(write(f.tun_other, packet, 30), 30);
  CHECK_EQUAL(write(f.tun_other, packet, 20), 20);
  close(f.tun_other);
  f.tun_other = dup(0);
  CHECK_EQUAL(lane_read_tun(f.lane, arguments, &fault), 3);
  CHECK_EQUAL(get_word(f.lane, 0, TUN_READ_LENGTH), 0);
  CHECK_EQUAL(get_word(f.lane, 8, TUN_READ_LENGTH), 30);
  CHECK_EQUAL(get_word(f.lane, 16, TUN_READ_LENGTH), 20);
  CHECK_EQUAL(f.lane->books.cells[BOOKS_READ_TUN_IO], 2);
  CHECK_EQUAL(lane_read_tun(f.lane, arguments, &fault), 0);
  fixture_close(&f);
}

void test_tun(void) {
  test_read_error();
  struct fixture f = fixture_open();
  struct fault fault;
  test_read(&f);
  test_read_limits(&f);
  test_write(&f);
  test_write_refusals(&f);
  close(f.lane->tun_fd);
  CHECK_EQUAL(lane_read_tun(f.lane, (const uint32_t[]){0, 9, BUFFER, 1 << 19, 1 << 20}, &fault), -1);
  CHECK(fault.kind == FAULT_SYSTEM && fault.number == EBADF && strcmp(fault.what, "read") == 0);
  f.lane->tun_fd = dup(0);
  fixture_close(&f);
}
