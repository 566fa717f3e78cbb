#include "books.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "layout.h"

// A stretch of one activity that is longer may hold a wait for a core; shorter waits are not told apart.
enum { LONG_STRETCH_NS = 200000 };

uint64_t books_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void books_open(struct books *books, bool timed) {
  memset(books->cells, 0, BOOKS_CELLS * sizeof *books->cells);
  books->timed = timed;
  books->schedstat_fd = timed ? schedstat_open() : -1;
  books->core_wait_ns = 0;
  books_take_core_wait(books);
  books->last_ns = books_clock_ns();
  books->activity = ACTIVITY_USER_CONTROL;
  books->cells[BOOKS_NOW_NS] = books->cells[BOOKS_OPENED_NS] = (double)books->last_ns;
  books->cells[BOOKS_ACTIVITY] = books->activity;
}

void books_close(struct books *books) {
  if (books->schedstat_fd >= 0) close(books->schedstat_fd);
  books->schedstat_fd = -1;
}

double books_take_core_wait(struct books *books) {
  if (books->schedstat_fd < 0) return 0;
  double before_ns = books->core_wait_ns;
  double now_ns = schedstat_run_queue_wait_ns(books->schedstat_fd);
  if (now_ns < before_ns) return 0;
  books->core_wait_ns = now_ns;
  return now_ns - before_ns;
}

void books_sleep(struct books *books, uint64_t start_ns) {
  double waited_ns = (double)(books_clock_ns() - start_ns);
  double core_wait_ns = books_take_core_wait(books);
  books->cells[BOOKS_CORE_WAIT_NS + books->activity] += core_wait_ns;
  if (waited_ns > core_wait_ns) books->cells[BOOKS_SLEEP_NS] += waited_ns - core_wait_ns;
}

void books_switch(struct books *books, uint32_t activity) {
  if (!books->timed) return;
  uint64_t now = books_clock_ns();
  uint64_t elapsed = now - books->last_ns;
  books->cells[BOOKS_ACTIVITY_NS + books->activity] += (double)elapsed;
  if (elapsed > LONG_STRETCH_NS) {
    books->cells[BOOKS_CORE_WAIT_NS + books->activity] += books_take_core_wait(books);
  }
  books->cells[BOOKS_NOW_NS] = (double)now;
  books->cells[BOOKS_ACTIVITY] = activity;
  books->last_ns = now;
  books->activity = activity;
}

void books_refresh(struct books *books) {
  if (!books->timed) books->cells[BOOKS_NOW_NS] = (double)books_clock_ns();
}
