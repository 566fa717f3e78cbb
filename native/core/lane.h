// A lane: the descriptors, keys and AEAD contexts of one worker thread, and scratch memory for one batch. Every verb of
// the hot path is a function here: it checks the whole batch, then moves or transforms it. A verb returns -1 with a
// fault when nothing was done, else what its TypeScript twin (src/native/types.ts) returns.
#ifndef GIGATUN_LANE_H
#define GIGATUN_LANE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "aead.h"
#include "arena.h"
#include "books.h"
#include "fault.h"
#include "keys.h"
#include "layout.h"

// Datagram groups handed to one sendmmsg(), and messages taken from one recvmmsg().
enum { SEND_RUN_MAX = 64, RECEIVE_RUN_MAX = 16, CONTROL_LENGTH = 128 };

struct lane_options {
  int tun_fd, udp4_fd, udp6_fd; // -1 for none; not closed by the lane
  const char *aead;
  bool book_time;
  bool watch_link; // hears of changes of links and their addresses in this network namespace
};

struct lane {
  struct arena arena; // set by the binding for the length of one call
  struct books books;
  int tun_fd, udp4_fd, udp6_fd, wake_fd;
  int link_fd; // a netlink socket, or -1
  const struct aead *aead;
  void *aead_context;
  struct keys keys;
  uint32_t batch[BATCH_MAX * SEAL_WORDS]; // private copy of the descriptors at work; SEAL is the widest
  union {
    struct aead_job jobs[BATCH_MAX];
    struct iovec pieces[PIECES_MAX];
    struct {
      struct mmsghdr messages[SEND_RUN_MAX];
      struct iovec groups[SEND_RUN_MAX];
      struct sockaddr_in6 names[SEND_RUN_MAX];
      _Alignas(struct cmsghdr) uint8_t controls[SEND_RUN_MAX][CONTROL_LENGTH];
    } send;
    struct {
      struct mmsghdr messages[RECEIVE_RUN_MAX];
      struct iovec rooms[RECEIVE_RUN_MAX];
      struct sockaddr_in6 names[RECEIVE_RUN_MAX];
      _Alignas(struct cmsghdr) uint8_t controls[RECEIVE_RUN_MAX][CONTROL_LENGTH];
    } receive;
  } scratch;
};

// `lane` is zeroed memory whose arena and books.cells are set. 0, or -1 with a fault and nothing to close.
int lane_open(struct lane *lane, const struct lane_options *options, struct fault *fault);
void lane_close(struct lane *lane);

int lane_set_key(struct lane *lane, uint32_t slot, uint32_t cipher, const uint8_t *bytes, struct fault *fault);
int lane_clear_key(struct lane *lane, uint32_t slot, struct fault *fault);
int lane_wait(struct lane *lane, double timeout_ms, uint32_t watch, struct fault *fault);
int lane_read_tun(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_write_tun(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_receive_udp(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_send_udp(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_seal(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_unseal(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_check_macs(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_seal_cookies(struct lane *lane, const uint32_t *arguments, struct fault *fault);
int lane_accumulate(struct lane *lane, const uint32_t *arguments, struct fault *fault);

#endif
