#include "lane.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Where there is no netlink, links and addresses are only looked at now and then.
static int open_link_watch(void) {
  // Addresses too: one that goes takes a path with it, without a word of its link.
  const uint32_t groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

int lane_open(struct lane *lane, const struct lane_options *options, struct fault *fault) {
  lane->tun_fd = options->tun_fd;
  lane->udp4_fd = options->udp4_fd;
  lane->udp6_fd = options->udp6_fd;
  lane->aead = aead_open(options->aead, &lane->aead_context);
  if (lane->aead == NULL) return fault_system(fault, ENOTSUP, "aead");
  lane->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (lane->wake_fd < 0) {
    lane->aead->close(lane->aead_context);
    return fault_system(fault, errno, "eventfd");
  }
  lane->link_fd = options->watch_link ? open_link_watch() : -1;
  books_open(&lane->books, options->book_time);
  return 0;
}

void lane_close(struct lane *lane) {
  keys_each(&lane->keys, lane->aead->forget, lane->aead_context);
  lane->aead->close(lane->aead_context);
  keys_close(&lane->keys);
  close(lane->wake_fd);
  if (lane->link_fd >= 0) close(lane->link_fd);
  books_close(&lane->books);
  secret_zero(&lane->scratch, sizeof lane->scratch);
}

static void clear_key(struct lane *lane, struct aead_key *key) {
  lane->aead->forget(lane->aead_context, key);
  keys_clear(key);
}

int lane_clear_key(struct lane *lane, uint32_t slot, struct fault *fault) {
  if (slot >= KEY_SLOTS) return fault_range(fault, "a key slot lies between 0 and 2^20 - 1");
  struct aead_key *key = keys_find(&lane->keys, slot);
  if (key != NULL) clear_key(lane, key);
  return 0;
}

int lane_set_key(struct lane *lane, uint32_t slot, uint32_t cipher, const uint8_t *bytes, struct fault *fault) {
  if (cipher >= CIPHER_COUNT) return fault_range(fault, "a cipher is 0 (chacha20-poly1305) or 1 (aes-256-gcm)");
  if (lane_clear_key(lane, slot, fault) < 0) return -1;
  struct aead_key *key = keys_set(&lane->keys, slot, cipher, bytes);
  if (key == NULL) return fault_system(fault, ENOMEM, "calloc");
  if (lane->aead->prepare(lane->aead_context, key)) return 0;
  clear_key(lane, key);
  return fault_system(fault, ENOMEM, "aead");
}
