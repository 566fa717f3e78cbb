// Forward error correction's arithmetic over a batch of pieces of the arena: see galois.h.
#include "galois.h"
#include "lane.h"

static bool overlap(uint32_t one, uint32_t other, uint32_t length) {
  uint32_t apart = one < other ? other - one : one - other;
  return apart < length;
}

static int check(const struct arena *arena, const uint32_t *d, struct fault *fault) {
  uint32_t length = d[ACCUMULATE_LENGTH];
  if (!arena_holds(arena, d[ACCUMULATE_IN_OFFSET], length) || !arena_holds(arena, d[ACCUMULATE_OUT_OFFSET], length)) {
    return fault_range(fault, "what is accumulated lies outside the arena");
  }
  if (overlap(d[ACCUMULATE_IN_OFFSET], d[ACCUMULATE_OUT_OFFSET], length)) {
    return fault_range(fault, "what is accumulated overlaps its sum");
  }
  if (d[ACCUMULATE_COEFFICIENT] > 255) return fault_range(fault, "a coefficient is from 0 to 255");
  return 0;
}

int lane_accumulate(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  const uint32_t count = arguments[1];
  const struct arena *arena = &lane->arena;
  if (arena_load(arena, arguments[0], count, ACCUMULATE_WORDS, lane->batch, fault) < 0) return -1;
  for (uint32_t i = 0; i < count; i++) {
    if (check(arena, lane->batch + i * ACCUMULATE_WORDS, fault) < 0) return -1;
  }
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t *d = lane->batch + i * ACCUMULATE_WORDS;
    galois_accumulate(arena->base + d[ACCUMULATE_OUT_OFFSET], arena->base + d[ACCUMULATE_IN_OFFSET],
                      d[ACCUMULATE_LENGTH], (uint8_t)d[ACCUMULATE_COEFFICIENT]);
  }
  return 0;
}
