// Blocks until a descriptor of the lane is ready. Only reads the state of descriptors; of the eventfd it also takes the
// value, so that one wake is seen once.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lane.h"

enum { WAIT_WAKE, WAIT_TUN, WAIT_UDP4, WAIT_UDP6, WAIT_LINK, WAIT_COUNT };

// Changes of links that are taken in one go; those that are left make the next wait short.
enum { LINK_CHANGES_MAX = 256 };

static int poll_for(struct pollfd *fds, double timeout_ms) {
  if (timeout_ms < 0) return ppoll(fds, WAIT_COUNT, NULL, NULL);
  double whole_seconds = (double)(long)(timeout_ms / 1000);
  struct timespec timeout = {(time_t)whole_seconds, (long)((timeout_ms - whole_seconds * 1000) * 1e6)};
  return ppoll(fds, WAIT_COUNT, &timeout, NULL);
}

static void take_wake(int wake_fd) {
  uint64_t wakes;
  while (read(wake_fd, &wakes, sizeof wakes) < 0 && errno == EINTR) {
  }
}

// What changed is asked for elsewhere; that messages were lost (ENOBUFS) says as much as any of them.
static void take_link_changes(int link_fd) {
  uint8_t start[16];
  for (int i = 0; i < LINK_CHANGES_MAX; i++) {
    if (recv(link_fd, start, sizeof start, MSG_DONTWAIT) < 0 && errno != ENOBUFS && errno != EINTR) return;
  }
}

static int ready_bits(const struct pollfd *fds) {
  int ready = 0;
  if (fds[WAIT_WAKE].revents != 0) ready |= READY_WAKE;
  if ((fds[WAIT_TUN].revents & POLLIN) != 0) ready |= READY_TUN;
  // A TUN whose interface was deleted answers POLLERR and nothing else.
  if ((fds[WAIT_TUN].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) ready |= READY_TUN_FAILED;
  // A pending socket error is taken by the next receive.
  if (fds[WAIT_UDP4].revents != 0) ready |= READY_UDP4;
  if (fds[WAIT_UDP6].revents != 0) ready |= READY_UDP6;
  if (fds[WAIT_LINK].revents != 0) ready |= READY_LINK;
  return ready;
}

int lane_wait(struct lane *lane, double timeout_ms, uint32_t watch, struct fault *fault) {
  struct pollfd fds[WAIT_COUNT] = {
      [WAIT_WAKE] = {lane->wake_fd, POLLIN, 0},
      [WAIT_TUN] = {(watch & READY_TUN) != 0 ? lane->tun_fd : -1, POLLIN, 0},
      [WAIT_UDP4] = {(watch & READY_UDP4) != 0 ? lane->udp4_fd : -1, POLLIN, 0},
      [WAIT_UDP6] = {(watch & READY_UDP6) != 0 ? lane->udp6_fd : -1, POLLIN, 0},
      [WAIT_LINK] = {(watch & READY_LINK) != 0 ? lane->link_fd : -1, POLLIN, 0},
  };
  books_count_io(&lane->books, BOOKS_WAIT_IO, 1);
  books_settle_if_due(&lane->books);
  int count = poll_for(fds, timeout_ms);
  int error = errno;
  if (timeout_ms != 0) books_note_wait(&lane->books);
  errno = error;
  if (count < 0 && errno != EINTR) return fault_system(fault, errno, "ppoll");
  if (count <= 0) return 0;
  int ready = ready_bits(fds);
  if ((ready & READY_LINK) != 0) take_link_changes(lane->link_fd);
  if ((ready & READY_WAKE) != 0) {
    take_wake(lane->wake_fd);
    // The control lane may want a snapshot, in which nothing is pending.
    if (lane->books.timed) books_settle(&lane->books);
  }
  return ready;
}
