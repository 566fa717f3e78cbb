// ChaCha20-Poly1305 by Intel's multi-buffer library (Debian: libipsec-mb1), which is about twice as fast as OpenSSL's
// routines. It is found at run time, so that one build serves machines with and without it.
//
// Its header is not needed to build: of the job interface of version 1 only the fields below are used. The layout is
// believed only after the library named a version that has it and a sample message came out as EVP seals it.
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"

#define LIBRARY "libIPSec_MB.so.1"

// Versions whose job interface is the one below, as imb_get_version() numbers them.
enum { VERSION_FIRST = 0x10100, VERSION_END = 0x20000 };
enum { DIRECTION_ENCRYPT = 1, DIRECTION_DECRYPT = 2, ORDER_CIPHER_HASH = 1, ORDER_HASH_CIPHER = 2 };
enum { CIPHER_CHACHA20_POLY1305 = 19, HASH_CHACHA20_POLY1305 = 29, STATUS_COMPLETED = 3 };

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

// The head of IMB_MGR: state, then the job interface's functions.
struct mb_manager {
  uint8_t state[64];
  struct mb_job *(*next_job)(struct mb_manager *);
  struct mb_job *(*submit_job)(struct mb_manager *);
  struct mb_job *(*submit_job_unchecked)(struct mb_manager *);
  struct mb_job *(*completed_job)(struct mb_manager *);
  struct mb_job *(*flush_job)(struct mb_manager *);
};

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

static void submit(struct context *context, struct aead_job *job, bool seal) {
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
  mb->cipher = CIPHER_CHACHA20_POLY1305;
  mb->hash = HASH_CHACHA20_POLY1305;
  mb->direction = seal ? DIRECTION_ENCRYPT : DIRECTION_DECRYPT;
  mb->order = seal ? ORDER_CIPHER_HASH : ORDER_HASH_CIPHER;
  mb->user = job;
  job->state = AEAD_PENDING;
  for (mb = manager->submit_job_unchecked(manager); mb != NULL; mb = manager->completed_job(manager)) settle(mb);
}

static void mb_seal(void *context, struct aead_job *job) { submit(context, job, true); }
static void mb_unseal(void *context, struct aead_job *job) { submit(context, job, false); }

static void mb_finish(void *opaque) {
  struct context *context = opaque;
  struct mb_job *mb;
  while ((mb = context->manager->flush_job(context->manager)) != NULL) settle(mb);
}

// Keys are named by pointer in each job; nothing of them is kept.
static void mb_forget(void *context, const struct aead_key *key) {
  (void)context;
  (void)key;
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

static void *mb_open(void) {
  struct context *context = calloc(1, sizeof *context);
  if (context == NULL) return NULL;
  if (load(&context->library)) context->manager = context->library.allocate(0);
  if (context->manager != NULL) {
    context->library.initialise(context->manager, NULL);
    if (aead_agrees_with_evp(&aead_ipsec_mb, context)) return context;
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
    .forget = mb_forget,
    .close = mb_close,
};
