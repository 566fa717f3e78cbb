// Both ciphers by Intel's multi-buffer library (Debian: libipsec-mb1), which is two to three times as fast as OpenSSL's
// routines. It is found at run time, so that one build serves machines with and without it. ChaCha20-Poly1305 goes through
// its job interface; AES-256-GCM through its direct one, which has no queue and is done on return.
//
// Its header is not needed to build: of version 1 only the fields below are used, which stand where they stand from 1.1 to
// 1.5, the last of that line. They are believed only after the library named such a version, expanded a key within the
// bounds known here, and sealed samples as EVP does.
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"

#define LIBRARY "libIPSec_MB.so.1"

// Versions whose interface is the one below, as imb_get_version() numbers them.
enum { VERSION_FIRST = 0x10100, VERSION_END = 0x10600 };
enum { DIRECTION_ENCRYPT = 1, DIRECTION_DECRYPT = 2, ORDER_CIPHER_HASH = 1, ORDER_HASH_CIPHER = 2 };
enum { MB_CIPHER_CHACHA20_POLY1305 = 19, MB_HASH_CHACHA20_POLY1305 = 29, STATUS_COMPLETED = 3 };

// IMB_JOB, 200 bytes; fields of other algorithms are left out.
struct mb_job {
  const void *encrypt_key, *decrypt_key;
  uint64_t key_length;
  const uint8_t *source;
  uint8_t *destination;
  uint64_t cipher_offset, cipher_length, hash_offset, hash_length;
  const uint8_t *nonce;
  uint64_t nonce_length;
  uint8_t *tag;
  uint64_t tag_length;
  const void *associated;
  uint64_t associated_length;
  uint64_t unused_hash_field;
  uint32_t status, cipher, direction, hash, order, alignment;
  void *user;
  uint8_t rest[40];
};
_Static_assert(sizeof(struct mb_job) == 200, "IMB_JOB has 200 bytes");
_Static_assert(offsetof(struct mb_job, status) == 128 && offsetof(struct mb_job, user) == 152, "fields of IMB_JOB");

// An expanded AES key (struct gcm_key_data, 1,008 bytes, asked to lie at multiples of 64), with some bytes to spare.
enum { EXPANDED_KEY = 1008, EXPANDED_ALIGNMENT = 64, EXPANDED_SPACE = 1024 };

// struct gcm_context_data, 88 bytes: the library's scratch within one call.
struct gcm_scratch {
  uint64_t words[11];
};

typedef void gcm_routine(const void *expanded, struct gcm_scratch *scratch, uint8_t *out, const uint8_t *in,
                         uint64_t length, const uint8_t *nonce, const uint8_t *associated, uint64_t associated_length,
                         uint8_t *tag, uint64_t tag_length);

// The head of IMB_MGR: state, the job interface's functions, and among other algorithms' those of AES-256-GCM.
struct mb_manager {
  uint8_t state[64];
  struct mb_job *(*next_job)(struct mb_manager *);
  struct mb_job *(*submit_job)(struct mb_manager *);
  struct mb_job *(*submit_job_unchecked)(struct mb_manager *);
  struct mb_job *(*completed_job)(struct mb_manager *);
  struct mb_job *(*flush_job)(struct mb_manager *);
  void *others_before_seal[21];
  gcm_routine *gcm256_seal;
  void *others_before_unseal[2];
  gcm_routine *gcm256_unseal;
  void *others_before_expand[20];
  void (*gcm256_expand)(const uint8_t key[KEY_LENGTH], void *expanded);
};
_Static_assert(offsetof(struct mb_manager, gcm256_seal) == 272 && offsetof(struct mb_manager, gcm256_unseal) == 296 &&
                   offsetof(struct mb_manager, gcm256_expand) == 464,
               "functions of IMB_MGR");

struct library {
  void *handle;
  uint32_t (*version)(void);
  struct mb_manager *(*allocate)(uint64_t flags);
  void (*free_manager)(struct mb_manager *);
  void (*initialise)(struct mb_manager *, uint32_t *architecture);
};

struct context {
  struct library library;
  struct mb_manager *manager;
};

static void settle(const struct mb_job *done) {
  struct aead_job *job = done->user;
  bool completed = done->status == STATUS_COMPLETED;
  // A sealed message's tag was written to its place; an unsealed one's is compared.
  bool good = completed && (done->direction == DIRECTION_ENCRYPT || aead_tags_equal(job->computed_tag, job->tag));
  job->state = good ? AEAD_GOOD : AEAD_BAD;
}

static void submit_chacha(struct context *context, struct aead_job *job, bool seal) {
  struct mb_manager *manager = context->manager;
  struct mb_job *mb = manager->next_job(manager);
  mb->encrypt_key = mb->decrypt_key = job->key->bytes;
  mb->key_length = KEY_LENGTH;
  mb->source = mb->destination = job->data;
  mb->cipher_offset = mb->hash_offset = 0;
  mb->cipher_length = mb->hash_length = job->length;
  mb->nonce = job->nonce;
  mb->nonce_length = NONCE_LENGTH;
  mb->tag = seal ? job->tag : job->computed_tag;
  mb->tag_length = TAG_LENGTH;
  mb->associated = job->associated;
  mb->associated_length = job->associated_length;
  mb->cipher = MB_CIPHER_CHACHA20_POLY1305;
  mb->hash = MB_HASH_CHACHA20_POLY1305;
  mb->direction = seal ? DIRECTION_ENCRYPT : DIRECTION_DECRYPT;
  mb->order = seal ? ORDER_CIPHER_HASH : ORDER_HASH_CIPHER;
  mb->user = job;
  job->state = AEAD_PENDING;
  for (mb = manager->submit_job_unchecked(manager); mb != NULL; mb = manager->completed_job(manager)) settle(mb);
}

static void run_gcm(gcm_routine *routine, struct aead_job *job, uint8_t *tag) {
  struct gcm_scratch scratch;
  routine(job->key->derived, &scratch, job->data, job->data, job->length, job->nonce, job->associated,
          job->associated_length, tag, TAG_LENGTH);
  // It holds what the key yields for this message.
  secret_zero(&scratch, sizeof scratch);
}

static void mb_seal(void *opaque, struct aead_job *job) {
  struct context *context = opaque;
  if (job->key->cipher == CIPHER_CHACHA20_POLY1305) {
    submit_chacha(context, job, true);
    return;
  }
  run_gcm(context->manager->gcm256_seal, job, job->tag);
  job->state = AEAD_GOOD;
}

static void mb_unseal(void *opaque, struct aead_job *job) {
  struct context *context = opaque;
  if (job->key->cipher == CIPHER_CHACHA20_POLY1305) {
    submit_chacha(context, job, false);
    return;
  }
  run_gcm(context->manager->gcm256_unseal, job, job->computed_tag);
  job->state = aead_tags_equal(job->computed_tag, job->tag) ? AEAD_GOOD : AEAD_BAD;
}

static void mb_finish(void *opaque) {
  struct context *context = opaque;
  struct mb_job *mb;
  while ((mb = context->manager->flush_job(context->manager)) != NULL) settle(mb);
}

// A ChaCha20-Poly1305 key is named by pointer in each job; an AES key is expanded once.
static bool mb_prepare(void *opaque, struct aead_key *key) {
  const struct context *context = opaque;
  if (key->cipher == CIPHER_CHACHA20_POLY1305) return true;
  key->derived = aligned_alloc(EXPANDED_ALIGNMENT, EXPANDED_SPACE);
  if (key->derived == NULL) return false;
  context->manager->gcm256_expand(key->bytes, key->derived);
  return true;
}

static void mb_forget(void *context, struct aead_key *key) {
  (void)context;
  if (key->derived == NULL) return;
  secret_zero(key->derived, EXPANDED_SPACE);
  free(key->derived);
  key->derived = NULL;
}

static void mb_close(void *opaque) {
  struct context *context = opaque;
  if (context->manager != NULL) context->library.free_manager(context->manager);
  if (context->library.handle != NULL) dlclose(context->library.handle);
  free(context);
}

static bool load(struct library *library) {
  library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library->handle == NULL) return false;
  if (!aead_find(library->handle, "imb_get_version", &library->version) ||
      !aead_find(library->handle, "alloc_mb_mgr", &library->allocate) ||
      !aead_find(library->handle, "free_mb_mgr", &library->free_manager) ||
      !aead_find(library->handle, "init_mb_mgr_auto", &library->initialise)) {
    return false;
  }
  uint32_t version = library->version();
  return version >= VERSION_FIRST && version < VERSION_END;
}

// Whether an expanded key is as long as it is taken to be here.
static bool expands_within_bounds(const struct mb_manager *manager) {
  static const uint8_t key[KEY_LENGTH];
  _Alignas(EXPANDED_ALIGNMENT) uint8_t space[4 * EXPANDED_SPACE];
  memset(space, 0xa5, sizeof space);
  manager->gcm256_expand(key, space);
  for (size_t i = EXPANDED_KEY; i < sizeof space; i++) {
    if (space[i] != 0xa5) return false;
  }
  return true;
}

static void *mb_open(void) {
  struct context *context = calloc(1, sizeof *context);
  if (context == NULL) return NULL;
  if (load(&context->library)) context->manager = context->library.allocate(0);
  if (context->manager != NULL) {
    context->library.initialise(context->manager, NULL);
    if (expands_within_bounds(context->manager) && aead_agrees_with_evp(&aead_ipsec_mb, context)) return context;
  }
  mb_close(context);
  return NULL;
}

const struct aead aead_ipsec_mb = {
    .name = "ipsec-mb",
    .open = mb_open,
    .seal = mb_seal,
    .unseal = mb_unseal,
    .finish = mb_finish,
    .prepare = mb_prepare,
    .forget = mb_forget,
    .close = mb_close,
};
