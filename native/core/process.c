// Gives rights of the whole process up. Linux keeps capabilities and no_new_privs per thread, and Node has started
// threads long before this is called, so each thread must do it itself: in the handler of a signal that it cannot block.
// What is believed in the end is /proc, not that the handlers ran.
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

// By this signal the C library has all threads change their user; so it lets no thread block it (Node's SIGUSR1 thread
// blocks every other one), and refuses it to sigaction(), for which the system call stands in.
#ifdef __GLIBC__
enum { EVERY_THREAD_SIGNAL = 33 };
#else
enum { EVERY_THREAD_SIGNAL = 34 }; // musl
#endif
enum { CAPABILITIES_MAX = 64, KERNEL_SIGSET_BYTES = 8, POLL_NS = 200000, POLLS_MAX = 10000, ROUNDS_MAX = 64 };
enum { ASKED_MAX = 1024 }; // in one round

// The kernel's struct sigaction, whose layout is nobody's business here; it is smaller on all machines.
struct kernel_action {
  _Alignas(16) unsigned char bytes[128];
};

// Of the one call under way: a signal handler has no argument of ours.
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t kept;
static atomic_int failure;
static struct { // threads that were signalled in this round
  atomic_int tid;
  atomic_bool answered;
} asked[ASKED_MAX];
static atomic_int asked_count;

int process_forbid_dumps(struct fault *fault) {
  const struct rlimit none = {0, 0};
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return fault_system(fault, errno, "prctl PR_SET_DUMPABLE");
  return setrlimit(RLIMIT_CORE, &none) < 0 ? fault_system(fault, errno, "setrlimit RLIMIT_CORE") : 0;
}

static bool holds(uint64_t set, unsigned capability) { return (set >> capability & 1) != 0; }

// Without CAP_SETPCAP the bounding set stays as it is: under no_new_privs nothing is gained from it.
static void limit_bounding_set(uint64_t keep) {
  for (unsigned each = 0; each < CAPABILITIES_MAX && prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; each++) {
    if (!holds(keep, each)) prctl(PR_CAPBSET_DROP, each, 0, 0, 0);
  }
}

// Ambient, so that programs keep them that a user other than root executes.
static void set_ambient(uint64_t keep) {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (unsigned each = 0; each < CAPABILITIES_MAX; each++) {
    if (holds(keep, each)) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, each, 0, 0);
  }
}

// The calling thread; returns 0 or an errno. Only system calls: it runs in a signal handler.
static int limit_thread(uint64_t keep) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2];
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capget, &header, sets) < 0) return errno;
  keep &= sets[0].permitted | (uint64_t)sets[1].permitted << 32;
  limit_bounding_set(keep);
  for (int half = 0; half < 2; half++) {
    uint32_t bits = (uint32_t)(keep >> 32 * half);
    sets[half] = (struct __user_cap_data_struct){bits, bits, bits};
  }
  if (syscall(SYS_capset, &header, sets) < 0) return errno;
  set_ambient(keep);
  return 0;
}

static void on_signal(int number) {
  (void)number;
  int before = errno, result = limit_thread(atomic_load(&kept)), tid = (int)syscall(SYS_gettid);
  if (result != 0) atomic_store(&failure, result);
  for (int i = 0; i < atomic_load(&asked_count); i++) {
    if (atomic_load(&asked[i].tid) == tid) atomic_store(&asked[i].answered, true);
  }
  errno = before;
}

static int kernel_sigaction(int number, const struct kernel_action *new, struct kernel_action *old) {
  return (int)syscall(SYS_rt_sigaction, number, new, old, (size_t)KERNEL_SIGSET_BYTES);
}

// What the C library tells the kernel for a handler, which includes the way back from it: seen on a signal that is free.
static int describe_handler(struct kernel_action *action) {
  struct sigaction ours = {0}, before;
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  sigfillset(&ours.sa_mask);
  if (sigaction(SIGRTMAX, &ours, &before) < 0) return -1;
  int result = kernel_sigaction(SIGRTMAX, NULL, action);
  sigaction(SIGRTMAX, &before, NULL);
  return result;
}

static FILE *open_status(int tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  return fopen(path, "re");
}

static bool is_limited(FILE *status, uint64_t keep) {
  char line[128];
  unsigned long long inheritable = ~0ULL, permitted = ~0ULL;
  int no_new = 0;
  while (fgets(line, sizeof line, status) != NULL) {
    sscanf(line, "CapInh: %llx", &inheritable);
    sscanf(line, "CapPrm: %llx", &permitted);
    sscanf(line, "NoNewPrivs: %d", &no_new);
  }
  return no_new == 1 && ((inheritable | permitted) & ~keep) == 0;
}

// Lists the threads that are not limited yet in `asked`. Returns the number of all, or -1.
static int list_threads(uint64_t keep) {
  int threads = 0, count = 0;
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return -1;
  for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
    int tid = atoi(entry->d_name);
    FILE *status = tid == 0 ? NULL : open_status(tid);
    if (status == NULL) continue;
    threads++;
    if (!is_limited(status, keep) && count < ASKED_MAX) {
      atomic_store(&asked[count].answered, false);
      atomic_store(&asked[count++].tid, tid);
    }
    fclose(status);
  }
  closedir(tasks);
  atomic_store(&asked_count, count);
  return threads;
}

// No signal may be under way when the handler goes, so each thread has answered, or ended, before this returns true.
static bool all_answered(void) {
  for (int i = 0; i < atomic_load(&asked_count); i++) {
    if (atomic_load(&asked[i].answered)) continue;
    if (syscall(SYS_tgkill, getpid(), atomic_load(&asked[i].tid), 0) == 0) return false;
  }
  return true;
}

static bool ask_threads(void) {
  const struct timespec pause = {0, POLL_NS};
  for (int i = 0; i < atomic_load(&asked_count); i++) {
    syscall(SYS_tgkill, getpid(), atomic_load(&asked[i].tid), EVERY_THREAD_SIGNAL);
  }
  for (int polls = 0; polls < POLLS_MAX; polls++) {
    if (all_answered()) return true;
    nanosleep(&pause, NULL);
  }
  return false;
}

// Threads that were made meanwhile by one that was not limited yet are found in the next round. `*quiet`: no signal is
// under way any more.
static int limit_others(uint64_t keep, bool *quiet, struct fault *fault) {
  for (int rounds = 0; *quiet && rounds < ROUNDS_MAX; rounds++) {
    int threads = list_threads(keep);
    if (threads < 0) return fault_system(fault, errno, "opendir /proc/self/task");
    if (atomic_load(&asked_count) == 0) return threads;
    *quiet = ask_threads();
    if (atomic_load(&failure) != 0) return fault_system(fault, atomic_load(&failure), "capset");
  }
  return fault_system(fault, ETIMEDOUT, "tgkill");
}

static int limit_all(uint64_t keep, struct fault *fault) {
  struct kernel_action action, before;
  atomic_store(&kept, keep);
  atomic_store(&failure, limit_thread(keep));
  if (atomic_load(&failure) != 0) return fault_system(fault, atomic_load(&failure), "capset");
  if (describe_handler(&action) < 0 || kernel_sigaction(EVERY_THREAD_SIGNAL, &action, &before) < 0) {
    return fault_system(fault, errno, "rt_sigaction");
  }
  bool quiet = true;
  int result = limit_others(keep, &quiet, fault);
  if (quiet) kernel_sigaction(EVERY_THREAD_SIGNAL, &before, NULL);
  return result;
}

int process_limit(uint64_t keep, struct fault *fault) {
  pthread_mutex_lock(&one_at_a_time);
  int result = limit_all(keep, fault);
  pthread_mutex_unlock(&one_at_a_time);
  return result;
}
