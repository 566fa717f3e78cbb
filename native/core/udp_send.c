// Datagram groups to the sockets: sendmmsg() over runs of one family, one message (with UDP GSO where it holds several
// datagrams) per group.
#include <errno.h>
#include <netinet/udp.h>

#include "lane.h"

static void add_control(struct msghdr *message, int level, int type, const void *value, size_t length) {
  struct cmsghdr *header = (struct cmsghdr *)((uint8_t *)message->msg_control + message->msg_controllen);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(length);
  memcpy(CMSG_DATA(header), value, length);
  message->msg_controllen += CMSG_SPACE(length);
}

static bool has_local(const uint32_t *endpoint) {
  const uint32_t *local = endpoint + ENDPOINT_LOCAL_ADDRESS;
  return (local[0] | local[1] | local[2] | local[3]) != 0;
}

// The interface to send from. A negative one is named whatever the route says. Else only a link-local address (fe80::/10)
// needs one: to name it for others would pin the datagrams to it, also after the route has moved to another.
static uint32_t interface_of(const uint32_t *endpoint) {
  uint32_t interface = endpoint[ENDPOINT_LOCAL_INTERFACE];
  if ((int32_t)interface < 0) return 0 - interface;
  uint8_t start[2];
  memcpy(start, endpoint + ENDPOINT_LOCAL_ADDRESS, sizeof start);
  return endpoint[ENDPOINT_FAMILY] == 6 && start[0] == 0xfe && (start[1] & 0xc0) == 0x80 ? interface : 0;
}

static void name_ipv4(struct msghdr *message, const uint32_t *endpoint) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)endpoint[ENDPOINT_PORT])};
  memcpy(&name.sin_addr, endpoint + ENDPOINT_ADDRESS, 4);
  memcpy(message->msg_name, &name, sizeof name);
  message->msg_namelen = sizeof name;
  struct in_pktinfo info = {.ipi_ifindex = (int)interface_of(endpoint)};
  if (!has_local(endpoint) && info.ipi_ifindex == 0) return;
  memcpy(&info.ipi_spec_dst, endpoint + ENDPOINT_LOCAL_ADDRESS, 4);
  add_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

static void name_ipv6(struct msghdr *message, const uint32_t *endpoint) {
  struct sockaddr_in6 name = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)endpoint[ENDPOINT_PORT]),
                              .sin6_scope_id = endpoint[ENDPOINT_SCOPE]};
  memcpy(&name.sin6_addr, endpoint + ENDPOINT_ADDRESS, 16);
  memcpy(message->msg_name, &name, sizeof name);
  message->msg_namelen = sizeof name;
  struct in6_pktinfo info = {.ipi6_ifindex = interface_of(endpoint)};
  if (!has_local(endpoint) && info.ipi6_ifindex == 0) return;
  memcpy(&info.ipi6_addr, endpoint + ENDPOINT_LOCAL_ADDRESS, 16);
  add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

static void add_traffic_class(struct msghdr *message, uint32_t family, uint32_t word) {
  int traffic_class = (int)word;
  if (traffic_class < 0) return;
  if (family == 4) add_control(message, IPPROTO_IP, IP_TOS, &traffic_class, sizeof traffic_class);
  else add_control(message, IPPROTO_IPV6, IPV6_TCLASS, &traffic_class, sizeof traffic_class);
}

// Fills message `k` of the scratch from a descriptor and its endpoint.
static void prepare(struct lane *lane, uint32_t k, const uint32_t *descriptor, const uint32_t *endpoint) {
  struct msghdr *message = &lane->scratch.send.messages[k].msg_hdr;
  lane->scratch.send.groups[k] =
      (struct iovec){lane->arena.base + descriptor[UDP_SEND_OFFSET], descriptor[UDP_SEND_LENGTH]};
  *message = (struct msghdr){.msg_name = &lane->scratch.send.names[k],
                             .msg_iov = &lane->scratch.send.groups[k],
                             .msg_iovlen = 1,
                             .msg_control = lane->scratch.send.controls[k]};
  if (endpoint[ENDPOINT_FAMILY] == 4) name_ipv4(message, endpoint);
  else name_ipv6(message, endpoint);
  add_traffic_class(message, endpoint[ENDPOINT_FAMILY], descriptor[UDP_SEND_TRAFFIC_CLASS]);
  uint16_t segment_length = (uint16_t)descriptor[UDP_SEND_SEGMENT_LENGTH];
  if (segment_length != 0 && descriptor[UDP_SEND_LENGTH] > segment_length) {
    add_control(message, IPPROTO_UDP, UDP_SEGMENT, &segment_length, sizeof segment_length);
  }
  if (message->msg_controllen == 0) message->msg_control = NULL;
}

// Sends the prepared messages in order. The kernel stops at the first that fails and names its error only when it is
// the first of a call: so the rest is handed over again, and the failing one is skipped with its errno.
static uint32_t send_run(struct lane *lane, int fd, uint32_t count, int32_t *results) {
  uint32_t done = 0, sent = 0, ios = 0;
  while (done < count) {
    struct mmsghdr *messages = lane->scratch.send.messages + done;
    int n = sendmmsg(fd, messages, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      results[done++] = n < 0 ? -errno : -EAGAIN;
      continue;
    }
    for (int i = 0; i < n; i++) results[done++] = (int32_t)messages[i].msg_len;
    sent += (uint32_t)n;
    ios++;
  }
  books_count_io(&lane->books, BOOKS_SEND_UDP_IO, ios);
  return sent;
}

static int socket_of(const struct lane *lane, uint32_t family) { return family == 4 ? lane->udp4_fd : lane->udp6_fd; }

// Why a group cannot go to this endpoint, as a negative errno, or 0.
static int32_t endpoint_fault(const struct lane *lane, const uint32_t *endpoint) {
  uint32_t family = endpoint[ENDPOINT_FAMILY], port = endpoint[ENDPOINT_PORT];
  if (family != 4 && family != 6) return -EDESTADDRREQ;
  if (port < 1 || port > 65535) return -EINVAL;
  return socket_of(lane, family) < 0 ? -EAFNOSUPPORT : 0;
}

static int check_groups(const struct lane *lane, uint32_t count, struct fault *fault) {
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t *d = lane->batch + i * UDP_SEND_WORDS;
    if (!arena_holds(&lane->arena, d[UDP_SEND_OFFSET], d[UDP_SEND_LENGTH]) ||
        !arena_holds(&lane->arena, d[UDP_SEND_ENDPOINT_OFFSET], ENDPOINT_WORDS * 4)) {
      return fault_range(fault, "a datagram group or an endpoint lies outside the arena");
    }
    if (d[UDP_SEND_ENDPOINT_OFFSET] % 4 != 0) return fault_range(fault, "an endpoint starts at a multiple of 4 bytes");
    if (d[UDP_SEND_SEGMENT_LENGTH] > 65535) return fault_range(fault, "a segment length lies between 0 and 65,535");
    if (d[UDP_SEND_TRAFFIC_CLASS] > 255 && d[UDP_SEND_TRAFFIC_CLASS] != UINT32_MAX) {
      return fault_range(fault, "a traffic class lies between -1 and 255");
    }
  }
  return 0;
}

// Prepares groups from `first` on while they go to one family and none is faulty; the family of the run in *family.
static uint32_t prepare_run(struct lane *lane, uint32_t first, uint32_t count, uint32_t *family, int32_t *fault) {
  uint32_t k = 0;
  *family = 0;
  for (; first + k < count && k < SEND_RUN_MAX; k++) {
    const uint32_t *descriptor = lane->batch + (first + k) * UDP_SEND_WORDS;
    uint32_t endpoint[ENDPOINT_WORDS];
    memcpy(endpoint, lane->arena.base + descriptor[UDP_SEND_ENDPOINT_OFFSET], sizeof endpoint);
    *fault = endpoint_fault(lane, endpoint);
    if (*fault != 0 || (k > 0 && endpoint[ENDPOINT_FAMILY] != *family)) break;
    *family = endpoint[ENDPOINT_FAMILY];
    prepare(lane, k, descriptor, endpoint);
  }
  return k;
}

// descriptors, count
int lane_send_udp(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  uint32_t at = arguments[0], count = arguments[1], sent = 0;
  if (arena_load(&lane->arena, at, count, UDP_SEND_WORDS, lane->batch, fault) < 0) return -1;
  if (check_groups(lane, count, fault) < 0) return -1;
  for (uint32_t first = 0; first < count;) {
    uint32_t family;
    int32_t results[SEND_RUN_MAX] = {0};
    uint32_t length = prepare_run(lane, first, count, &family, results);
    if (length > 0) sent += send_run(lane, socket_of(lane, family), length, results);
    else length = 1; // results[0] says why the first group cannot be sent
    for (uint32_t i = 0; i < length; i++, first++) {
      arena_store(&lane->arena, at + (first * UDP_SEND_WORDS + UDP_SEND_RESULT) * 4, (uint32_t)results[i]);
    }
  }
  return (int)sent;
}
