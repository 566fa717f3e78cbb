// Stands in for core/aead.c in tests that need no libcrypto: a back end that leaves every second job pending until
// `finish`, so that both ways through lane_seal and lane_unseal run. Its "cipher" is an exclusive or with the first byte
// of key and nonce counter, its "tag" their sum with the data; no more than a stand-in.
#include <stdlib.h>
#include <string.h>

#include "../core/aead.h"
#include "fixture.h"

unsigned deferred_jobs;
int derived_keys;
static struct aead_job *pending[1024];
static bool sealing[1024];
static unsigned pending_count, jobs_seen;

static void run(struct aead_job *job, bool seal) {
  uint8_t tag[TAG_LENGTH] = {job->key->bytes[0], job->nonce[4], job->nonce[11], (uint8_t)job->length};
  for (size_t i = 0; i < job->length; i++) {
    if (!seal) tag[4 + i % 12] = (uint8_t)(tag[4 + i % 12] + job->data[i]);
    job->data[i] = (uint8_t)(job->data[i] ^ job->key->bytes[0] ^ job->nonce[4]);
    if (seal) tag[4 + i % 12] = (uint8_t)(tag[4 + i % 12] + job->data[i]);
  }
  if (seal) memcpy(job->tag, tag, TAG_LENGTH);
  job->state = seal || memcmp(job->tag, tag, TAG_LENGTH) == 0 ? AEAD_GOOD : AEAD_BAD;
}

static void submit(struct aead_job *job, bool seal) {
  if (++jobs_seen % 2 == 0) {
    run(job, seal);
    return;
  }
  job->state = AEAD_PENDING;
  sealing[pending_count] = seal;
  pending[pending_count++] = job;
}

static void double_seal(void *context, struct aead_job *job) { (void)context, submit(job, true); }
static void double_unseal(void *context, struct aead_job *job) { (void)context, submit(job, false); }

static void double_finish(void *context) {
  (void)context;
  for (unsigned i = 0; i < pending_count; i++) run(pending[i], sealing[i]);
  deferred_jobs += pending_count;
  pending_count = 0;
}

// What it derives is a counted block, so that a leak or a second release is seen.
static bool double_prepare(void *context, struct aead_key *key) {
  (void)context;
  key->derived = malloc(1);
  derived_keys++;
  return true;
}

static void double_forget(void *context, struct aead_key *key) {
  (void)context;
  free(key->derived);
  key->derived = NULL;
  derived_keys--;
}

static void double_close(void *context) { (void)context; }
static void *double_open(void) { return &deferred_jobs; }

static const struct aead aead_double = {
    .name = "double",
    .open = double_open,
    .seal = double_seal,
    .unseal = double_unseal,
    .finish = double_finish,
    .prepare = double_prepare,
    .forget = double_forget,
    .close = double_close,
};

const struct aead *aead_open(const char *name, void **context) {
  *context = strcmp(name, "double") == 0 ? aead_double.open() : NULL;
  return *context == NULL ? NULL : &aead_double;
}
