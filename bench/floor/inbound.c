/*
 * UDP to TUN: one receive brings up to 64 KiB of datagrams (GRO), unsealed in place. Consecutive TCP segments of one flow
 * become one super-packet in `super_packet`: the first packet whole, then payloads only. One copy into one buffer that stays
 * in cache was measured cheaper than a writev of the pieces where they lie. A run may continue over a turn's receives.
 */
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

static uint8_t datagrams[SUPER_PACKET_MAX + 1] __attribute__((aligned(64)));
static uint8_t super_packet[VIRTIO_LENGTH + SUPER_PACKET_MAX];

/* The run: the super-packet under construction. */
static struct {
  uint8_t *ip;
  struct shape shape;
  unsigned packets, length, head, payload_max;
  uint32_t next_sequence;
} run;

static int udp_receive(void);
static void run_write(void);

void inbound_turn(void) {
  for (int i = 0; i < RECEIVES_MAX && udp_receive(); i++) {
  }
  run_write();
}

static void run_write(void) {
  if (run.packets == 0) return;
  struct virtio_net_hdr offload = {0};
  if (run.packets > 1) {
    unsigned transport = run.length - run.shape.ip_length;
    offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    offload.gso_type = run.shape.addresses_length == 8 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
    offload.hdr_len = (uint16_t)run.head;
    offload.gso_size = (uint16_t)run.payload_max;
    offload.csum_start = (uint16_t)run.shape.ip_length;
    offload.csum_offset = TCP_CHECKSUM;
    ip_finish(run.ip, &run.shape, run.length);
    store_sum(run.ip + run.shape.ip_length + TCP_CHECKSUM, fold(pseudo_sum(run.ip, &run.shape, transport)));
  }
  memcpy(super_packet, &offload, VIRTIO_LENGTH);
  if (write(tun_fd, super_packet, VIRTIO_LENGTH + run.length) < 0) counts.bad++;
  counts.tun_writes++;
  counts.tun_tx += run.packets;
  run.packets = 0;
}

/* Same flow, same header but for what differs from segment to segment, next byte of the stream, no longer than those before. */
static int continues_run(const uint8_t *ip, const struct shape *shape, unsigned head, unsigned payload) {
  const uint8_t *tcp = ip + shape->ip_length, *first = run.ip + run.shape.ip_length;
  return run.packets > 0 && head == run.head && payload <= run.payload_max &&
         run.length + payload <= GROUP_BYTES_MAX && load_be32(tcp + 4) == run.next_sequence && ip[0] == run.ip[0] &&
         !memcmp(ip + shape->addresses, run.ip + shape->addresses, shape->addresses_length) && !memcmp(tcp, first, 4) &&
         !memcmp(tcp + 8, first + 8, 4) && !memcmp(tcp + 20, first + 20, head - shape->ip_length - 20);
}

static void run_append(const uint8_t *ip, unsigned head, unsigned payload) {
  uint8_t flags = ip[run.shape.ip_length + TCP_FLAGS];
  memcpy(run.ip + run.length, ip + head, payload);
  run.packets++;
  run.length += payload;
  run.next_sequence += payload;
  run.ip[run.shape.ip_length + TCP_FLAGS] |= flags & FLAG_PSH;
  if (payload < run.payload_max || flags & FLAG_PSH) run_write();
}

static void run_start(const uint8_t *ip, const struct shape *shape, unsigned head, unsigned payload, int may_continue) {
  run_write();
  run.ip = super_packet + VIRTIO_LENGTH;
  run.shape = *shape;
  run.packets = 1;
  run.length = shape->total_length;
  run.head = head;
  run.payload_max = payload;
  run.next_sequence = may_continue ? load_be32(ip + shape->ip_length + 4) + payload : 0;
  memcpy(run.ip, ip, run.length);
  if (!may_continue) run_write();
}

/* A packet may be merged when it is plain data of a TCP stream and its checksum holds: the kernel will not look again. */
static void run_add(const uint8_t *ip, unsigned length) {
  struct shape shape = shape_of(ip);
  if (shape.total_length > length || shape.ip_length < 20 || shape.ip_length > shape.total_length) {
    counts.bad++;
    return;
  }
  const uint8_t *tcp = ip + shape.ip_length;
  unsigned transport = shape.total_length - shape.ip_length;
  unsigned head = 0, payload = 0;
  if (shape.next == IPPROTO_TCP && transport > 20 && (tcp[TCP_FLAGS] & ~FLAG_PSH) == FLAG_ACK) {
    head = shape.ip_length + (tcp[12] >> 4) * 4u;
    if (head >= shape.ip_length + 20 && head < shape.total_length &&
        fold(pseudo_sum(ip, &shape, transport) + sum_of(tcp, transport)) == 0xffff)
      payload = shape.total_length - head;
  }
  if (payload > 0 && continues_run(ip, &shape, head, payload)) run_append(ip, head, payload);
  else run_start(ip, &shape, head, payload, payload > 0 && !(tcp[TCP_FLAGS] & FLAG_PSH));
}

/* Length of each datagram but the last, as the kernel tells it. */
static unsigned stride_of(struct msghdr *message, unsigned length) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    int stride;
    if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO) continue;
    memcpy(&stride, CMSG_DATA(c), sizeof stride);
    return (unsigned)stride;
  }
  return length;
}

static unsigned least(unsigned a, unsigned b) {
  return a < b ? a : b;
}

static int udp_receive(void) {
  struct iovec piece = {datagrams, sizeof datagrams};
  char control[64];
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(udp_fd, &message, MSG_DONTWAIT);
  if (got <= 0) return 0;
  counts.udp_receives++;
  unsigned length = (unsigned)got, stride = stride_of(&message, length), slot = 0;
  const unsigned around = HEADER_LENGTH + TAG_LENGTH;
  if (length > stride * RECEIVED_DATAGRAMS_MAX) {
    counts.bad++;
    return 1;
  }
  for (unsigned at = 0; at < length; at += stride, slot++) {
    unsigned size = least(stride, length - at);
    if (size >= around) aead_unseal(slot, datagrams + at + HEADER_LENGTH, size - around, datagrams + at + 8);
  }
  aead_flush();
  slot = 0;
  for (unsigned at = 0; at < length; at += stride, slot++) {
    unsigned size = least(stride, length - at);
    counts.udp_rx++;
    if (size < around + 20 || !aead_tag_is_good(slot, datagrams + at + size - TAG_LENGTH)) counts.bad++;
    else run_add(datagrams + at + HEADER_LENGTH, size - around);
  }
  return 1;
}
