// Opens a UDP socket as a tunnel wants it: offloads on, large buffers, and control messages that say where a datagram
// came to. A socket can take the number of another, so that who uses that need not be told: a call on the old one that is
// under way ends on it, the next is on the new one.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"

struct option {
  int level, name, value;
  const char *what; // for the fault; null where the socket works without it
};

static int set_option(int fd, const struct option *option, struct fault *fault) {
  if (setsockopt(fd, option->level, option->name, &option->value, sizeof option->value) == 0) return 0;
  return option->what == NULL ? 0 : fault_system(fault, errno, option->what);
}

static int get_option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

// Don't-fragment stays clear, as in the kernel's WireGuard: a tunnel cannot tell inner senders about the outer path.
// On IPv4, OMIT also keeps learnt (or forged) path MTUs away from the socket, so that UDP GSO, which refuses segments
// longer than the MTU, depends on the interface's MTU only and routers fragment what is too long. IPv6 routers do not
// fragment, so there the socket must heed the path MTU (DONT: the kernel fragments at the source).
static int set_ipv4(int fd, struct fault *fault) {
  const struct option options[] = {
      {IPPROTO_IP, IP_PKTINFO, 1, "setsockopt IP_PKTINFO"},
      {IPPROTO_IP, IP_RECVTOS, 1, "setsockopt IP_RECVTOS"},
      {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT, "setsockopt IP_MTU_DISCOVER"},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (set_option(fd, options + i, fault) < 0) return -1;
  }
  return 0;
}

static int set_ipv6(int fd, struct fault *fault) {
  const struct option options[] = {
      {IPPROTO_IPV6, IPV6_V6ONLY, 1, "setsockopt IPV6_V6ONLY"},
      {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "setsockopt IPV6_RECVPKTINFO"},
      {IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "setsockopt IPV6_RECVTCLASS"},
      {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT, "setsockopt IPV6_MTU_DISCOVER"},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (set_option(fd, options + i, fault) < 0) return -1;
  }
  return 0;
}

// The forced forms go past net.core.[rw]mem_max and need CAP_NET_ADMIN.
static void set_buffer(int fd, int forced, int plain, int length) {
  if (setsockopt(fd, SOL_SOCKET, forced, &length, sizeof length) == 0) return;
  setsockopt(fd, SOL_SOCKET, plain, &length, sizeof length);
}

static socklen_t fill_address(struct sockaddr_storage *storage, int family, bool loopback, uint16_t port) {
  memset(storage, 0, sizeof *storage);
  if (family == 4) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY);
    memcpy(storage, &address, sizeof address);
    return sizeof address;
  }
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  address.sin6_addr = loopback ? in6addr_loopback : in6addr_any;
  memcpy(storage, &address, sizeof address);
  return sizeof address;
}

static int bind_to(int fd, int family, bool loopback, uint16_t port) {
  struct sockaddr_storage address;
  socklen_t length = fill_address(&address, family, loopback, port);
  return bind(fd, (struct sockaddr *)&address, length);
}

// Whether a throw-away socket connected to itself can send this many one-byte datagrams as one GSO message. What it
// sends is addressed to itself, and goes when it is closed.
static bool can_send_to_itself(int fd, int family, size_t datagrams) {
  struct sockaddr_storage self;
  socklen_t length = sizeof self;
  uint8_t bytes[128] = {0};
  int segment_length = 1;
  if (bind_to(fd, family, true, 0) < 0 || getsockname(fd, (struct sockaddr *)&self, &length) < 0) return false;
  if (connect(fd, (struct sockaddr *)&self, length) < 0) return false;
  if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment_length, sizeof segment_length) < 0) return false;
  return send(fd, bytes, datagrams, MSG_DONTWAIT) == (ssize_t)datagrams;
}

// Kernels take 64 datagrams per GSO message, newer ones 128 (Linux 6.10). 64 where loopback is down.
static int probe_gso_datagrams(int family) {
  int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 64;
  int most = can_send_to_itself(fd, family, 128) ? 128 : 64;
  close(fd);
  return most;
}

static int read_port(int fd, uint16_t *port) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return -1;
  uint16_t wire;
  size_t offset = address.ss_family == AF_INET ? offsetof(struct sockaddr_in, sin_port)
                                               : offsetof(struct sockaddr_in6, sin6_port);
  memcpy(&wire, (uint8_t *)&address + offset, sizeof wire);
  *port = ntohs(wire);
  return 0;
}

// Binds the port, and shares it where asked to. Who binds with SO_REUSEPORT is let in beside anybody of the same user who
// set it too, another tunnel for one. So a first socket is bound without it, which fails while anybody holds the port,
// and sets it afterwards.
static int take_port(int fd, const struct udp_options *options, struct fault *fault) {
  const struct option reuse = {SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT"};
  bool joins = options->reuse_port && options->join_port;
  if (joins && set_option(fd, &reuse, fault) < 0) return -1;
  if (bind_to(fd, options->family, false, options->port) < 0) return fault_system(fault, errno, "bind");
  return options->reuse_port && !joins ? set_option(fd, &reuse, fault) : 0;
}

// Only a change needs CAP_NET_ADMIN.
static int set_mark(int fd, uint32_t fwmark, struct fault *fault) {
  const struct option mark = {SOL_SOCKET, SO_MARK, (int)fwmark, "setsockopt SO_MARK"};
  return get_option(fd, SOL_SOCKET, SO_MARK) == (int)fwmark ? 0 : set_option(fd, &mark, fault);
}

static int configure(int fd, const struct udp_options *options, struct fault *fault) {
  if (set_mark(fd, options->fwmark, fault) < 0) return -1;
  if ((options->family == 4 ? set_ipv4(fd, fault) : set_ipv6(fd, fault)) < 0) return -1;
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options->buffer_length);
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options->buffer_length);
  return take_port(fd, options, fault);
}

static void describe(int fd, int family, bool gro, struct udp_opened *opened) {
  const int wanted = gro;
  opened->gro = setsockopt(fd, IPPROTO_UDP, UDP_GRO, &wanted, sizeof wanted) == 0 && gro;
  opened->gso = get_option(fd, IPPROTO_UDP, UDP_SEGMENT) >= 0;
  opened->gso_datagrams_max = opened->gso ? probe_gso_datagrams(family) : 1;
  opened->receive_buffer_length = get_option(fd, SOL_SOCKET, SO_RCVBUF);
  opened->send_buffer_length = get_option(fd, SOL_SOCKET, SO_SNDBUF);
}

// Nobody knows its address, so nothing comes; and it knows no Internet addresses, so that nothing goes (EINVAL).
static int open_stand_in(struct udp_opened *opened, struct fault *fault) {
  *opened = (struct udp_opened){.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .gso_datagrams_max = 1};
  return opened->fd < 0 ? fault_system(fault, errno, "socket") : 0;
}

static int open_socket(const struct udp_options *options, struct udp_opened *opened, struct fault *fault) {
  bool adopts = options->fd >= 0;
  if (adopts && !descriptor_is_udp(options->fd, options->family)) return fault_range(fault, "no UDP socket of this family");
  int type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, domain = options->family == 4 ? AF_INET : AF_INET6;
  int fd = adopts ? options->fd : socket(domain, type, IPPROTO_UDP);
  if (fd < 0) return fault_system(fault, errno, "socket");
  int result = adopts ? set_mark(fd, options->fwmark, fault) : configure(fd, options, fault);
  if (result == 0 && read_port(fd, &opened->port) < 0) result = fault_system(fault, errno, "getsockname");
  if (result < 0) {
    if (!adopts) close(fd);
    return -1;
  }
  opened->fd = fd;
  describe(fd, options->family, options->gro, opened);
  return 0;
}

// Takes the number of the socket that it replaces, which is gone then.
static int take_number(int number, int *fd, struct fault *fault) {
  int result = dup3(*fd, number, O_CLOEXEC);
  int error = errno;
  close(*fd);
  *fd = number;
  return result < 0 ? fault_system(fault, error, "dup3") : 0;
}

int udp_open(const struct udp_options *options, struct udp_opened *opened, struct fault *fault) {
  int number = options->replaces;
  if (number >= 0 && !descriptor_is_udp(number, 0) && !descriptor_is_stand_in(number)) {
    return fault_range(fault, "no UDP socket to replace");
  }
  if ((options->stand_in ? open_stand_in(opened, fault) : open_socket(options, opened, fault)) < 0) return -1;
  return number < 0 || number == opened->fd ? 0 : take_number(number, &opened->fd, fault);
}

bool descriptor_is_stand_in(int fd) {
  return get_option(fd, SOL_SOCKET, SO_DOMAIN) == AF_UNIX && get_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;
}

bool descriptor_is_udp(int fd, int family) {
  if (get_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP) return false;
  int domain = get_option(fd, SOL_SOCKET, SO_DOMAIN);
  return (domain == AF_INET && family != 6) || (domain == AF_INET6 && family != 4);
}
