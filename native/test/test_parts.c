// The small parts: arena checks, checksum against a byte-wise twin, books, key table, wait.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../core/checksum.h"
#include "../core/device.h"
#include "check.h"
#include "fixture.h"

void test_arena(void) {
  struct arena arena = {malloc(100), 100};
  struct fault fault;
  uint32_t copy[BATCH_MAX * 2];
  CHECK(arena_holds(&arena, 100, 0) && arena_holds(&arena, 0, 100) && arena_holds(&arena, 96, 4));
  CHECK(!arena_holds(&arena, 101, 0) && !arena_holds(&arena, 97, 4));
  CHECK(!arena_holds(&arena, UINT32_MAX, 1) && !arena_holds(&arena, UINT32_MAX, UINT32_MAX));
  CHECK_EQUAL(arena_load(&arena, 92, 1, 2, copy, &fault), 0);
  CHECK_EQUAL(arena_load(&arena, 100, 0, 2, copy, &fault), 0);
  CHECK_EQUAL(arena_load(&arena, 96, 1, 2, copy, &fault), -1);
  CHECK_EQUAL(fault.kind, FAULT_RANGE);
  CHECK_EQUAL(arena_load(&arena, 2, 1, 2, copy, &fault), -1);
  CHECK_EQUAL(arena_load(&arena, 0, BATCH_MAX + 1, 2, copy, &fault), -1);
  CHECK_EQUAL(arena_load(&arena, 0, UINT32_MAX, 16, copy, &fault), -1);
  free(arena.base);
}

static uint16_t slow_sum(const uint8_t *bytes, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i < length; i++) {
    sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return (uint16_t)sum;
}

void test_checksum(void) {
  // RFC 1071, 3: the sum of this example is 0xddf2.
  const uint8_t example[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  CHECK_EQUAL(checksum_sum(example, 8), 0xddf2);
  CHECK_EQUAL(checksum_field(0xddf2, 0), 0x220d);
  CHECK_EQUAL(checksum_field(0xffff, 0), 0xffff);
  CHECK_EQUAL(checksum_field(0xfffe, 0x10000), 0xffff);
  CHECK_EQUAL(checksum_field(0, INT32_MAX), 0x8000);
  for (size_t length = 0; length < 3000; length += length < 200 ? 1 : 97) {
    for (size_t shift = 0; shift < 5; shift++) {
      uint8_t *bytes = malloc(length + shift + 1);
      fill(bytes, length + shift, (uint32_t)(length * 5 + shift));
      if (length % 7 == 0) memset(bytes, 0xff, length + shift);
      uint16_t fast = checksum_sum(bytes + shift, length), slow = slow_sum(bytes + shift, length);
      CHECK(fast == slow || (fast % 0xffff == 0 && slow % 0xffff == 0));
      free(bytes);
    }
  }
}

static double thread_cpu_ns(void) {
  struct timespec now;
  CHECK_EQUAL(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

// What the kernel would say of the run-queue wait: the books read a file of ours.
static void say_core_wait(struct books *books, const char *schedstat) {
  CHECK_EQUAL(ftruncate(books->schedstat_fd, 0), 0);
  CHECK_EQUAL(pwrite(books->schedstat_fd, schedstat, strlen(schedstat), 0), strlen(schedstat));
}

// A figure that went back, or that is missing, is no wait; what comes after counts from the last good one.
static void test_core_wait(struct books *books) {
  const struct { const char *schedstat; double added_ns; } readings[] = {
      {"7 1000 2\n", 1000}, {"9 4000 3\n", 3000}, {"9 4000 3\n", 0},
      {"9 3000 3\n", 0},    {"", 0},               {"9 4500 3\n", 500},
  };
  for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
    say_core_wait(books, readings[i].schedstat);
    CHECK_EQUAL(books_take_core_wait(books), readings[i].added_ns);
  }
}

// A short stretch notes nothing; the next long one notes what both have waited.
static void test_stretches(struct books *books) {
  double *noted = books->cells + BOOKS_CORE_WAIT_NS;
  uint64_t start_ns;
  say_core_wait(books, "9 5000 3\n");
  do { // again when the thread lost its core in the stretch, so that it was long
    books->core_wait_ns = 4500;
    books->activity = ACTIVITY_USER_ENCRYPT;
    noted[ACTIVITY_USER_ENCRYPT] = books->waited_ns = 0;
    start_ns = books->last_ns = books_clock_ns();
    books_switch(books, ACTIVITY_USER_DECRYPT);
  } while (books->last_ns - start_ns > 200000);
  CHECK_EQUAL(noted[ACTIVITY_USER_ENCRYPT], 0);
  books->last_ns -= 1000000;
  books_switch(books, ACTIVITY_USER_CONTROL);
  CHECK_EQUAL(noted[ACTIVITY_USER_DECRYPT], 500);
}

// Makes the books believe that since the last settlement there was a wait of `waited_ns`, and time awake in which the
// thread was `off_core_ns` without a core.
static void pretend(struct books *books, double waited_ns, double off_core_ns) {
  books->waited_ns = waited_ns;
  books->settled_ns = books_clock_ns() - (uint64_t)(waited_ns + off_core_ns);
  books->settled_cpu_ns = thread_cpu_ns();
  books->core_wait_ns = 0;
}

// Sleep is what is left of the waits without the wait for a core after a wake-up: never less than nothing, and all of it
// where the kernel tells of no waits. A wait for a core outside of them is none of theirs.
static void test_sleep(struct books *books) {
  double *slept_ns = books->cells + BOOKS_SLEEP_NS, *noted = books->cells + BOOKS_CORE_WAIT_NS + ACTIVITY_KERN_WAIT;
  const int schedstat_fd = books->schedstat_fd;
  const struct { const char *schedstat; double off_core_ns, woken_ns_least, woken_ns_most; } cases[] = {
      {"9 0 4\n", 0, 0, 0},
      {"9 2000000 4\n", 0, 1, 2000000},
      {"9 2000000 4\n", 3000000, 0, 0},
      {"9 9000000000000 5\n", 0, 5000000, 5000000},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    *slept_ns = *noted = 0;
    say_core_wait(books, cases[i].schedstat);
    pretend(books, 5000000, cases[i].off_core_ns);
    double elsewhere_ns = books_settle(books);
    CHECK(*noted >= cases[i].woken_ns_least && *noted <= cases[i].woken_ns_most);
    CHECK_EQUAL(*slept_ns + *noted, 5000000);
    CHECK(elsewhere_ns >= 0 && books->waited_ns == 0);
  }
  *slept_ns = *noted = 0;
  books->schedstat_fd = -1;
  pretend(books, 5000000, 0);
  CHECK_EQUAL(books_settle(books), 0);
  CHECK_EQUAL(*slept_ns, 5000000);
  books->schedstat_fd = schedstat_fd;
}

void test_books(void) {
  double cells[BOOKS_CELLS];
  struct books books = {.cells = cells};
  books_open(&books, true);
  for (uint32_t i = 0; i < 1000; i++) books_switch(&books, i % ACTIVITY_COUNT);
  double sum = 0;
  for (int i = 0; i < ACTIVITY_COUNT; i++) sum += cells[BOOKS_ACTIVITY_NS + i];
  CHECK(sum > 0 && sum == cells[BOOKS_NOW_NS] - cells[BOOKS_OPENED_NS]);
  CHECK_EQUAL(cells[BOOKS_ACTIVITY], 999 % ACTIVITY_COUNT);
  CHECK_EQUAL(cells[BOOKS_SLEEP_NS], 0);
  books_close(&books);
  CHECK_EQUAL(books.schedstat_fd, -1);
  books.core_wait_ns = 0;
  books.schedstat_fd = memfd_create("schedstat", 0);
  test_core_wait(&books);
  test_stretches(&books);
  test_sleep(&books);
  books_close(&books);
  books_open(&books, false);
  books_switch(&books, ACTIVITY_USER_ENCRYPT);
  CHECK_EQUAL(cells[BOOKS_NOW_NS], cells[BOOKS_OPENED_NS]);
  books_refresh(&books);
  CHECK(cells[BOOKS_NOW_NS] > cells[BOOKS_OPENED_NS]);
  CHECK_EQUAL(cells[BOOKS_ACTIVITY_NS + ACTIVITY_USER_CONTROL], 0);
}

static void count_key(void *context, struct aead_key *key) {
  CHECK(key->present);
  ++*(int *)context;
}

void test_keys(void) {
  struct keys *keys = calloc(1, sizeof *keys);
  const uint8_t bytes[KEY_LENGTH] = {9, 8, 7};
  CHECK(keys_find(keys, 0) == NULL && keys_find(keys, KEY_SLOTS) == NULL && keys_find(keys, UINT32_MAX) == NULL);
  struct aead_key *key = keys_set(keys, KEY_SLOTS - 1, CIPHER_AES_256_GCM, bytes);
  CHECK(key != NULL && keys_set(keys, 0, CIPHER_CHACHA20_POLY1305, bytes) != NULL);
  CHECK(keys_find(keys, KEY_SLOTS - 1) == key && memcmp(key->bytes, bytes, KEY_LENGTH) == 0);
  CHECK(key->cipher == CIPHER_AES_256_GCM && keys_find(keys, 0)->cipher == CIPHER_CHACHA20_POLY1305);
  int visited = 0;
  keys_each(keys, count_key, &visited);
  CHECK_EQUAL(visited, 2);
  uint32_t generation = key->generation;
  keys_clear(key);
  CHECK(keys_find(keys, KEY_SLOTS - 1) == NULL);
  CHECK(key->generation != generation && key->bytes[0] == 0 && key->bytes[2] == 0);
  keys_each(keys, count_key, &visited);
  CHECK_EQUAL(visited, 3);
  keys_close(keys);
  CHECK(keys_find(keys, 0) == NULL);
  free(keys);
}

static void check_usage(void) {
  double cells[USAGE_CELLS];
  struct fault fault;
  CHECK_EQUAL(usage_read(cells, &fault), 0);
  CHECK(cells[USAGE_MONOTONIC_NS] > 0 && cells[USAGE_BOOT_NS] >= cells[USAGE_MONOTONIC_NS]);
  CHECK(cells[USAGE_REAL_NS] > 1e18 && cells[USAGE_CPU_NS] > 0 && cells[USAGE_MINOR_FAULTS] > 0);
}

void test_wait(void) {
  struct fixture f = fixture_open();
  struct fault fault;
  CHECK(descriptor_is_eventfd(f.lane->wake_fd) && !descriptor_is_eventfd(f.lane->tun_fd) && !descriptor_is_eventfd(-1));
  const double *slept_ns = f.lane->books.cells + BOOKS_SLEEP_NS;
  const double *core_wait_ns = f.lane->books.cells + BOOKS_CORE_WAIT_NS + ACTIVITY_KERN_WAIT;
  CHECK_EQUAL(lane_wait(f.lane, 0, 15, &fault), 0);
  CHECK(*slept_ns == 0 && *core_wait_ns == 0);
  books_switch(&f.lane->books, ACTIVITY_KERN_WAIT);
  CHECK_EQUAL(lane_wait(f.lane, 0.5, 15, &fault), 0);
  CHECK(f.lane->books.waited_ns >= 500000 && *slept_ns == 0);
  // A wake settles what was waited.
  books_switch(&f.lane->books, ACTIVITY_KERN_WAIT);
  CHECK_EQUAL(eventfd_wake(f.lane->wake_fd, &fault), 0);
  CHECK_EQUAL(lane_wait(f.lane, -1, 15, &fault), READY_WAKE);
  CHECK(*slept_ns + *core_wait_ns >= 500000 && f.lane->books.waited_ns == 0);
  CHECK_EQUAL(lane_wait(f.lane, 0, 15, &fault), 0);
  CHECK_EQUAL(write(f.tun_other, "x", 1), 1);
  CHECK_EQUAL(lane_wait(f.lane, -1, 15, &fault), READY_TUN);
  CHECK_EQUAL(lane_wait(f.lane, 0, READY_UDP4 | READY_UDP6, &fault), 0);
  close(f.tun_other);
  f.tun_other = dup(0);
  CHECK_EQUAL(lane_wait(f.lane, -1, 15, &fault) & READY_TUN_FAILED, READY_TUN_FAILED);
  CHECK_EQUAL(f.lane->books.cells[BOOKS_WAIT_IO], 7);
  check_usage();
  fixture_close(&f);
}
