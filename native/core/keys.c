#include "keys.h"

#include <stdlib.h>
#include <string.h>

void secret_zero(void *memory, unsigned long length) { explicit_bzero(memory, length); }

static struct aead_key *slot_of(const struct keys *keys, uint32_t slot) {
  struct aead_key *chunk = slot < KEY_SLOTS ? keys->chunks[slot / KEYS_PER_CHUNK] : NULL;
  return chunk == NULL ? NULL : chunk + slot % KEYS_PER_CHUNK;
}

struct aead_key *keys_set(struct keys *keys, uint32_t slot, uint32_t cipher, const uint8_t *bytes) {
  struct aead_key **chunk = &keys->chunks[slot / KEYS_PER_CHUNK];
  if (*chunk == NULL) *chunk = calloc(KEYS_PER_CHUNK, sizeof **chunk);
  if (*chunk == NULL) return NULL;
  struct aead_key *key = *chunk + slot % KEYS_PER_CHUNK;
  memcpy(key->bytes, bytes, KEY_LENGTH);
  key->cipher = cipher;
  key->generation++;
  key->present = true;
  return key;
}

void keys_clear(struct aead_key *key) {
  secret_zero(key->bytes, KEY_LENGTH);
  key->generation++;
  key->present = false;
}

struct aead_key *keys_find(const struct keys *keys, uint32_t slot) {
  struct aead_key *key = slot_of(keys, slot);
  return key != NULL && key->present ? key : NULL;
}

void keys_each(const struct keys *keys, void (*visit)(void *context, struct aead_key *key), void *context) {
  for (int i = 0; i < KEY_CHUNKS; i++) {
    for (int j = 0; keys->chunks[i] != NULL && j < KEYS_PER_CHUNK; j++) {
      if (keys->chunks[i][j].present) visit(context, keys->chunks[i] + j);
    }
  }
}

void keys_close(struct keys *keys) {
  for (int i = 0; i < KEY_CHUNKS; i++) {
    if (keys->chunks[i] == NULL) continue;
    secret_zero(keys->chunks[i], KEYS_PER_CHUNK * sizeof *keys->chunks[i]);
    free(keys->chunks[i]);
    keys->chunks[i] = NULL;
  }
}
