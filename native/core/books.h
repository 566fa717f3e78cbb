// Time bookkeeping: at every moment a lane is in one activity, and each switch books the time since the last switch.
// The present activity and the last clock reading are kept here; the cells that TypeScript reads mirror them.
//
// Beside the time, the books note where the thread was runnable but had no core. The kernel counts that time in
// schedstat. Reading it takes 0.5 us, and 10 us when the machine was idle, so it is read only after a stretch so long
// that such a wait may be in it, and otherwise once for all waits of some milliseconds.
#ifndef GIGATUN_BOOKS_H
#define GIGATUN_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct books {
  double *cells; // BOOKS_CELLS cells, set by the binding for the length of one call
  uint64_t last_ns;
  uint32_t activity;
  bool timed;          // false: no time is booked
  int schedstat_fd;    // of the thread that opened the books; -1 where the kernel has none
  double core_wait_ns; // schedstat's run-queue wait as last read
  // Since the last settlement: its time, the thread's CPU time then, and the length of all waits since.
  uint64_t settled_ns;
  double settled_cpu_ns;
  double waited_ns;
};

// CLOCK_MONOTONIC.
uint64_t books_clock_ns(void);
void books_open(struct books *books, bool timed);
void books_close(struct books *books);
// Books the time since the last switch on the present activity and makes `activity` the present one.
void books_switch(struct books *books, uint32_t activity);
// Refreshes the lane's cheap clock where no time is booked.
void books_refresh(struct books *books);
// Reads the run-queue wait; returns what was added since the last reading.
double books_take_core_wait(struct books *books);
// Notes that the thread was in a wait from the last switch until now. A wait that found something ready was no wait.
void books_note_wait(struct books *books);
// Settles the noted waits if the last settlement is long ago.
void books_settle_if_due(struct books *books);
// Books what of the noted waits was sleep; the rest of them waited for a core after being woken. Returns how long the
// thread waited for a core while it was in none of them.
double books_settle(struct books *books);

static inline void books_count_io(struct books *books, int cell, uint32_t ios) { books->cells[cell] += ios; }

#endif
