// The arena: one block of memory that TypeScript owns and descriptors point into. Another thread may write to it at
// any time, so descriptors are copied out once (`arena_load`), checked in the copy, and used from the copy.
#ifndef GIGATUN_ARENA_H
#define GIGATUN_ARENA_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fault.h"
#include "layout.h"

struct arena {
  uint8_t *base;
  uint64_t length; // at most 2^31 - 1
};

static inline bool arena_holds(const struct arena *arena, uint32_t offset, uint64_t length) {
  return (uint64_t)offset + length <= arena->length;
}

static inline void arena_store(const struct arena *arena, uint32_t offset, uint32_t word) {
  memcpy(arena->base + offset, &word, sizeof word);
}

// Checks that `count` descriptors of `words` words lie in the arena. 0, or -1 with a fault.
int arena_check_column(const struct arena *arena, uint32_t offset, uint32_t count, uint32_t words, struct fault *fault);

// The same, and copies them to `copy`.
int arena_load(const struct arena *arena, uint32_t offset, uint32_t count, uint32_t words, uint32_t *copy,
               struct fault *fault);

#endif
