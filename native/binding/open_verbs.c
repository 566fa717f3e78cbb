// Verbs that open and ask after descriptors; none is on the hot path.
#include "../core/process.h"
#include "binding.h"

static bool read_optional_descriptor(napi_env env, napi_value object, const char *name, int *fd) {
  napi_value value;
  napi_valuetype type;
  *fd = -1;
  if (!property(env, object, name, &value)) return false;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_undefined) return true;
  double integer;
  if (!read_integer(env, value, 0, INT32_MAX, &integer)) return false;
  *fd = (int)integer;
  return true;
}

static bool read_tun_options(napi_env env, napi_value object, struct tun_options *options) {
  napi_value name;
  return property(env, object, "name", &name) && read_text(env, name, options->name, sizeof options->name) &&
         boolean_property(env, object, "multiQueue", &options->multi_queue) &&
         word_property(env, object, "offloads", INT32_MAX, &options->offloads) &&
         read_optional_descriptor(env, object, "fd", &options->fd);
}

static napi_value open_tun(napi_env env, napi_callback_info info) {
  napi_value object;
  struct tun_options options = {0};
  struct tun_opened opened = {0};
  struct fault fault;
  if (!read_arguments(env, info, 1, &object, NULL) || !read_tun_options(env, object, &options)) return NULL;
  if (tun_open(&options, &opened, &fault) < 0) {
    throw_fault(env, &fault);
    return NULL;
  }
  const struct field fields[] = {
      {"fd", make_number(env, opened.fd)},
      {"name", make_text(env, opened.name)},
      {"offloads", make_number(env, opened.offloads)},
      {"multiQueue", make_boolean(env, opened.multi_queue)},
  };
  return make_object(env, fields, sizeof fields / sizeof *fields);
}

static bool read_udp_options(napi_env env, napi_value object, struct udp_options *options) {
  uint32_t family, port, buffer_length;
  if (!word_property(env, object, "family", 6, &family) || !word_property(env, object, "port", 65535, &port) ||
      !boolean_property(env, object, "reusePort", &options->reuse_port) ||
      !boolean_property(env, object, "joinPort", &options->join_port) ||
      !word_property(env, object, "fwmark", UINT32_MAX, &options->fwmark) ||
      !word_property(env, object, "bufferLength", INT32_MAX / 2, &buffer_length) ||
      !boolean_property(env, object, "gro", &options->gro) ||
      !optional_boolean_property(env, object, "standIn", &options->stand_in) ||
      !read_optional_descriptor(env, object, "fd", &options->fd) ||
      !read_optional_descriptor(env, object, "replaces", &options->replaces)) {
    return false;
  }
  options->family = (int)family;
  options->port = (uint16_t)port;
  options->buffer_length = (int)buffer_length;
  return family == 4 || family == 6 || throw_range(env, "a family is 4 or 6");
}

static napi_value open_udp(napi_env env, napi_callback_info info) {
  napi_value object;
  struct udp_options options = {0};
  struct udp_opened opened = {0};
  struct fault fault;
  if (!read_arguments(env, info, 1, &object, NULL) || !read_udp_options(env, object, &options)) return NULL;
  if (udp_open(&options, &opened, &fault) < 0) {
    throw_fault(env, &fault);
    return NULL;
  }
  const struct field fields[] = {
      {"fd", make_number(env, opened.fd)},
      {"port", make_number(env, opened.port)},
      {"receiveBufferLength", make_number(env, opened.receive_buffer_length)},
      {"sendBufferLength", make_number(env, opened.send_buffer_length)},
      {"gro", make_boolean(env, opened.gro)},
      {"gso", make_boolean(env, opened.gso)},
      {"gsoDatagramsMax", make_number(env, opened.gso_datagrams_max)},
  };
  return make_object(env, fields, sizeof fields / sizeof *fields);
}

static napi_value link_info(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  int tun_fd, tx_queue_length; // each -1 or more
  char name[IFNAMSIZ];
  struct link_info link;
  struct fault fault;
  if (!read_arguments(env, info, 3, arguments, NULL) || !read_descriptor(env, arguments[0], &tun_fd) ||
      !read_text(env, arguments[1], name, sizeof name) || !read_descriptor(env, arguments[2], &tx_queue_length)) {
    return NULL;
  }
  if (link_read(tun_fd, name, tx_queue_length, &link, &fault) < 0) {
    throw_fault(env, &fault);
    return NULL;
  }
  const struct field fields[] = {
      {"index", make_number(env, link.index)},
      {"mtu", make_number(env, link.mtu)},
      {"up", make_boolean(env, link.up)},
      {"txQueueLength", make_number(env, link.tx_queue_length)},
  };
  return make_object(env, fields, sizeof fields / sizeof *fields);
}

static napi_value wake(napi_env env, napi_callback_info info) {
  napi_value value;
  int fd;
  struct fault fault;
  if (!read_arguments(env, info, 1, &value, NULL) || !read_descriptor(env, value, &fd)) return NULL;
  if (!descriptor_is_eventfd(fd)) throw_range(env, "no eventfd");
  else if (eventfd_wake(fd, &fault) < 0) throw_fault(env, &fault);
  return NULL;
}

static napi_value thread_usage(napi_env env, napi_callback_info info) {
  napi_value value;
  void *cells;
  size_t count;
  struct fault fault;
  if (!read_arguments(env, info, 1, &value, NULL)) return NULL;
  if (!read_array(env, value, napi_float64_array, &cells, &count)) return NULL;
  if (count < USAGE_CELLS) throw_range(env, "too few cells");
  else if (usage_read(cells, &fault) < 0) throw_fault(env, &fault);
  return NULL;
}

// (capabilities to keep, or -1 to keep all and only forbid dumps). Returns the number of threads that were limited.
static napi_value harden(napi_env env, napi_callback_info info) {
  napi_value value;
  double keep;
  struct fault fault;
  if (!read_arguments(env, info, 1, &value, NULL) || !read_integer(env, value, -1, 0x1p53 - 1, &keep)) return NULL;
  int threads = process_forbid_dumps(&fault);
  if (threads == 0 && keep >= 0) threads = process_limit((uint64_t)keep, &fault);
  if (threads >= 0) return make_number(env, threads);
  throw_fault(env, &fault);
  return NULL;
}

bool define_open_verbs(napi_env env, napi_value exports) {
  return define_function(env, exports, "openTun", open_tun, NULL) &&
         define_function(env, exports, "openUdp", open_udp, NULL) &&
         define_function(env, exports, "linkInfo", link_info, NULL) &&
         define_function(env, exports, "wake", wake, NULL) &&
         define_function(env, exports, "threadUsage", thread_usage, NULL) &&
         define_function(env, exports, "harden", harden, NULL);
}
