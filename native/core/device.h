// Opening and asking after TUN interfaces, UDP sockets and the calling thread; nothing here is on the hot path. Each
// returns 0, or -1 with a fault and nothing left open.
#ifndef GIGATUN_DEVICE_H
#define GIGATUN_DEVICE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "fault.h"

struct tun_options {
  char name[IFNAMSIZ]; // may hold %d
  bool multi_queue;
  uint32_t offloads; // wanted TUN_OFFLOAD bits
  int fd;            // to adopt, or -1; stays the caller's when adopting fails
};

struct tun_opened {
  int fd;
  char name[IFNAMSIZ];
  uint32_t offloads;
  bool multi_queue; // further queues may be opened
};

int tun_open(const struct tun_options *options, struct tun_opened *opened, struct fault *fault);

struct link_info {
  uint32_t index, mtu, tx_queue_length;
  bool up;
};

// `name` is used when tun_fd is -1; else the descriptor says which interface it is and in which network namespace.
// A `tx_queue_length` that is not negative is set first.
int link_read(int tun_fd, const char *name, int tx_queue_length, struct link_info *info, struct fault *fault);

// The same, read only, of a link in a network namespace that this process may not enter.
int link_ask(int namespace_fd, const char *name, struct link_info *info, struct fault *fault);

struct udp_options {
  int family; // 4 or 6
  uint16_t port;
  bool reuse_port; // others of this user may bind the port after this socket
  bool join_port;  // with reuse_port: they may have done so before
  uint32_t fwmark;
  int buffer_length;
  bool gro;      // whether the kernel may join received datagrams
  int fd;        // an open socket whose GRO and mark are to be set, and nothing else; or -1
  bool stand_in; // a socket that neither sends nor receives; the rest is ignored
  int replaces;  // an open socket, or its stand-in, whose number the socket takes; or -1
};

struct udp_opened {
  int fd;
  uint16_t port;
  int receive_buffer_length, send_buffer_length;
  bool gro, gso;
  int gso_datagrams_max;
};

int udp_open(const struct udp_options *options, struct udp_opened *opened, struct fault *fault);

// What a descriptor is, so that a wrong number is found before it is read from, written to or closed.
bool descriptor_is_tun(int fd);
bool descriptor_is_udp(int fd, int family); // family 4, 6, or 0 for either
bool descriptor_is_stand_in(int fd);
bool descriptor_is_eventfd(int fd);

int eventfd_wake(int fd, struct fault *fault);

// The calling thread's schedstat, to be kept open and read often; -1 where the kernel has none.
int schedstat_open(void);
// Its second field: time spent runnable without a core; -1 if it cannot be read.
double schedstat_run_queue_wait_ns(int fd);

// Fills USAGE_CELLS cells for the calling thread.
int usage_read(double *cells, struct fault *fault);

#endif
