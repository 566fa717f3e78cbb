// Poly1305 (RFC 8439, section 2.5) over whole blocks.
#ifndef GIGATUN_POLY1305_H
#define GIGATUN_POLY1305_H

#include <stddef.h>
#include <stdint.h>

enum { POLY1305_KEY_LENGTH = 32, POLY1305_BLOCK_LENGTH = 16, POLY1305_TAG_LENGTH = 16 };

// `key`: for this one message. `blocks`: `count` times 16 bytes.
void poly1305_tag(const uint8_t key[POLY1305_KEY_LENGTH], const uint8_t *blocks, size_t count,
                  uint8_t tag[POLY1305_TAG_LENGTH]);

#endif
