// Seal and unseal of whole batches: gather, checksum, padding and AEAD of one message follow one another while it is in
// the first-level cache. A back end that finishes jobs later has its messages completed after the last one.
#include <errno.h>
#include <string.h>

#include "checksum.h"
#include "lane.h"

// Four zero bytes and the counter: little-endian for ChaCha20-Poly1305, big-endian for AES-256-GCM (Noise revision 34,
// sections 12.3 and 12.4).
static void set_nonce(struct aead_job *job, uint32_t low, uint32_t high) {
  const uint32_t reversal = job->key->cipher == CIPHER_AES_256_GCM ? 7 : 0;
  const uint32_t words[2] = {low, high};
  memset(job->nonce, 0, 4);
  for (uint32_t i = 0; i < 8; i++) job->nonce[4 + (i ^ reversal)] = (uint8_t)(words[i / 4] >> (i % 4 * 8));
}

static bool overlaps(uint32_t a, uint32_t a_length, uint32_t b, uint64_t b_length) {
  return a_length > 0 && (uint64_t)a < (uint64_t)b + b_length && (uint64_t)b < (uint64_t)a + a_length;
}

static const char *seal_mistake(const struct lane *lane, const uint32_t *d) {
  uint64_t length = (uint64_t)d[SEAL_HEAD_LENGTH] + d[SEAL_PAYLOAD_LENGTH];
  uint64_t out_length = (uint64_t)d[SEAL_PADDED_LENGTH] + TAG_LENGTH;
  if (!arena_holds(&lane->arena, d[SEAL_HEAD_OFFSET], d[SEAL_HEAD_LENGTH]) ||
      !arena_holds(&lane->arena, d[SEAL_PAYLOAD_OFFSET], d[SEAL_PAYLOAD_LENGTH]) ||
      !arena_holds(&lane->arena, d[SEAL_OUT_OFFSET], out_length)) {
    return "a head, payload or output lies outside the arena";
  }
  if (d[SEAL_PADDED_LENGTH] < length) return "a padded length is shorter than head and payload";
  if (overlaps(d[SEAL_HEAD_OFFSET], d[SEAL_HEAD_LENGTH], d[SEAL_OUT_OFFSET], out_length) ||
      overlaps(d[SEAL_PAYLOAD_OFFSET], d[SEAL_PAYLOAD_LENGTH], d[SEAL_OUT_OFFSET], out_length)) {
    return "an output overlaps its head or payload";
  }
  if (keys_find(&lane->keys, d[SEAL_KEY_SLOT]) == NULL) return "a key slot is empty";
  if (d[SEAL_CHECKSUM_START] == UINT32_MAX) return NULL;
  if (d[SEAL_CHECKSUM_START] > length || (uint64_t)d[SEAL_CHECKSUM_FIELD] + 2 > length) {
    return "a checksum start or field lies outside the packet";
  }
  return d[SEAL_CHECKSUM_SEED] > INT32_MAX ? "a checksum seed lies between 0 and 2^31 - 1" : NULL;
}

// Writes the padded packet with its checksum to its place.
static void gather(const struct arena *arena, const uint32_t *d) {
  uint8_t *out = arena->base + d[SEAL_OUT_OFFSET];
  uint32_t length = d[SEAL_HEAD_LENGTH] + d[SEAL_PAYLOAD_LENGTH];
  memcpy(out, arena->base + d[SEAL_HEAD_OFFSET], d[SEAL_HEAD_LENGTH]);
  memcpy(out + d[SEAL_HEAD_LENGTH], arena->base + d[SEAL_PAYLOAD_OFFSET], d[SEAL_PAYLOAD_LENGTH]);
  memset(out + length, 0, d[SEAL_PADDED_LENGTH] - length);
  if (d[SEAL_CHECKSUM_START] == UINT32_MAX) return;
  uint16_t sum = checksum_sum(out + d[SEAL_CHECKSUM_START], length - d[SEAL_CHECKSUM_START]);
  uint16_t field = checksum_field(sum, d[SEAL_CHECKSUM_SEED]);
  out[d[SEAL_CHECKSUM_FIELD]] = (uint8_t)(field >> 8);
  out[d[SEAL_CHECKSUM_FIELD] + 1] = (uint8_t)field;
}

// A back end that fails to seal must not leave plaintext where ciphertext is expected.
static int check_sealed(const struct lane *lane, uint32_t count, struct fault *fault) {
  int result = 0;
  for (uint32_t i = 0; i < count; i++) {
    const struct aead_job *job = lane->scratch.jobs + i;
    if (job->state == AEAD_GOOD) continue;
    memset(job->data, 0, job->length + TAG_LENGTH);
    result = fault_system(fault, EIO, "aead");
  }
  return result;
}

// descriptors, count
int lane_seal(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  uint32_t count = arguments[1];
  if (arena_load(&lane->arena, arguments[0], count, SEAL_WORDS, lane->batch, fault) < 0) return -1;
  for (uint32_t i = 0; i < count; i++) {
    const char *mistake = seal_mistake(lane, lane->batch + i * SEAL_WORDS);
    if (mistake != NULL) return fault_range(fault, mistake);
  }
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t *d = lane->batch + i * SEAL_WORDS;
    struct aead_job *job = lane->scratch.jobs + i;
    gather(&lane->arena, d);
    job->key = keys_find(&lane->keys, d[SEAL_KEY_SLOT]);
    job->associated = NULL;
    job->associated_length = 0;
    job->data = lane->arena.base + d[SEAL_OUT_OFFSET];
    job->length = d[SEAL_PADDED_LENGTH];
    job->tag = job->data + job->length;
    set_nonce(job, d[SEAL_NONCE_LOW], d[SEAL_NONCE_HIGH]);
    lane->aead->seal(lane->aead_context, job);
  }
  lane->aead->finish(lane->aead_context);
  return check_sealed(lane, count, fault);
}

static const char *unseal_mistake(const struct lane *lane, const uint32_t *d) {
  if (d[UNSEAL_LENGTH] < TAG_LENGTH) return "a sealed message has at least 16 bytes";
  if (!arena_holds(&lane->arena, d[UNSEAL_OFFSET], d[UNSEAL_LENGTH])) return "a sealed message lies outside the arena";
  return NULL;
}

// Stores result and sum of a finished job; true when the message was good.
static bool settle(const struct lane *lane, uint32_t descriptor_at, const struct aead_job *job) {
  bool good = job->state == AEAD_GOOD;
  if (!good) memset(job->data, 0, job->length);
  uint32_t sum = good ? checksum_sum(job->data, job->length) : 0;
  arena_store(&lane->arena, descriptor_at + UNSEAL_RESULT * 4, good ? (uint32_t)job->length : (uint32_t)-1);
  arena_store(&lane->arena, descriptor_at + UNSEAL_SUM * 4, sum);
  return good;
}

// Hands one message to the back end; false when its key slot is empty, and then it is answered here.
static bool submit_unseal(struct lane *lane, uint32_t descriptor_at, const uint32_t *d, struct aead_job *job) {
  job->state = AEAD_BAD;
  job->key = keys_find(&lane->keys, d[UNSEAL_KEY_SLOT]);
  if (job->key == NULL) {
    arena_store(&lane->arena, descriptor_at + UNSEAL_RESULT * 4, (uint32_t)-1);
    arena_store(&lane->arena, descriptor_at + UNSEAL_SUM * 4, 0);
    return false;
  }
  job->associated = NULL;
  job->associated_length = 0;
  job->data = lane->arena.base + d[UNSEAL_OFFSET];
  job->length = d[UNSEAL_LENGTH] - TAG_LENGTH;
  job->tag = job->data + job->length;
  set_nonce(job, d[UNSEAL_NONCE_LOW], d[UNSEAL_NONCE_HIGH]);
  lane->aead->unseal(lane->aead_context, job);
  return true;
}

// descriptors, count
int lane_unseal(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  uint32_t at = arguments[0], count = arguments[1], good = 0;
  if (arena_load(&lane->arena, at, count, UNSEAL_WORDS, lane->batch, fault) < 0) return -1;
  for (uint32_t i = 0; i < count; i++) {
    const char *mistake = unseal_mistake(lane, lane->batch + i * UNSEAL_WORDS);
    if (mistake != NULL) return fault_range(fault, mistake);
  }
  bool pending[BATCH_MAX];
  for (uint32_t i = 0; i < count; i++) {
    struct aead_job *job = lane->scratch.jobs + i;
    uint32_t descriptor_at = at + i * UNSEAL_WORDS * 4;
    bool submitted = submit_unseal(lane, descriptor_at, lane->batch + i * UNSEAL_WORDS, job);
    pending[i] = submitted && job->state == AEAD_PENDING;
    if (submitted && !pending[i]) good += settle(lane, descriptor_at, job);
  }
  lane->aead->finish(lane->aead_context);
  for (uint32_t i = 0; i < count; i++) {
    if (pending[i]) good += settle(lane, at + i * UNSEAL_WORDS * 4, lane->scratch.jobs + i);
  }
  return (int)good;
}
