#include "arena.h"

int arena_check_column(const struct arena *arena, uint32_t offset, uint32_t count, uint32_t words,
                       struct fault *fault) {
  if (count > BATCH_MAX) return fault_range(fault, "a batch has at most 1,024 descriptors");
  if (offset % 4 != 0) return fault_range(fault, "descriptors start at a multiple of 4 bytes");
  if (!arena_holds(arena, offset, (uint64_t)count * words * 4)) {
    return fault_range(fault, "descriptors lie outside the arena");
  }
  return 0;
}

int arena_load(const struct arena *arena, uint32_t offset, uint32_t count, uint32_t words, uint32_t *copy,
               struct fault *fault) {
  if (arena_check_column(arena, offset, count, words, fault) < 0) return -1;
  if (count > 0) memcpy(copy, arena->base + offset, (size_t)count * words * 4);
  return 0;
}
