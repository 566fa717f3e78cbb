// ChaCha20-Poly1305 by OpenSSL's own assembly routines, without the fixed cost of EVP (about 300 ns per message). Node's
// binary exports them, but no header declares them: so they are looked up by name, and this back end opens only if it
// agrees with EVP on a sample message. Where it does not open, EVP itself (aead_openssl.c) does the work.
//
// AES-256-GCM has no such routines that were stable from version to version: it goes by EVP (aead_openssl_gcm.c).
//
// RFC 8439, 2.8: block 0 of the key stream gives the Poly1305 key, the message starts at block 1. To have both from one
// call (a call for block 0 alone costs 110 ns), the message's first part is worked on in a scratch behind 64 zero bytes.
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"

enum { BLOCK = 64, PART = 2048, PAD = 16 };

struct routines {
  void (*chacha)(uint8_t *out, const uint8_t *in, size_t length, const uint32_t key[8], const uint32_t counter[4]);
  size_t (*poly_size)(void);
  void (*poly_init)(void *poly, const uint8_t key[32]);
  void (*poly_update)(void *poly, const uint8_t *in, size_t length);
  void (*poly_final)(void *poly, uint8_t tag[TAG_LENGTH]);
};

struct direct {
  struct routines call;
  void *poly;
  _Alignas(BLOCK) uint8_t scratch[BLOCK + PART];
};

static uint32_t little_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void stream(const struct direct *d, const struct aead_job *job, uint8_t *in_place, size_t length, uint32_t block) {
  uint32_t key[8], counter[4] = {block};
  for (int i = 0; i < 8; i++) key[i] = little_endian(job->key->bytes + i * 4);
  for (int i = 0; i < 3; i++) counter[i + 1] = little_endian(job->nonce + i * 4);
  d->call.chacha(in_place, in_place, length, key, counter);
}

static size_t part_of(const struct aead_job *job) { return job->length < PART ? job->length : PART; }

// Leaves the Poly1305 key and the transformed first part of the message in the scratch.
static void start(struct direct *d, const struct aead_job *job) {
  memset(d->scratch, 0, BLOCK);
  memcpy(d->scratch + BLOCK, job->data, part_of(job));
  stream(d, job, d->scratch, BLOCK + part_of(job), 0);
}

// Puts the first part in its place and transforms the rest there.
static void end(struct direct *d, const struct aead_job *job) {
  memcpy(job->data, d->scratch + BLOCK, part_of(job));
  if (job->length > PART) stream(d, job, job->data + PART, job->length - PART, 1 + PART / BLOCK);
}

static void authenticate(const struct direct *d, const uint8_t *bytes, size_t length) {
  if (length == 0) return;
  size_t rest = length % PAD;
  d->call.poly_update(d->poly, bytes, length - rest);
  if (rest == 0) return;
  uint8_t last[PAD] = {0};
  memcpy(last, bytes + length - rest, rest);
  d->call.poly_update(d->poly, last, PAD);
}

static void compute_tag(const struct direct *d, const struct aead_job *job, uint8_t tag[TAG_LENGTH]) {
  const uint64_t lengths[2] = {job->associated_length, job->length};
  uint8_t wire[PAD];
  for (int i = 0; i < PAD; i++) wire[i] = (uint8_t)(lengths[i / 8] >> (i % 8 * 8));
  d->call.poly_init(d->poly, d->scratch);
  authenticate(d, job->associated, job->associated_length);
  authenticate(d, job->data, job->length);
  d->call.poly_update(d->poly, wire, PAD);
  d->call.poly_final(d->poly, tag);
}

static void direct_seal(void *context, struct aead_job *job) {
  if (job->key->cipher == CIPHER_AES_256_GCM) {
    gcm_seal(job);
    return;
  }
  start(context, job);
  end(context, job);
  compute_tag(context, job, job->tag);
  job->state = AEAD_GOOD;
}

static void direct_unseal(void *context, struct aead_job *job) {
  if (job->key->cipher == CIPHER_AES_256_GCM) {
    gcm_unseal(job);
    return;
  }
  uint8_t tag[TAG_LENGTH];
  start(context, job);
  compute_tag(context, job, tag);
  job->state = aead_tags_equal(tag, job->tag) ? AEAD_GOOD : AEAD_BAD;
  if (job->state == AEAD_GOOD) end(context, job);
}

static void direct_finish(void *context) { (void)context; }

static bool direct_prepare(void *context, struct aead_key *key) {
  (void)context;
  return key->cipher != CIPHER_AES_256_GCM || gcm_prepare(key);
}

static void wipe(struct direct *d) {
  secret_zero(d->scratch, sizeof d->scratch);
  secret_zero(d->poly, d->call.poly_size());
}

// Of ChaCha20-Poly1305 nothing derived from a key outlives its message but the scratch.
static void direct_forget(void *context, struct aead_key *key) {
  gcm_forget(key);
  wipe(context);
}

static void direct_close(void *context) {
  struct direct *d = context;
  if (d->poly != NULL) wipe(d);
  free(d->poly);
  free(d);
}

static bool find_all(struct routines *call) {
  return aead_find(RTLD_DEFAULT, "ChaCha20_ctr32", &call->chacha) && aead_find(RTLD_DEFAULT, "Poly1305_ctx_size", &call->poly_size) &&
         aead_find(RTLD_DEFAULT, "Poly1305_Init", &call->poly_init) && aead_find(RTLD_DEFAULT, "Poly1305_Update", &call->poly_update) &&
         aead_find(RTLD_DEFAULT, "Poly1305_Final", &call->poly_final);
}

static void *direct_open(void) {
  struct direct *d = aligned_alloc(BLOCK, sizeof *d);
  if (d == NULL) return NULL;
  memset(d, 0, sizeof *d);
  if (find_all(&d->call)) d->poly = aligned_alloc(BLOCK, (d->call.poly_size() + BLOCK - 1) / BLOCK * BLOCK);
  if (d->poly != NULL && aead_agrees_with_evp(&aead_openssl_direct, d)) return d;
  direct_close(d);
  return NULL;
}

const struct aead aead_openssl_direct = {
    .name = "openssl",
    .open = direct_open,
    .seal = direct_seal,
    .unseal = direct_unseal,
    .finish = direct_finish,
    .prepare = direct_prepare,
    .forget = direct_forget,
    .close = direct_close,
};
