// Limits a process of its own, with threads in every state that Node's are in, and looks at each in /proc.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/process.h"
#include "check.h"
#include "fixture.h"

enum { NET_ADMIN = 12, THREADS = 4 };

static int blocked_pipe[2];
static atomic_bool ending;

static void *sleep_blocked(void *unused) {
  char byte;
  (void)unused;
  while (read(blocked_pipe[0], &byte, 1) < 0 && errno == EINTR) continue;
  return NULL;
}

// As Node's thread for SIGUSR1: whatever it may block, it blocks.
static void *sleep_masked(void *unused) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  return sleep_blocked(unused);
}

static void *spin(void *unused) {
  (void)unused;
  while (!atomic_load(&ending)) continue;
  return NULL;
}


static unsigned long long status_word(const char *path, const char *format) {
  char line[128];
  unsigned long long word = ~0ULL;
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file) != NULL) sscanf(line, format, &word);
  fclose(file);
  return word;
}

static void limit_myself(void) {
  void *(*const bodies[THREADS])(void *) = {sleep_blocked, sleep_masked, spin, spin};
  pthread_t threads[THREADS], late;
  struct fault fault = {0};
  struct rlimit core;
  char path[64];
  CHECK(pipe(blocked_pipe) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(threads + i, NULL, bodies[i], NULL) == 0);

  CHECK_EQUAL(process_forbid_dumps(&fault), 0);
  CHECK_EQUAL(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
  CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);

  errno = 77;
  CHECK(process_limit(1ULL << NET_ADMIN, &fault) > THREADS);
  CHECK(pthread_create(&late, NULL, spin, NULL) == 0);
  CHECK(process_limit(1ULL << NET_ADMIN, &fault) > THREADS + 1); // again is fine
  snprintf(path, sizeof path, "/proc/self/status");
  CHECK_EQUAL(status_word(path, "NoNewPrivs: %llx"), 1);
  CHECK_EQUAL(status_word(path, "CapBnd: %llx") & ~(1ULL << NET_ADMIN) & (geteuid() == 0 ? ~0ULL : 0), 0);
  CHECK_EQUAL(status_word(path, "CapEff: %llx") & ~(1ULL << NET_ADMIN), 0);
  CHECK(process_limit(0, &fault) > 0);
  CHECK_EQUAL(status_word(path, "CapPrm: %llx"), 0);
  CHECK(setuid(getuid()) == 0); // the C library has its signal back: this asks every thread
  atomic_store(&ending, true);
  CHECK(write(blocked_pipe[1], "xx", 2) == 2);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_join(late, NULL);
}

void test_process(void) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    limit_myself();
    _exit(0); // no leak check, which would have to trace this process
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(status, 0);
}
