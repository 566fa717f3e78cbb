// What an AEAD back end is: ChaCha20-Poly1305 (RFC 8439) and AES-256-GCM (NIST SP 800-38D) over jobs in place; a job's key
// says which. A back end may finish a job at once or later, at `finish`; a job's state says which. Another back end is another file with another `struct aead`, named in
// the table of aead.c.
#ifndef GIGATUN_AEAD_H
#define GIGATUN_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keys.h"

enum aead_state { AEAD_PENDING = 0, AEAD_GOOD, AEAD_BAD };

struct aead_job {
  const struct aead_key *key;
  uint8_t nonce[NONCE_LENGTH];
  const uint8_t *associated; // null when there is none, as in all transport messages
  size_t associated_length;
  uint8_t *data; // plaintext or ciphertext, replaced in place
  size_t length; // below 2^31
  uint8_t *tag;  // TAG_LENGTH bytes: written by seal, compared in constant time by unseal
  enum aead_state state;
  uint8_t computed_tag[TAG_LENGTH]; // for back ends that leave the comparison to their caller
};

struct aead {
  const char *name;
  // Null when the machine lacks what the back end needs.
  void *(*open)(void);
  // Both leave the job GOOD, BAD (unseal: wrong tag, the data is then garbage; seal: internal failure) or PENDING.
  void (*seal)(void *context, struct aead_job *job);
  void (*unseal)(void *context, struct aead_job *job);
  // Completes every pending job.
  void (*finish)(void *context);
  // Makes key->derived, if the key's cipher needs it; false when that fails.
  bool (*prepare)(void *context, struct aead_key *key);
  // Zeroes and drops whatever was derived from this key, in the context and in key->derived.
  void (*forget)(void *context, struct aead_key *key);
  void (*close)(void *context);
};

extern const struct aead aead_ipsec_mb, aead_openssl, aead_openssl_direct;

// AES-256-GCM by EVP, for the back ends of OpenSSL: the whole state is in key->derived.
bool gcm_prepare(struct aead_key *key);
void gcm_seal(struct aead_job *job);
void gcm_unseal(struct aead_job *job);
void gcm_forget(struct aead_key *key);

// Whether a back end that is opening seals and unseals a sample of each cipher as EVP does: longer than its inner buffers,
// of odd length.
bool aead_agrees_with_evp(const struct aead *aead, void *context);

// In constant time.
bool aead_tags_equal(const uint8_t *a, const uint8_t *b);

// Looks up a routine by name (dlsym) and stores it in the function pointer at `routine`; false when there is none.
bool aead_find(void *library, const char *name, void *routine);

// Opens the named back end, or for "auto" the first that opens. Null with *context null when there is none.
const struct aead *aead_open(const char *name, void **context);

#endif
