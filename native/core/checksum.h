// Internet checksum (RFC 1071) over bytes.
#ifndef GIGATUN_CHECKSUM_H
#define GIGATUN_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

// Folded ones' complement sum (0 to 65,535) of big-endian 16-bit words; an odd last byte counts as its word's high byte.
uint16_t checksum_sum(const uint8_t *bytes, size_t length);

// What a checksum field holds for this sum and seed; 0 is given as 0xffff (RFC 768), its equal in ones' complement.
uint16_t checksum_field(uint16_t sum, uint32_t seed);

#endif
