#include "lane.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
  books_open(&lane->books, options->book_time);
  return 0;
}

void lane_close(struct lane *lane) {
  lane->aead->close(lane->aead_context);
  keys_close(&lane->keys);
  close(lane->wake_fd);
  books_close(&lane->books);
  secret_zero(&lane->scratch, sizeof lane->scratch);
}

int lane_set_key(struct lane *lane, uint32_t slot, const uint8_t *key_or_null, struct fault *fault) {
  if (slot >= KEY_SLOTS) return fault_range(fault, "a key slot lies between 0 and 2^20 - 1");
  const struct aead_key *old = keys_clear(&lane->keys, slot);
  if (old != NULL) lane->aead->forget(lane->aead_context, old);
  if (key_or_null != NULL && !keys_set(&lane->keys, slot, key_or_null)) return fault_system(fault, ENOMEM, "calloc");
  return 0;
}
