/*
 * floor: the least work that a userspace tunnel can do on Linux, to measure gigatun against. Fixed keys, one peer, one
 * thread; no handshake, routing, replay window, roaming or books. What is left is TUN read, split, seal, UDP send, and UDP
 * receive, unseal, coalesce, TUN write, with the kernel's offloads for TCP over IPv4 and IPv6. Never use it as a tunnel:
 * its key is public.
 *
 *   floor IFACE LOCAL_IPV4 REMOTE_IPV4 PORT     FLOOR_CIPHER=aes-256-gcm selects the other cipher
 *   SIGUSR1 prints the counters as JSON on standard error; SIGTERM and SIGINT print them and end it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

int tun_fd, udp_fd;
struct counts counts;
static volatile sig_atomic_t report_wanted, end_wanted;

static void tun_open(const char *name);
static void udp_open(const char *local_ip, uint16_t port);
static void signals_open(void);
static void report(void);

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: floor IFACE LOCAL_IPV4 REMOTE_IPV4 PORT\n");
    return 2;
  }
  uint16_t port = (uint16_t)atoi(argv[4]);
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, argv[3], &peer.sin_addr) != 1) die("REMOTE_IPV4");
  const char *cipher = getenv("FLOOR_CIPHER");
  aead_open(cipher && strcmp(cipher, "aes-256-gcm") == 0);
  udp_open(argv[2], port);
  tun_open(argv[1]);
  signals_open();
  struct pollfd watched[2] = {{tun_fd, POLLIN, 0}, {udp_fd, POLLIN, 0}};
  while (!end_wanted) {
    if (report_wanted) report();
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[0].revents & POLLIN) outbound_turn(&peer, sizeof peer);
    if (watched[1].revents & POLLIN) inbound_turn();
  }
  report();
  return 0;
}

void die(const char *what) {
  perror(what);
  exit(1);
}

static void tun_open(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  tun_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tun_fd < 0) die("/dev/net/tun");
  if (ioctl(tun_fd, TUNSETIFF, &request) < 0) die("TUNSETIFF");
  if (ioctl(tun_fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) die("TUNSETOFFLOAD");
}

static void udp_open(const char *local_ip, uint16_t port) {
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port)};
  int on = 1, buffer_length = 7 << 20;
  if (inet_pton(AF_INET, local_ip, &local.sin_addr) != 1) die("LOCAL_IPV4");
  udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (udp_fd < 0) die("socket");
  if (bind(udp_fd, (struct sockaddr *)&local, sizeof local) < 0) die("bind");
  if (setsockopt(udp_fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) die("UDP_GRO");
  setsockopt(udp_fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_length, sizeof buffer_length);
  setsockopt(udp_fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_length, sizeof buffer_length);
}

static void on_signal(int number) {
  report_wanted = 1;
  if (number != SIGUSR1) end_wanted = 1;
}

static void signals_open(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

static void report(void) {
  report_wanted = 0;
  fprintf(stderr,
          "{\"TUN_RX\":%" PRIu64 ",\"UDP_TX\":%" PRIu64 ",\"UDP_RX\":%" PRIu64 ",\"TUN_TX\":%" PRIu64
          ",\"TUN_READ_IO\":%" PRIu64 ",\"UDP_SEND_IO\":%" PRIu64 ",\"UDP_RECV_IO\":%" PRIu64
          ",\"TUN_WRITE_IO\":%" PRIu64 ",\"bad\":%" PRIu64 "}\n",
          counts.tun_rx, counts.udp_tx, counts.udp_rx, counts.tun_tx, counts.tun_reads, counts.udp_sends,
          counts.udp_receives, counts.tun_writes, counts.bad);
}
