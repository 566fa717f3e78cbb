// Asks after the link of a TUN that was moved to another network namespace, without entering that: to enter takes
// CAP_SYS_ADMIN, which a running tunnel has dropped; to ask through netlink takes CAP_NET_ADMIN there.
#include <errno.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"

#ifndef IFLA_TARGET_NETNSID // Linux 4.20; IFLA_IF_NETNSID before, with the same number
#define IFLA_TARGET_NETNSID 46
#endif

enum { REQUEST_BYTES = 256, ANSWER_BYTES = 16384 };

struct request {
  struct nlmsghdr header;
  char body[REQUEST_BYTES];
};

static struct request begin(uint16_t type, const void *head, size_t length) {
  struct request request = {0};
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | (type == RTM_NEWNSID ? NLM_F_ACK : 0);
  request.header.nlmsg_len = (uint32_t)NLMSG_SPACE(length);
  memcpy(request.body, head, length);
  return request;
}

// All that is ever added is a name and two numbers: they fit.
static void add(struct request *request, uint16_t type, const void *data, size_t length) {
  struct rtattr *attribute = (struct rtattr *)((char *)request + request->header.nlmsg_len);
  attribute->rta_type = type;
  attribute->rta_len = (uint16_t)RTA_LENGTH(length);
  memcpy(RTA_DATA(attribute), data, length);
  request->header.nlmsg_len += (uint32_t)RTA_SPACE(length);
}

// Sends a request and takes its one answer. Returns 0, or an errno.
static int exchange(int netlink, const struct request *request, struct nlmsghdr *answer) {
  if (send(netlink, request, request->header.nlmsg_len, 0) < 0) return errno;
  ssize_t length = recv(netlink, answer, ANSWER_BYTES, 0);
  if (length < 0) return errno;
  if (!NLMSG_OK(answer, (uint32_t)length)) return EPROTO;
  if (answer->nlmsg_type != NLMSG_ERROR) return 0;
  return answer->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)) ? EPROTO : -((struct nlmsgerr *)NLMSG_DATA(answer))->error;
}

// A number of the answer, or `otherwise` where it has none.
static uint32_t number_of(struct nlmsghdr *answer, size_t head, uint16_t type, uint32_t otherwise) {
  if (answer->nlmsg_len < NLMSG_SPACE(head)) return otherwise;
  struct rtattr *attribute = (struct rtattr *)((char *)answer + NLMSG_SPACE(head));
  int left = (int)(answer->nlmsg_len - NLMSG_SPACE(head));
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != type || RTA_PAYLOAD(attribute) < sizeof(uint32_t)) continue;
    memcpy(&otherwise, RTA_DATA(attribute), sizeof otherwise);
  }
  return otherwise;
}

// What our namespace calls another one; the kernel gives a name to the one that a link of ours moves to, else we do.
static int namespace_id(int netlink, int namespace_fd, struct nlmsghdr *answer, uint32_t *id) {
  const struct rtgenmsg head = {AF_UNSPEC};
  const uint32_t none = UINT32_MAX;
  for (int tries = 0; tries < 2; tries++) {
    struct request get = begin(RTM_GETNSID, &head, sizeof head);
    add(&get, NETNSA_FD, &namespace_fd, sizeof namespace_fd);
    int result = exchange(netlink, &get, answer);
    if (result != 0) return result;
    *id = number_of(answer, sizeof head, NETNSA_NSID, none);
    if (*id != none) return 0;
    struct request name = begin(RTM_NEWNSID, &head, sizeof head);
    add(&name, NETNSA_FD, &namespace_fd, sizeof namespace_fd);
    add(&name, NETNSA_NSID, &none, sizeof none);
    result = exchange(netlink, &name, answer);
    if (result != 0 && result != EEXIST) return result;
  }
  return ENOENT;
}

static int ask(int netlink, int namespace_fd, const char *name, struct link_info *info) {
  _Alignas(struct nlmsghdr) char buffer[ANSWER_BYTES];
  struct nlmsghdr *answer = (struct nlmsghdr *)buffer;
  const struct ifinfomsg head = {0};
  uint32_t id;
  int result = namespace_id(netlink, namespace_fd, answer, &id);
  if (result != 0) return result;
  struct request get = begin(RTM_GETLINK, &head, sizeof head);
  add(&get, IFLA_TARGET_NETNSID, &id, sizeof id);
  add(&get, IFLA_IFNAME, name, strlen(name) + 1);
  result = exchange(netlink, &get, answer);
  if (result != 0) return result;
  if (answer->nlmsg_type != RTM_NEWLINK || answer->nlmsg_len < NLMSG_LENGTH(sizeof head)) return EPROTO;
  const struct ifinfomsg *link = NLMSG_DATA(answer);
  info->index = (uint32_t)link->ifi_index;
  info->up = (link->ifi_flags & IFF_UP) != 0;
  info->mtu = number_of(answer, sizeof head, IFLA_MTU, 0);
  info->tx_queue_length = number_of(answer, sizeof head, IFLA_TXQLEN, 0);
  return 0;
}

int link_ask(int namespace_fd, const char *name, struct link_info *info, struct fault *fault) {
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink < 0) return fault_system(fault, errno, "socket AF_NETLINK");
  int result = ask(netlink, namespace_fd, name, info);
  close(netlink);
  return result == 0 ? 0 : fault_system(fault, result, "netlink RTM_GETLINK");
}
