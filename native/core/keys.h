// Key table of a lane: slots found by number in two steps, so that slots never move and no copy of a key is left behind.
#ifndef GIGATUN_KEYS_H
#define GIGATUN_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

struct aead_key {
  uint8_t bytes[KEY_LENGTH];
  void *derived;       // the back end's, made by its `prepare` and freed by its `forget`; null for none
  uint32_t generation; // grows whenever the slot changes, so that a back end sees that its copy is stale
  uint32_t cipher;     // CIPHER_…
  bool present;
};

enum { KEYS_PER_CHUNK = 1024, KEY_CHUNKS = KEY_SLOTS / KEYS_PER_CHUNK };

struct keys {
  struct aead_key *chunks[KEY_CHUNKS];
};

// Copies the key into its empty slot and returns it; null when memory is short. `slot` is below KEY_SLOTS.
struct aead_key *keys_set(struct keys *keys, uint32_t slot, uint32_t cipher, const uint8_t *bytes);
// Zeroes a key, from which nothing is derived any more.
void keys_clear(struct aead_key *key);
// The key in the slot, or null when it is empty or the number is out of range.
struct aead_key *keys_find(const struct keys *keys, uint32_t slot);
// Calls `visit` for every key.
void keys_each(const struct keys *keys, void (*visit)(void *context, struct aead_key *key), void *context);
void keys_close(struct keys *keys);

// Zeroes memory in a way that compilers keep.
void secret_zero(void *memory, unsigned long length);

#endif
