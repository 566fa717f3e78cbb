#include "books.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "layout.h"

// A stretch of one activity that is longer may hold a wait for a core; shorter waits are not told apart.
enum { LONG_STRETCH_NS = 200000 };
// A shorter wait found something ready.
enum { WAIT_NS_MIN = 10000 };
enum { SETTLE_INTERVAL_NS = 20000000 };

uint64_t books_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double thread_cpu_ns(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

void books_open(struct books *books, bool timed) {
  memset(books->cells, 0, BOOKS_CELLS * sizeof *books->cells);
  books->timed = timed;
  books->schedstat_fd = timed ? schedstat_open() : -1;
  books->core_wait_ns = 0;
  books_take_core_wait(books);
  books->waited_ns = 0;
  books->settled_cpu_ns = timed ? thread_cpu_ns() : 0;
  books->last_ns = books->settled_ns = books_clock_ns();
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

void books_note_wait(struct books *books) {
  if (!books->timed) return;
  uint64_t waited_ns = books_clock_ns() - books->last_ns;
  if (waited_ns >= WAIT_NS_MIN) books->waited_ns += (double)waited_ns;
}

void books_settle_if_due(struct books *books) {
  if (books->timed && books->last_ns - books->settled_ns > SETTLE_INTERVAL_NS) books_settle(books);
}

// What lies outside the waits and was not spent on a core was a wait for one; what schedstat counts beyond that came
// after a wake-up.
double books_settle(struct books *books) {
  uint64_t now_ns = books_clock_ns();
  double cpu_ns = thread_cpu_ns(), core_wait_ns = books_take_core_wait(books);
  double awake_ns = (double)(now_ns - books->settled_ns) - books->waited_ns;
  double off_core_ns = awake_ns - (cpu_ns - books->settled_cpu_ns);
  double woken_ns = core_wait_ns - (off_core_ns > 0 ? off_core_ns : 0);
  if (woken_ns < 0) woken_ns = 0;
  if (woken_ns > books->waited_ns) woken_ns = books->waited_ns;
  books->cells[BOOKS_CORE_WAIT_NS + ACTIVITY_KERN_WAIT] += woken_ns;
  books->cells[BOOKS_SLEEP_NS] += books->waited_ns - woken_ns;
  books->waited_ns = 0;
  books->settled_ns = now_ns;
  books->settled_cpu_ns = cpu_ns;
  return core_wait_ns - woken_ns;
}

void books_switch(struct books *books, uint32_t activity) {
  if (!books->timed) return;
  uint64_t now = books_clock_ns();
  uint64_t elapsed = now - books->last_ns;
  books->cells[BOOKS_ACTIVITY_NS + books->activity] += (double)elapsed;
  // Waits are settled apart.
  if (elapsed > LONG_STRETCH_NS && books->activity != ACTIVITY_KERN_WAIT) {
    double core_wait_ns = books_settle(books);
    books->cells[BOOKS_CORE_WAIT_NS + books->activity] += core_wait_ns < (double)elapsed ? core_wait_ns : (double)elapsed;
  }
  books->cells[BOOKS_NOW_NS] = (double)now;
  books->cells[BOOKS_ACTIVITY] = activity;
  books->last_ns = now;
  books->activity = activity;
}

void books_refresh(struct books *books) {
  if (!books->timed) books->cells[BOOKS_NOW_NS] = (double)books_clock_ns();
}
