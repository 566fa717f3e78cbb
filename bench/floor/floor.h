/*
 * What the parts of the rod share: sizes, the two inner IP versions seen as one shape, the counters, and who calls whom.
 * One thread, one peer, fixed keys: all state is static, which a product could not afford and a rod should.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdint.h>
#include <sys/uio.h>

#include "bytes.h"

enum {
  MTU = 1420,
  HEADER_LENGTH = 16,      /* type, receiver index, counter: as in WireGuard's transport message */
  TAG_LENGTH = 16,
  VIRTIO_LENGTH = 10,
  SUPER_PACKET_MAX = 65535,
  GROUP_BYTES_MAX = 65000, /* below what IPv4 UDP can carry */
  GROUP_DATAGRAMS_MAX = 64,
  RECEIVED_DATAGRAMS_MAX = 128,
  READS_MAX = 64,          /* TUN reads of one turn, also bounded by */
  READ_BYTES_MAX = 200000,
  RECEIVES_MAX = 8,        /* UDP receives of one turn */
  TCP_CHECKSUM = 16,       /* offset of the checksum in the TCP header (RFC 9293, 3.1) */
  TCP_FLAGS = 13,
  FLAG_FIN = 1,
  FLAG_PSH = 8,
  FLAG_ACK = 16,
};

struct counts {
  uint64_t tun_rx, udp_tx, udp_rx, tun_tx, tun_reads, udp_sends, udp_receives, tun_writes, bad;
};
extern struct counts counts;
extern int tun_fd, udp_fd;

/* Where an inner packet's parts lie. IPv6 extension headers are not followed: such packets travel, but do not coalesce. */
struct shape {
  unsigned ip_length;       /* of the IP header */
  unsigned total_length;    /* of the packet, as its IP header says; 0 when it is no IP packet */
  unsigned addresses;       /* offset of source and destination address */
  unsigned addresses_length;
  unsigned next;            /* protocol of what follows the IP header */
};

static inline struct shape shape_of(const uint8_t *ip) {
  if (ip[0] >> 4 == 4) return (struct shape){(ip[0] & 15) * 4u, load_be16(ip + 2), 12, 8, ip[9]};
  if (ip[0] >> 4 == 6) return (struct shape){40, 40u + load_be16(ip + 4), 8, 32, ip[6]};
  return (struct shape){0};
}

/* Sum of the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1). */
static inline uint64_t pseudo_sum(const uint8_t *ip, const struct shape *shape, unsigned transport_length) {
  uint8_t rest[4] = {0, (uint8_t)shape->next};
  store_be16(rest + 2, transport_length);
  return sum_of(ip + shape->addresses, shape->addresses_length) + sum_of(rest, sizeof rest);
}

/* Writes the total length into an IP header, and its checksum where the version has one. */
static inline void ip_finish(uint8_t *ip, const struct shape *shape, unsigned total_length) {
  if (shape->addresses_length == 32) {
    store_be16(ip + 4, total_length - 40);
    return;
  }
  store_be16(ip + 2, total_length);
  store_be16(ip + 10, 0);
  store_sum(ip + 10, (uint16_t)~fold(sum_of(ip, shape->ip_length)));
}

/* aead.c: in place, 12-byte nonce = 4 zero bytes and the 8 bytes at `counter`; done when aead_flush returns. */
void aead_open(int use_aes);
void aead_seal(unsigned slot, uint8_t *text, unsigned length, const uint8_t *counter);
void aead_unseal(unsigned slot, uint8_t *text, unsigned length, const uint8_t *counter);
void aead_flush(void);
int aead_tag_is_good(unsigned slot, const uint8_t *tag);

/* outbound.c, inbound.c: one turn each. */
void outbound_turn(const void *peer, unsigned peer_length);
void inbound_turn(void);

void die(const char *what);

#endif
