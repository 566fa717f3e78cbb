// Datagrams from a socket, several with one recvmmsg(); datagrams of equal length come as one message where the kernel
// merged them (GRO).
#include <errno.h>
#include <netinet/udp.h>
#include <sys/param.h>

#include "lane.h"

// A message shorter than MOVED_MAX is moved up to the one before it, so that many short ones find room.
enum { UDP_ROOM = 65536, RECEIVE_ALIGNMENT = 64, MOVED_MAX = 16384, SOCKET_ERRORS_MAX = 16 };

// Errors that a socket reports once, about an earlier datagram (ICMP): the receive is tried again. The others mean that
// the descriptor is no good.
static bool is_pending_error(int number) {
  return number != EBADF && number != ENOTSOCK && number != EFAULT && number != EINVAL && number != ENOMEM;
}

// Messages that came, or -1 with errno; EAGAIN when there is nothing, or after too many pending errors.
static int receive_messages(int fd, struct mmsghdr *messages, uint32_t most) {
  for (int errors = 0; errors < SOCKET_ERRORS_MAX;) {
    int count = recvmmsg(fd, messages, most, MSG_DONTWAIT, NULL);
    if (count >= 0 || errno == EAGAIN || !is_pending_error(errno)) return count;
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

static uint64_t aligned(uint64_t at) { return (at + RECEIVE_ALIGNMENT - 1) & ~(uint64_t)(RECEIVE_ALIGNMENT - 1); }

// Receives up to `most` messages, each into a room of its own, which the caller has made from `at` on.
static int receive_run(struct lane *lane, int fd, uint64_t at, uint32_t most) {
  for (uint32_t i = 0; i < most; i++) {
    lane->scratch.receive.rooms[i] = (struct iovec){lane->arena.base + at + (uint64_t)i * UDP_ROOM, UDP_ROOM};
    lane->scratch.receive.names[i].sin6_family = AF_UNSPEC;
    lane->scratch.receive.messages[i].msg_hdr = (struct msghdr){.msg_name = &lane->scratch.receive.names[i],
                                                                .msg_namelen = sizeof(struct sockaddr_in6),
                                                                .msg_iov = &lane->scratch.receive.rooms[i],
                                                                .msg_iovlen = 1,
                                                                .msg_control = lane->scratch.receive.controls[i],
                                                                .msg_controllen = CONTROL_LENGTH};
  }
  return receive_messages(fd, lane->scratch.receive.messages, most);
}

// Where the received message `i`, now at `from`, is to stay: at `to`, if it is worth moving it there.
static uint64_t settle_message(const struct arena *arena, uint64_t from, uint64_t to, uint32_t length) {
  if (from == to || length > MOVED_MAX) return from;
  memmove(arena->base + to, arena->base + from, length);
  return to;
}

static void describe(struct lane *lane, uint32_t i, uint64_t at, uint32_t *descriptor) {
  memset(descriptor, 0, UDP_RECEIVE_WORDS * sizeof *descriptor);
  descriptor[UDP_RECEIVE_OFFSET] = (uint32_t)at;
  descriptor[UDP_RECEIVE_LENGTH] = lane->scratch.receive.messages[i].msg_len;
  descriptor[UDP_RECEIVE_TRAFFIC_CLASS] = (uint32_t)-1;
  take_source(&lane->scratch.receive.names[i], descriptor + UDP_RECEIVE_ENDPOINT);
  take_control(&lane->scratch.receive.messages[i].msg_hdr, descriptor);
}

// family, descriptors, receivesMax, bufferOffset, bufferLength
int lane_receive_udp(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  const struct arena *arena = &lane->arena;
  uint32_t family = arguments[0], out = arguments[1], receives_max = arguments[2];
  if (family != 4 && family != 6) return fault_range(fault, "a family is 4 or 6");
  if (arena_check_column(arena, out, receives_max, UDP_RECEIVE_WORDS, fault) < 0) return -1;
  if (!arena_holds(arena, arguments[3], arguments[4])) return fault_range(fault, "the buffer lies outside the arena");
  uint64_t at = aligned(arguments[3]), end = (uint64_t)arguments[3] + arguments[4];
  int fd = family == 4 ? lane->udp4_fd : lane->udp6_fd;
  uint32_t count = 0;
  while (count < receives_max && at + UDP_ROOM <= end) {
    uint64_t most = MIN(MIN((end - at) / UDP_ROOM, receives_max - count), RECEIVE_RUN_MAX);
    int received = receive_run(lane, fd, at, (uint32_t)most);
    if (received < 0 && errno != EAGAIN && count == 0) return fault_system(fault, errno, "recvmmsg");
    uint64_t from = at;
    for (int i = 0; i < received; i++, from += UDP_ROOM) {
      uint32_t descriptor[UDP_RECEIVE_WORDS], length = lane->scratch.receive.messages[i].msg_len;
      uint64_t place = settle_message(arena, from, at, length);
      describe(lane, (uint32_t)i, place, descriptor);
      memcpy(arena->base + out + count * sizeof descriptor, descriptor, sizeof descriptor);
      at = aligned(place + length);
      count++;
    }
    if (received < (int)most) break;
  }
  books_count_io(&lane->books, BOOKS_RECV_UDP_IO, count);
  return (int)count;
}
