// Opens a TUN interface with virtio headers and offloads, and reads what its link is.
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "device.h"
#include "layout.h"

#ifndef TUNGETDEVNETNS // Linux 5.2
#define TUNGETDEVNETNS _IO('T', 227)
#endif

static int attach(int fd, const struct tun_options *options, struct fault *fault) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, options->name, IFNAMSIZ - 1);
  request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (options->multi_queue ? IFF_MULTI_QUEUE : 0));
  return ioctl(fd, TUNSETIFF, &request) < 0 ? fault_system(fault, errno, "ioctl TUNSETIFF") : 0;
}

// An adopted descriptor must be a TUN with virtio headers already: neither can be changed after TUNSETIFF.
static int check_adopted(int fd, struct fault *fault) {
  struct ifreq request = {0};
  if (!descriptor_is_tun(fd)) return fault_system(fault, ENOTTY, "ioctl TUNGETIFF");
  if (ioctl(fd, TUNGETIFF, &request) < 0) return fault_system(fault, errno, "ioctl TUNGETIFF");
  int wanted = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if ((request.ifr_flags & wanted) != wanted) return fault_system(fault, EINVAL, "ioctl TUNGETIFF");
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    return fault_system(fault, errno, "fcntl");
  }
  return 0;
}

// The kernel takes all bits or none, and USO only from Linux 6.2 on.
static int set_offloads(int fd, uint32_t wanted, uint32_t *granted, struct fault *fault) {
  uint32_t uso = wanted & (TUN_OFFLOAD_USO4 | TUN_OFFLOAD_USO6), base = wanted & ~uso;
  if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)base) < 0) return fault_system(fault, errno, "ioctl TUNSETOFFLOAD");
  *granted = base;
  if (uso != 0 && ioctl(fd, TUNSETOFFLOAD, (unsigned long)wanted) == 0) *granted = wanted;
  return 0;
}

static int configure(const struct tun_options *options, struct tun_opened *opened, struct fault *fault) {
  int adopted = options->fd >= 0, header_length = VIRTIO_HEADER_LENGTH;
  if ((adopted ? check_adopted(opened->fd, fault) : attach(opened->fd, options, fault)) < 0) return -1;
  if (ioctl(opened->fd, TUNSETVNETHDRSZ, &header_length) < 0) return fault_system(fault, errno, "ioctl TUNSETVNETHDRSZ");
  if (set_offloads(opened->fd, options->offloads, &opened->offloads, fault) < 0) return -1;
  struct ifreq request = {0};
  if (ioctl(opened->fd, TUNGETIFF, &request) < 0) return fault_system(fault, errno, "ioctl TUNGETIFF");
  memcpy(opened->name, request.ifr_name, IFNAMSIZ);
  opened->multi_queue = (request.ifr_flags & IFF_MULTI_QUEUE) != 0;
  return 0;
}

int tun_open(const struct tun_options *options, struct tun_opened *opened, struct fault *fault) {
  opened->fd = options->fd >= 0 ? options->fd : open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (opened->fd < 0) return fault_system(fault, errno, "open /dev/net/tun");
  if (configure(options, opened, fault) == 0) return 0;
  if (options->fd < 0) close(opened->fd);
  return -1;
}

// By its device number (Documentation/admin-guide/devices.txt): one whose interface was deleted answers no ioctl.
bool descriptor_is_tun(int fd) {
  struct stat stat;
  return fstat(fd, &stat) == 0 && S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(10, 200);
}

static int query_link(int socket_fd, const char *name, struct link_info *info, struct fault *fault) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(socket_fd, SIOCGIFINDEX, &request) < 0) return fault_system(fault, errno, "ioctl SIOCGIFINDEX");
  info->index = (uint32_t)request.ifr_ifindex;
  if (ioctl(socket_fd, SIOCGIFMTU, &request) < 0) return fault_system(fault, errno, "ioctl SIOCGIFMTU");
  info->mtu = (uint32_t)request.ifr_mtu;
  if (ioctl(socket_fd, SIOCGIFFLAGS, &request) < 0) return fault_system(fault, errno, "ioctl SIOCGIFFLAGS");
  info->up = (request.ifr_flags & IFF_UP) != 0;
  if (ioctl(socket_fd, SIOCGIFTXQLEN, &request) < 0) return fault_system(fault, errno, "ioctl SIOCGIFTXQLEN");
  info->tx_queue_length = (uint32_t)request.ifr_qlen;
  return 0;
}

static int set_tx_queue_length(int socket_fd, const char *name, int length, struct fault *fault) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_qlen = length;
  return ioctl(socket_fd, SIOCSIFTXQLEN, &request) < 0 ? fault_system(fault, errno, "ioctl SIOCSIFTXQLEN") : 0;
}

static bool same_file(int a, int b) {
  struct stat stat_a, stat_b;
  return fstat(a, &stat_a) == 0 && fstat(b, &stat_b) == 0 && stat_a.st_ino == stat_b.st_ino;
}

// The namespace of the TUN if that was moved to another one than the thread's; -1 where it was not, or the kernel does
// not say. `*here` is the thread's own.
static int moved_to(int tun_fd, int *here) {
  int there = tun_fd < 0 ? -1 : ioctl(tun_fd, TUNGETDEVNETNS);
  *here = there < 0 ? -1 : open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (*here >= 0 && !same_file(*here, there)) return there;
  if (there >= 0) close(there);
  return -1;
}

// A socket in the namespace `there`, or in the thread's own for -1. The thread is in its own again when this returns.
static int socket_in(int there, int here) {
  // The way back is tried before the way there: a thread without rights in its own namespace would be stuck in the other.
  if (there >= 0 && (setns(here, CLONE_NEWNET) < 0 || setns(there, CLONE_NEWNET) < 0)) return -1;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int number = errno;
  if (there >= 0 && setns(here, CLONE_NEWNET) < 0 && fd >= 0) {
    number = errno;
    close(fd);
    fd = -1;
  }
  errno = number;
  return fd;
}

static int read_in(int there, int here, const char *name, int tx_queue_length, struct link_info *info,
                   struct fault *fault) {
  int fd = socket_in(there, here);
  if (fd < 0 && errno == EPERM && tx_queue_length < 0) return link_ask(there, name, info, fault);
  if (fd < 0) return fault_system(fault, errno, "socket");
  int result = tx_queue_length < 0 ? 0 : set_tx_queue_length(fd, name, tx_queue_length, fault);
  if (result == 0) result = query_link(fd, name, info, fault);
  close(fd);
  return result;
}

int link_read(int tun_fd, const char *name, int tx_queue_length, struct link_info *info, struct fault *fault) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
  if (tun_fd >= 0 && ioctl(tun_fd, TUNGETIFF, &request) < 0) return fault_system(fault, errno, "ioctl TUNGETIFF");
  int here, there = moved_to(tun_fd, &here);
  int result = read_in(there, here, request.ifr_name, tx_queue_length, info, fault);
  if (here >= 0) close(here);
  if (there >= 0) close(there);
  return result;
}
