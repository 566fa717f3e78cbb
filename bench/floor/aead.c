/*
 * Both ciphers through intel-ipsec-mb: ChaCha20-Poly1305 by its job interface, AES-256-GCM by its direct one. Keys are
 * fixed. A seal writes the tag behind the text; an unseal keeps the computed tag in its slot until the receiver asks.
 */
#include <intel-ipsec-mb.h>

#include "floor.h"

static const uint8_t key[32] = {1};
static uint8_t nonces[RECEIVED_DATAGRAMS_MAX][12], tags[RECEIVED_DATAGRAMS_MAX][TAG_LENGTH];
static _Alignas(64) struct gcm_key_data aes_key; /* as the library asks */
static IMB_MGR *manager;
static int aes;

void aead_open(int use_aes) {
  aes = use_aes;
  manager = alloc_mb_mgr(0);
  if (!manager) die("alloc_mb_mgr");
  init_mb_mgr_auto(manager, NULL);
  IMB_AES256_GCM_PRE(manager, key, &aes_key);
}

static void chacha_submit(const uint8_t *nonce, uint8_t *text, unsigned length, uint8_t *tag, int seal) {
  IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
  memset(job, 0, sizeof *job);
  job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
  job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
  job->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  job->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  job->enc_keys = key;
  job->key_len_in_bytes = sizeof key;
  job->iv = nonce;
  job->iv_len_in_bytes = 12;
  job->src = text;
  job->dst = text;
  job->msg_len_to_cipher_in_bytes = length;
  job->msg_len_to_hash_in_bytes = length;
  job->auth_tag_output = tag;
  job->auth_tag_output_len_in_bytes = TAG_LENGTH;
  IMB_SUBMIT_JOB_NOCHECK(manager);
  while (IMB_GET_COMPLETED_JOB(manager)) {
  }
}

static const uint8_t *nonce_of(unsigned slot, const uint8_t *counter) {
  memcpy(nonces[slot] + 4, counter, 8);
  return nonces[slot];
}

void aead_seal(unsigned slot, uint8_t *text, unsigned length, const uint8_t *counter) {
  const uint8_t *nonce = nonce_of(slot, counter);
  struct gcm_context_data context;
  if (aes) IMB_AES256_GCM_ENC(manager, &aes_key, &context, text, text, length, nonce, NULL, 0, text + length, TAG_LENGTH);
  else chacha_submit(nonce, text, length, text + length, 1);
}

void aead_unseal(unsigned slot, uint8_t *text, unsigned length, const uint8_t *counter) {
  const uint8_t *nonce = nonce_of(slot, counter);
  struct gcm_context_data context;
  if (aes) IMB_AES256_GCM_DEC(manager, &aes_key, &context, text, text, length, nonce, NULL, 0, tags[slot], TAG_LENGTH);
  else chacha_submit(nonce, text, length, tags[slot], 0);
}

void aead_flush(void) {
  while (!aes && IMB_FLUSH_JOB(manager)) {
  }
}

int aead_tag_is_good(unsigned slot, const uint8_t *tag) {
  return memcmp(tags[slot], tag, TAG_LENGTH) == 0;
}
