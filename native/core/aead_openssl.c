// Both ciphers through OpenSSL's EVP, which finishes every job at once. For ChaCha20-Poly1305 there is one context per way,
// keyed again only when the key differs from the last message's; per message only the nonce is set. AES-256-GCM, whose
// keying is dear, has a context per key: aead_openssl_gcm.c.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "aead.h"

struct half {
  EVP_CIPHER_CTX *cipher;
  const struct aead_key *key; // what the cipher is keyed with, null for nothing
  uint32_t generation;
};

struct openssl {
  EVP_CIPHER *chacha;
  struct half seal, unseal;
};

static bool half_open(struct half *half, const EVP_CIPHER *chacha, int encrypting) {
  half->cipher = EVP_CIPHER_CTX_new();
  return half->cipher != NULL && EVP_CipherInit_ex2(half->cipher, chacha, NULL, NULL, encrypting, NULL) == 1;
}

static void openssl_close(void *context) {
  struct openssl *o = context;
  EVP_CIPHER_CTX_free(o->seal.cipher);
  EVP_CIPHER_CTX_free(o->unseal.cipher);
  EVP_CIPHER_free(o->chacha);
  free(o);
}

static void *openssl_open(void) {
  struct openssl *o = calloc(1, sizeof *o);
  if (o == NULL) return NULL;
  o->chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
  if (o->chacha != NULL && half_open(&o->seal, o->chacha, 1) && half_open(&o->unseal, o->chacha, 0)) return o;
  openssl_close(o);
  return NULL;
}

static bool half_start(struct half *half, const struct aead_job *job) {
  bool keyed = half->key == job->key && half->generation == job->key->generation;
  if (EVP_CipherInit_ex2(half->cipher, NULL, keyed ? NULL : job->key->bytes, job->nonce, -1, NULL) != 1) return false;
  half->key = job->key;
  half->generation = job->key->generation;
  int written = 0;
  return job->associated_length == 0 ||
         EVP_CipherUpdate(half->cipher, NULL, &written, job->associated, (int)job->associated_length) == 1;
}

static bool half_run(const struct half *half, const struct aead_job *job) {
  int written = 0;
  return job->length == 0 || EVP_CipherUpdate(half->cipher, job->data, &written, job->data, (int)job->length) == 1;
}

static bool half_end(const struct half *half) {
  uint8_t none[TAG_LENGTH];
  int written = 0;
  return EVP_CipherFinal_ex(half->cipher, none, &written) == 1;
}

static void openssl_seal(void *context, struct aead_job *job) {
  if (job->key->cipher == CIPHER_AES_256_GCM) {
    gcm_seal(job);
    return;
  }
  struct half *half = &((struct openssl *)context)->seal;
  bool good = half_start(half, job) && half_run(half, job) && half_end(half) &&
              EVP_CIPHER_CTX_ctrl(half->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LENGTH, job->tag) == 1;
  job->state = good ? AEAD_GOOD : AEAD_BAD;
}

static void openssl_unseal(void *context, struct aead_job *job) {
  if (job->key->cipher == CIPHER_AES_256_GCM) {
    gcm_unseal(job);
    return;
  }
  struct half *half = &((struct openssl *)context)->unseal;
  bool good = half_start(half, job) &&
              EVP_CIPHER_CTX_ctrl(half->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LENGTH, job->tag) == 1 &&
              half_run(half, job) && half_end(half);
  job->state = good ? AEAD_GOOD : AEAD_BAD;
}

static void openssl_finish(void *context) { (void)context; }

static void half_forget(struct half *half, const struct aead_key *key) {
  static const uint8_t nothing[KEY_LENGTH];
  if (half->key != key) return;
  EVP_CipherInit_ex2(half->cipher, NULL, nothing, nothing, -1, NULL);
  half->key = NULL;
}

static bool openssl_prepare(void *context, struct aead_key *key) {
  (void)context;
  return key->cipher != CIPHER_AES_256_GCM || gcm_prepare(key);
}

static void openssl_forget(void *context, struct aead_key *key) {
  struct openssl *o = context;
  gcm_forget(key);
  half_forget(&o->seal, key);
  half_forget(&o->unseal, key);
}

const struct aead aead_openssl = {
    .name = "openssl",
    .open = openssl_open,
    .seal = openssl_seal,
    .unseal = openssl_unseal,
    .finish = openssl_finish,
    .prepare = openssl_prepare,
    .forget = openssl_forget,
    .close = openssl_close,
};
