// Runs AEAD cases from standard input on one back end, named by the first argument: "evp", "direct" (the two ways of
// openssl) or "ipsec-mb". A case is a line
//   cipher key nonce associated message ciphertext tag result
// of the cipher's name, hexadecimal fields ("-" for an empty one) and "valid" or "invalid". Prints "cases N"; exits 77 where the back end
// does not open.
#include <string.h>

#include "../core/aead.h"
#include "check.h"

enum { FIELDS = 6, FIELD_MAX = 1 << 16 };

struct bytes {
  uint8_t *at; // of exactly this length, so that AddressSanitizer sees the ends
  size_t length;
};

static struct bytes parse(const char *text) {
  struct bytes bytes = {malloc(FIELD_MAX), 0};
  if (strcmp(text, "-") == 0) text = "";
  for (unsigned byte; sscanf(text, "%2x", &byte) == 1; text += 2) bytes.at[bytes.length++] = (uint8_t)byte;
  bytes.at = realloc(bytes.at, bytes.length + (bytes.length == 0));
  return bytes;
}

static void check_case(const struct aead *aead, void *context, uint32_t cipher, struct bytes *f, bool valid) {
  struct aead_key key = {.cipher = cipher, .present = true};
  struct bytes *message = f + 3, *ciphertext = f + 4, *tag = f + 5;
  uint8_t *data = malloc(message->length + 1), made[TAG_LENGTH];
  CHECK(f[0].length == KEY_LENGTH && f[1].length == NONCE_LENGTH && tag->length == TAG_LENGTH);
  memcpy(key.bytes, f[0].at, KEY_LENGTH);
  CHECK(aead->prepare(context, &key));
  struct aead_job job = {.key = &key, .associated = f[2].at, .associated_length = f[2].length,
                         .data = data, .length = message->length, .tag = made};
  memcpy(job.nonce, f[1].at, NONCE_LENGTH);
  memcpy(data, message->at, message->length);
  aead->seal(context, &job);
  aead->finish(context);
  CHECK_EQUAL(job.state, AEAD_GOOD);
  if (valid) CHECK(memcmp(data, ciphertext->at, message->length) == 0 && memcmp(made, tag->at, TAG_LENGTH) == 0);
  memcpy(data, ciphertext->at, ciphertext->length);
  job.tag = tag->at;
  aead->unseal(context, &job);
  aead->finish(context);
  CHECK_EQUAL(job.state, valid ? AEAD_GOOD : AEAD_BAD);
  if (valid) CHECK_EQUAL(memcmp(data, message->at, message->length), 0);
  aead->forget(context, &key);
  CHECK(key.derived == NULL);
  free(data);
}

static uint32_t find_cipher(const char *name) {
  if (strcmp(name, "aes-256-gcm") == 0) return CIPHER_AES_256_GCM;
  CHECK(strcmp(name, "chacha20-poly1305") == 0);
  return CIPHER_CHACHA20_POLY1305;
}

static const struct aead *find_back_end(const char *name) {
  if (strcmp(name, "evp") == 0) return &aead_openssl;
  if (strcmp(name, "direct") == 0) return &aead_openssl_direct;
  return strcmp(name, "ipsec-mb") == 0 ? &aead_ipsec_mb : NULL;
}

int main(int argc, char **argv) {
  static char text[FIELDS][FIELD_MAX], cipher[32], result[16];
  const struct aead *aead = find_back_end(argc > 1 ? argv[1] : "");
  void *context = aead == NULL ? NULL : aead->open();
  if (context == NULL) return 77;
  int cases = 0;
  while (scanf("%31s %65535s %65535s %65535s %65535s %65535s %65535s %15s", cipher, text[0], text[1], text[2], text[3],
               text[4], text[5], result) == 8) {
    struct bytes fields[FIELDS];
    for (int i = 0; i < FIELDS; i++) fields[i] = parse(text[i]);
    check_case(aead, context, find_cipher(cipher), fields, strcmp(result, "valid") == 0);
    for (int i = 0; i < FIELDS; i++) free(fields[i].at);
    cases++;
  }
  aead->close(context);
  printf("cases %d\n", cases);
  return 0;
}
