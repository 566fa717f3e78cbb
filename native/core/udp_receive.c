// Datagrams from a socket: one recvmsg() each, or one for several of equal length where the kernel merged them (GRO).
#include <errno.h>
#include <netinet/udp.h>

#include "lane.h"

enum { UDP_ROOM = 65536, RECEIVE_ALIGNMENT = 64, SOCKET_ERRORS_MAX = 16 };

union control {
  struct cmsghdr align;
  uint8_t bytes[256];
};

// Errors that a socket reports once, about an earlier datagram (ICMP): the receive is tried again. The others mean that
// the descriptor is no good.
static bool is_pending_error(int number) {
  return number != EBADF && number != ENOTSOCK && number != EFAULT && number != EINVAL && number != ENOMEM;
}

// Length of what came, or -1 with errno; EAGAIN when there is nothing, or after too many pending errors.
static ssize_t receive_message(int fd, struct msghdr *message) {
  for (int errors = 0; errors < SOCKET_ERRORS_MAX;) {
    ssize_t n = recvmsg(fd, message, MSG_DONTWAIT);
    if (n >= 0 || errno == EAGAIN || !is_pending_error(errno)) return n;
    if (errno != EINTR) errors++;
  }
  errno = EAGAIN;
  return -1;
}

static void take_source(const struct sockaddr_in6 *name, uint32_t *endpoint) {
  if (name->sin6_family == AF_INET) {
    struct sockaddr_in name4;
    memcpy(&name4, name, sizeof name4);
    endpoint[ENDPOINT_FAMILY] = 4;
    endpoint[ENDPOINT_PORT] = ntohs(name4.sin_port);
    memcpy(endpoint + ENDPOINT_ADDRESS, &name4.sin_addr, 4);
  } else if (name->sin6_family == AF_INET6) {
    endpoint[ENDPOINT_FAMILY] = 6;
    endpoint[ENDPOINT_PORT] = ntohs(name->sin6_port);
    memcpy(endpoint + ENDPOINT_ADDRESS, &name->sin6_addr, 16);
    endpoint[ENDPOINT_SCOPE] = name->sin6_scope_id;
  }
}

static void take_ipv4(const struct cmsghdr *header, uint32_t *descriptor) {
  if (header->cmsg_type == IP_TOS) {
    uint8_t traffic_class;
    memcpy(&traffic_class, CMSG_DATA(header), 1);
    descriptor[UDP_RECEIVE_TRAFFIC_CLASS] = traffic_class;
  } else if (header->cmsg_type == IP_PKTINFO) {
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(header), sizeof info);
    // ipi_spec_dst is the local address to answer from; ipi_addr could be a broadcast address.
    memcpy(descriptor + UDP_RECEIVE_ENDPOINT + ENDPOINT_LOCAL_ADDRESS, &info.ipi_spec_dst, 4);
    descriptor[UDP_RECEIVE_ENDPOINT + ENDPOINT_LOCAL_INTERFACE] = (uint32_t)info.ipi_ifindex;
  }
}

static void take_ipv6(const struct cmsghdr *header, uint32_t *descriptor) {
  if (header->cmsg_type == IPV6_TCLASS) {
    int traffic_class;
    memcpy(&traffic_class, CMSG_DATA(header), sizeof traffic_class);
    descriptor[UDP_RECEIVE_TRAFFIC_CLASS] = (uint32_t)traffic_class;
  } else if (header->cmsg_type == IPV6_PKTINFO) {
    struct in6_pktinfo info;
    memcpy(&info, CMSG_DATA(header), sizeof info);
    memcpy(descriptor + UDP_RECEIVE_ENDPOINT + ENDPOINT_LOCAL_ADDRESS, &info.ipi6_addr, 16);
    descriptor[UDP_RECEIVE_ENDPOINT + ENDPOINT_LOCAL_INTERFACE] = info.ipi6_ifindex;
  }
}

static void take_segment_length(const struct cmsghdr *header, uint32_t *descriptor) {
  int segment_length;
  memcpy(&segment_length, CMSG_DATA(header), sizeof segment_length);
  if (segment_length > 0 && (uint32_t)segment_length < descriptor[UDP_RECEIVE_LENGTH]) {
    descriptor[UDP_RECEIVE_SEGMENT_LENGTH] = (uint32_t)segment_length;
  }
}

static void take_control(struct msghdr *message, uint32_t *descriptor) {
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level == IPPROTO_IP) take_ipv4(header, descriptor);
    if (header->cmsg_level == IPPROTO_IPV6) take_ipv6(header, descriptor);
    if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) take_segment_length(header, descriptor);
  }
}

// Receives one message at `at` and fills the descriptor; bytes received or -1 with errno.
static ssize_t receive_at(const struct arena *arena, int fd, uint32_t at, uint32_t *descriptor) {
  union control control;
  struct sockaddr_in6 name = {0};
  struct iovec buffer = {arena->base + at, UDP_ROOM};
  struct msghdr message = {.msg_name = &name,
                           .msg_namelen = sizeof name,
                           .msg_iov = &buffer,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
  ssize_t n = receive_message(fd, &message);
  if (n < 0) return n;
  memset(descriptor, 0, UDP_RECEIVE_WORDS * sizeof *descriptor);
  descriptor[UDP_RECEIVE_OFFSET] = at;
  descriptor[UDP_RECEIVE_LENGTH] = (uint32_t)n;
  descriptor[UDP_RECEIVE_TRAFFIC_CLASS] = (uint32_t)-1;
  take_source(&name, descriptor + UDP_RECEIVE_ENDPOINT);
  take_control(&message, descriptor);
  return n;
}

// family, descriptors, receivesMax, bufferOffset, bufferLength
int lane_receive_udp(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  const struct arena *arena = &lane->arena;
  uint32_t family = arguments[0], out = arguments[1], receives_max = arguments[2], at = arguments[3];
  if (family != 4 && family != 6) return fault_range(fault, "a family is 4 or 6");
  if (arena_check_column(arena, out, receives_max, UDP_RECEIVE_WORDS, fault) < 0) return -1;
  if (!arena_holds(arena, at, arguments[4])) return fault_range(fault, "the buffer lies outside the arena");
  uint64_t end = (uint64_t)at + arguments[4];
  int fd = family == 4 ? lane->udp4_fd : lane->udp6_fd;
  uint32_t count = 0;
  for (; count < receives_max; count++) {
    uint64_t aligned = ((uint64_t)at + RECEIVE_ALIGNMENT - 1) & ~(uint64_t)(RECEIVE_ALIGNMENT - 1);
    if (aligned + UDP_ROOM > end) break;
    uint32_t descriptor[UDP_RECEIVE_WORDS];
    ssize_t n = receive_at(arena, fd, (uint32_t)aligned, descriptor);
    if (n < 0 && errno != EAGAIN && count == 0) return fault_system(fault, errno, "recvmsg");
    if (n < 0) break;
    memcpy(arena->base + out + count * sizeof descriptor, descriptor, sizeof descriptor);
    at = (uint32_t)aligned + (uint32_t)n;
  }
  books_count_io(&lane->books, BOOKS_RECV_UDP_IO, count);
  return (int)count;
}
