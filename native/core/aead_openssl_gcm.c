// AES-256-GCM through OpenSSL's EVP. Expanding a key and its hash key costs more than sealing a message, so each key has a
// context of its own, keyed once; it serves both ways, since GCM only ever enciphers with AES. Per message the nonce is set.
#include <openssl/evp.h>
#include <stdbool.h>

#include "aead.h"

enum { WAY_UNSEAL = 0, WAY_SEAL = 1 };

bool gcm_prepare(struct aead_key *key) {
  EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
  key->derived = cipher;
  return cipher != NULL && EVP_CipherInit_ex2(cipher, EVP_aes_256_gcm(), key->bytes, NULL, WAY_SEAL, NULL) == 1;
}

// Also zeroes the expanded key.
void gcm_forget(struct aead_key *key) {
  EVP_CIPHER_CTX_free(key->derived);
  key->derived = NULL;
}

static bool run(EVP_CIPHER_CTX *cipher, const struct aead_job *job, int way) {
  int written = 0;
  return EVP_CipherInit_ex2(cipher, NULL, NULL, job->nonce, way, NULL) == 1 &&
         (way == WAY_SEAL || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LENGTH, job->tag) == 1) &&
         (job->associated_length == 0 ||
          EVP_CipherUpdate(cipher, NULL, &written, job->associated, (int)job->associated_length) == 1) &&
         (job->length == 0 || EVP_CipherUpdate(cipher, job->data, &written, job->data, (int)job->length) == 1);
}

static bool end(EVP_CIPHER_CTX *cipher) {
  uint8_t none[TAG_LENGTH];
  int written = 0;
  return EVP_CipherFinal_ex(cipher, none, &written) == 1;
}

void gcm_seal(struct aead_job *job) {
  EVP_CIPHER_CTX *cipher = job->key->derived;
  bool good = run(cipher, job, WAY_SEAL) && end(cipher) &&
              EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LENGTH, job->tag) == 1;
  job->state = good ? AEAD_GOOD : AEAD_BAD;
}

// EVP compares the tag in constant time (CRYPTO_memcmp).
void gcm_unseal(struct aead_job *job) {
  EVP_CIPHER_CTX *cipher = job->key->derived;
  job->state = run(cipher, job, WAY_UNSEAL) && end(cipher) ? AEAD_GOOD : AEAD_BAD;
}
