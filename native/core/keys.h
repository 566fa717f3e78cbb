// Key table of a lane: slots found by number in two steps, so that slots never move and no copy of a key is left behind.
#ifndef GIGATUN_KEYS_H
#define GIGATUN_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

struct aead_key {
  uint8_t bytes[KEY_LENGTH];
  uint32_t generation; // grows whenever the slot changes, so that a back end sees that its copy is stale
  bool present;
};

enum { KEYS_PER_CHUNK = 1024, KEY_CHUNKS = KEY_SLOTS / KEYS_PER_CHUNK };

struct keys {
  struct aead_key *chunks[KEY_CHUNKS];
};

// Copies the key into its slot; false when memory is short. `slot` is below KEY_SLOTS.
bool keys_set(struct keys *keys, uint32_t slot, const uint8_t *bytes);
// Zeroes the slot and returns it; null when it was never used.
const struct aead_key *keys_clear(struct keys *keys, uint32_t slot);
// The key in the slot, or null when it is empty or the number is out of range.
const struct aead_key *keys_find(const struct keys *keys, uint32_t slot);
void keys_close(struct keys *keys);

// Zeroes memory in a way that compilers keep.
void secret_zero(void *memory, unsigned long length);

#endif
