#include "aead.h"

#include <dlfcn.h>
#include <string.h>

// In the order in which they are tried; two may share a name.
static const struct aead *const back_ends[] = {&aead_ipsec_mb, &aead_openssl_direct, &aead_openssl};

enum { SAMPLE = 3049 };

// Seals the sample, or unseals it, with a key that lives as long as this call.
static bool run_sample(const struct aead *aead, void *context, uint32_t cipher, uint8_t *sample, bool seal) {
  struct aead_key key = {.bytes = {2, [31] = 3}, .cipher = cipher, .present = true};
  struct aead_job job = {.key = &key, .nonce = {4, [11] = 5}, .data = sample, .length = SAMPLE, .tag = sample + SAMPLE};
  if (!aead->prepare(context, &key)) return false;
  (seal ? aead->seal : aead->unseal)(context, &job);
  aead->finish(context);
  aead->forget(context, &key);
  return job.state == AEAD_GOOD;
}

static bool agree(const struct aead *aead, void *context, void *evp, uint32_t cipher) {
  uint8_t mine[SAMPLE + TAG_LENGTH] = {1}, theirs[SAMPLE + TAG_LENGTH] = {1};
  const uint8_t plain[SAMPLE] = {1};
  return run_sample(&aead_openssl, evp, cipher, theirs, true) && run_sample(aead, context, cipher, mine, true) &&
         memcmp(mine, theirs, sizeof mine) == 0 && run_sample(aead, context, cipher, mine, false) &&
         memcmp(mine, plain, SAMPLE) == 0;
}

bool aead_agrees_with_evp(const struct aead *aead, void *context) {
  void *evp = aead_openssl.open();
  if (evp == NULL) return false;
  bool good = true;
  for (uint32_t cipher = 0; good && cipher < CIPHER_COUNT; cipher++) good = agree(aead, context, evp, cipher);
  aead_openssl.close(evp);
  return good;
}

bool aead_tags_equal(const uint8_t *a, const uint8_t *b) {
  uint8_t difference = 0;
  for (int i = 0; i < TAG_LENGTH; i++) difference |= (uint8_t)(a[i] ^ b[i]);
  return difference == 0;
}

bool aead_find(void *library, const char *name, void *routine) {
  void *found = dlsym(library, name);
  memcpy(routine, &found, sizeof found);
  return found != NULL;
}

const struct aead *aead_open(const char *name, void **context) {
  for (size_t i = 0; i < sizeof back_ends / sizeof *back_ends; i++) {
    if (strcmp(name, "auto") != 0 && strcmp(name, back_ends[i]->name) != 0) continue;
    *context = back_ends[i]->open();
    if (*context != NULL) return back_ends[i];
  }
  *context = NULL;
  return NULL;
}
