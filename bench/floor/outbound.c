/*
 * TUN to UDP: a super-packet is read, cut into segments, each copied once into the datagram group behind its header,
 * given its checksum, padded and sealed there; the group leaves as one UDP GSO message. A group may hold segments of
 * several reads. All its datagrams have one length, but for a shorter last one, which ends it.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

static uint8_t super_packet[VIRTIO_LENGTH + SUPER_PACKET_MAX + 64];
static uint8_t group[GROUP_BYTES_MAX + HEADER_LENGTH + SUPER_PACKET_MAX + TAG_LENGTH];
static unsigned group_length, group_datagrams, datagram_length;
static uint64_t next_counter = 1;
static struct msghdr message;

static int tun_read(void);
static void group_send(void);

void outbound_turn(const void *peer, unsigned peer_length) {
  message.msg_name = (void *)peer;
  message.msg_namelen = peer_length;
  for (int reads = 0, bytes = 0; reads < READS_MAX && bytes < READ_BYTES_MAX; reads++) {
    int length = tun_read();
    if (length <= 0) break;
    bytes += length;
  }
  group_send();
}

static void group_send(void) {
  if (group_datagrams == 0) return;
  aead_flush();
  struct iovec piece = {group, group_length};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
  } control = {0};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = group_datagrams > 1 ? &control : NULL;
  message.msg_controllen = group_datagrams > 1 ? sizeof control.bytes : 0;
  if (group_datagrams > 1) {
    struct cmsghdr *segment = CMSG_FIRSTHDR(&message);
    uint16_t length = (uint16_t)datagram_length;
    segment->cmsg_level = IPPROTO_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof length);
    memcpy(CMSG_DATA(segment), &length, sizeof length);
  }
  if (sendmsg(udp_fd, &message, 0) < 0 && errno != EAGAIN && errno != ENOBUFS) die("sendmsg");
  counts.udp_sends++;
  counts.udp_tx += group_datagrams;
  group_length = group_datagrams = 0;
}

static unsigned padded(unsigned length) {
  unsigned up = (length + 15) & ~15u;
  return up > MTU ? length : up;
}

/* Makes room for a message with an inner packet of `length` bytes; returns where that packet goes. */
static uint8_t *message_begin(unsigned length) {
  unsigned size = HEADER_LENGTH + padded(length) + TAG_LENGTH;
  if (group_datagrams > 0 && (size > datagram_length || group_length + size > GROUP_BYTES_MAX)) group_send();
  if (group_datagrams == 0) datagram_length = size;
  return group + group_length + HEADER_LENGTH;
}

static void message_end(uint8_t *packet, unsigned length) {
  static const uint8_t type_and_index[8] = {4, 0, 0, 0, 7, 0, 0, 0};
  unsigned text = padded(length), size = HEADER_LENGTH + text + TAG_LENGTH;
  uint8_t *header = packet - HEADER_LENGTH;
  memset(packet + length, 0, text - length);
  memcpy(header, type_and_index, 8);
  memcpy(header + 8, &next_counter, 8);
  next_counter++;
  aead_seal(group_datagrams, packet, text, header + 8);
  group_length += size;
  group_datagrams++;
  counts.tun_rx++;
  if (group_datagrams == GROUP_DATAGRAMS_MAX || size < datagram_length) group_send();
}

/* Cuts `ip` (TCP, `length` bytes) into segments of at most `payload_max` bytes of payload (RFC 9293 fields; IPv4 ids count up). */
static void split_tcp(const uint8_t *ip, unsigned length, unsigned payload_max) {
  struct shape shape = shape_of(ip);
  unsigned head = shape.ip_length + (ip[shape.ip_length + 12] >> 4) * 4u;
  uint32_t sequence = load_be32(ip + shape.ip_length + 4);
  unsigned id = load_be16(ip + 4);
  for (unsigned offset = head; offset < length; offset += payload_max) {
    unsigned payload = length - offset < payload_max ? length - offset : payload_max, total = head + payload;
    uint8_t *packet = message_begin(total), *tcp = packet + shape.ip_length;
    memcpy(packet, ip, head);
    memcpy(packet + head, ip + offset, payload);
    if (shape.addresses_length == 8) store_be16(packet + 4, id++);
    ip_finish(packet, &shape, total);
    store_be32(tcp + 4, sequence + offset - head);
    if (offset + payload < length) tcp[TCP_FLAGS] &= (uint8_t)~(FLAG_FIN | FLAG_PSH);
    store_be16(tcp + TCP_CHECKSUM, 0);
    unsigned transport = total - shape.ip_length;
    store_sum(tcp + TCP_CHECKSUM, (uint16_t)~fold(pseudo_sum(packet, &shape, transport) + sum_of(tcp, transport)));
    message_end(packet, total);
  }
}

/* Returns the bytes read, 0 when the TUN is empty. */
static int tun_read(void) {
  ssize_t got = read(tun_fd, super_packet, sizeof super_packet);
  if (got <= VIRTIO_LENGTH) return 0;
  counts.tun_reads++;
  struct virtio_net_hdr offload;
  memcpy(&offload, super_packet, VIRTIO_LENGTH);
  uint8_t *ip = super_packet + VIRTIO_LENGTH;
  unsigned length = (unsigned)got - VIRTIO_LENGTH;
  if (offload.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
    split_tcp(ip, length, offload.gso_size);
    return (int)got;
  }
  uint8_t *packet = message_begin(length);
  memcpy(packet, ip, length);
  if (offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
    uint8_t *covered = packet + offload.csum_start;
    store_sum(covered + offload.csum_offset, (uint16_t)~fold(sum_of(covered, length - offload.csum_start)));
  }
  message_end(packet, length);
  return (int)got;
}
