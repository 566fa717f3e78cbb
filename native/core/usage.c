// What the operating system says about the calling thread, and eventfds.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "layout.h"

static double clock_ns(clockid_t clock) {
  struct timespec now = {0};
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double timeval_ns(struct timeval time) { return (double)time.tv_sec * 1e9 + (double)time.tv_usec * 1e3; }

// Fields of schedstat: time on a core, time waiting for one, time slices.
double schedstat_run_queue_wait_ns(int fd) {
  char text[96], *second;
  ssize_t length = pread(fd, text, sizeof text - 1, 0);
  text[length < 0 ? 0 : length] = '\0';
  second = strchr(text, ' ');
  return second == NULL ? -1 : (double)strtoull(second, NULL, 10);
}

int schedstat_open(void) { return open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC); }

static double run_queue_wait_ns(void) {
  int fd = schedstat_open();
  if (fd < 0) return -1;
  double wait_ns = schedstat_run_queue_wait_ns(fd);
  close(fd);
  return wait_ns;
}

int usage_read(double *cells, struct fault *fault) {
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) < 0) return fault_system(fault, errno, "getrusage");
  memset(cells, 0, USAGE_CELLS * sizeof *cells);
  cells[USAGE_MONOTONIC_NS] = clock_ns(CLOCK_MONOTONIC);
  cells[USAGE_BOOT_NS] = clock_ns(CLOCK_BOOTTIME);
  cells[USAGE_REAL_NS] = clock_ns(CLOCK_REALTIME);
  cells[USAGE_USER_NS] = timeval_ns(usage.ru_utime);
  cells[USAGE_SYSTEM_NS] = timeval_ns(usage.ru_stime);
  cells[USAGE_CPU_NS] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  cells[USAGE_RUN_QUEUE_WAIT_NS] = run_queue_wait_ns();
  cells[USAGE_VOLUNTARY_SWITCHES] = (double)usage.ru_nvcsw;
  cells[USAGE_INVOLUNTARY_SWITCHES] = (double)usage.ru_nivcsw;
  cells[USAGE_MINOR_FAULTS] = (double)usage.ru_minflt;
  cells[USAGE_MAJOR_FAULTS] = (double)usage.ru_majflt;
  return 0;
}

bool descriptor_is_eventfd(int fd) {
  char path[64], target[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, target, sizeof target - 1);
  if (length < 0) return false;
  target[length] = '\0';
  return strcmp(target, "anon_inode:[eventfd]") == 0;
}

int eventfd_wake(int fd, struct fault *fault) {
  const uint64_t one = 1;
  while (write(fd, &one, sizeof one) < 0) {
    if (errno == EAGAIN) return 0; // as full as it gets: the lane will wake
    if (errno != EINTR) return fault_system(fault, errno, "write eventfd");
  }
  return 0;
}
