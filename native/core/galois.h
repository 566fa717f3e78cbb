// Arithmetic of GF(256), bytes as polynomials over GF(2) modulo x^8 + x^4 + x^3 + x^2 + 1 (0x11d): the field of
// Reed-Solomon codes (RFC 5510, 8.1). Sums are exclusive ors.
#ifndef GIGATUN_GALOIS_H
#define GIGATUN_GALOIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Ways to do the same; not every machine has them all.
enum galois_way { GALOIS_PORTABLE, GALOIS_SSSE3, GALOIS_AVX2, GALOIS_WAYS };

bool galois_has(enum galois_way way);

// out[i] ^= coefficient * in[i]. The two do not overlap.
void galois_accumulate(uint8_t *out, const uint8_t *in, size_t length, uint8_t coefficient);

// The same in one of the ways that this machine has.
void galois_accumulate_by(enum galois_way way, uint8_t *out, const uint8_t *in, size_t length, uint8_t coefficient);

#endif
