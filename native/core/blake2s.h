// Keyed BLAKE2s with a digest of 16 bytes (RFC 7693): the MACs of handshake messages, eight at a time.
#ifndef GIGATUN_BLAKE2S_H
#define GIGATUN_BLAKE2S_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eight.h"

enum { BLAKE2S_MAC_LENGTH = 16 };

struct blake2s_eight {
  const uint8_t *keys[EIGHT], *inputs[EIGHT];
  uint8_t macs[EIGHT][BLAKE2S_MAC_LENGTH]; // out
};

// Ways to do the same; not every machine has them all.
enum blake2s_way { BLAKE2S_PORTABLE, BLAKE2S_AVX2, BLAKE2S_WAYS };

bool blake2s_has(enum blake2s_way way);

// Keys have 1 to 32 bytes each, all equally many; inputs 1 byte or more, all equally many. Inputs and keys may be the same ones.
void blake2s_mac_eight(struct blake2s_eight *eight, size_t key_length, size_t length);

// The same in one of the ways that this machine has.
void blake2s_mac_eight_by(enum blake2s_way way, struct blake2s_eight *eight, size_t key_length, size_t length);

#endif
