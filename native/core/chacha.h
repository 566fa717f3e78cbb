// Blocks of ChaCha20 (RFC 8439, section 2.3) under one key, eight at a time, and the subkeys of XChaCha20.
#ifndef GIGATUN_CHACHA_H
#define GIGATUN_CHACHA_H

#include <stdint.h>

#include "eight.h"

enum { CHACHA_KEY_LENGTH = 32, CHACHA_KEY_WORDS = 8, CHACHA_NONCE_WORDS = 4, CHACHA_BLOCK_WORDS = 16 };

// `nonces`: the last four words of each block's input, the counter first.
void chacha_eight(const uint32_t key[CHACHA_KEY_WORDS], const uint32_t nonces[EIGHT][CHACHA_NONCE_WORDS],
                  uint32_t blocks[EIGHT][CHACHA_BLOCK_WORDS]);

// HChaCha20 (draft-irtf-cfrg-xchacha, section 2.2): the key for all nonces that start with these four words.
void chacha_subkey(const uint8_t key[CHACHA_KEY_LENGTH], const uint32_t nonce[CHACHA_NONCE_WORDS],
                   uint32_t subkey[CHACHA_KEY_WORDS]);

#endif
