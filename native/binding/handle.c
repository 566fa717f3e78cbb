// Life of a lane handle: an external value whose memory the environment also lists. A value counts as a handle only if
// it is on that list, so that externals of other addons or threads are refused. Closing is done once, by closeLane or by
// the finalizer when the value is collected or its environment ends.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "binding.h"

static void unlink_handle(struct handle *handle) {
  struct handle **link = &handle->environment->handles;
  while (*link != handle) link = &(*link)->next;
  *link = handle->next;
}

static void close_handle(napi_env env, struct handle *handle) {
  if (!handle->open) return;
  handle->open = false;
  lane_close(&handle->lane);
  napi_delete_reference(env, handle->arena);
  napi_delete_reference(env, handle->books);
}

static void finalize_handle(napi_env env, void *data, void *hint) {
  (void)hint;
  struct handle *handle = data;
  close_handle(env, handle);
  if (handle->environment != NULL) unlink_handle(handle);
  free(handle);
}

static struct handle *find_handle(napi_env env, napi_value value) {
  struct environment *environment;
  void *data;
  if (napi_get_value_external(env, value, &data) != napi_ok) return NULL;
  if (napi_get_instance_data(env, (void **)&environment) != napi_ok) return NULL;
  struct handle *handle = environment->handles;
  while (handle != NULL && handle != data) handle = handle->next;
  return handle;
}

// Arena and books are fetched for every call: a detached or shrunk buffer must not leave a wild pointer here. That both
// are typed arrays of the right kind was checked by openLane.
static bool fetch_memory(napi_env env, struct handle *handle, napi_value arena, napi_value books) {
  size_t arena_length, cells;
  void *arena_data, *books_data;
  if (napi_get_typedarray_info(env, arena, NULL, &arena_length, &arena_data, NULL, NULL) != napi_ok ||
      napi_get_typedarray_info(env, books, NULL, &cells, &books_data, NULL, NULL) != napi_ok) {
    return throw_type(env, "expected typed arrays");
  }
  if (arena_length > INT32_MAX) return throw_range(env, "an arena has at most 2^31 - 1 bytes");
  if (cells < BOOKS_CELLS) return throw_range(env, "the books have too few cells, or are detached");
  handle->lane.arena.base = arena_data;
  handle->lane.arena.length = arena_length;
  handle->lane.books.cells = books_data;
  return true;
}

struct handle *use_handle(napi_env env, napi_value value) {
  struct handle *handle = find_handle(env, value);
  napi_value arena, books;
  if (handle == NULL || !handle->open || napi_get_reference_value(env, handle->arena, &arena) != napi_ok ||
      napi_get_reference_value(env, handle->books, &books) != napi_ok) {
    throw_type(env, "expected the handle of an open lane of this thread");
    return NULL;
  }
  return fetch_memory(env, handle, arena, books) ? handle : NULL;
}

struct lane_settings {
  napi_value arena, books;
  char aead[16];
  struct lane_options options;
};

static bool may_be_udp(int fd, int family) {
  return fd < 0 || descriptor_is_udp(fd, family) || descriptor_is_stand_in(fd);
}

static bool read_settings(napi_env env, napi_value object, struct lane_settings *settings) {
  struct lane_options *options = &settings->options;
  napi_value aead;
  if (!property(env, object, "arena", &settings->arena) || !property(env, object, "books", &settings->books) ||
      !property(env, object, "aead", &aead) || !read_text(env, aead, settings->aead, sizeof settings->aead) ||
      !boolean_property(env, object, "bookTime", &options->book_time) ||
      !optional_boolean_property(env, object, "watchLink", &options->watch_link) ||
      !descriptor_property(env, object, "tunFd", &options->tun_fd) ||
      !descriptor_property(env, object, "udp4Fd", &options->udp4_fd) ||
      !descriptor_property(env, object, "udp6Fd", &options->udp6_fd)) {
    return false;
  }
  options->aead = settings->aead;
  if (options->tun_fd >= 0 && !descriptor_is_tun(options->tun_fd)) return throw_range(env, "tunFd is no TUN");
  if (!may_be_udp(options->udp4_fd, 4)) return throw_range(env, "udp4Fd is no IPv4 UDP socket");
  if (!may_be_udp(options->udp6_fd, 6)) return throw_range(env, "udp6Fd is no IPv6 UDP socket");
  return true;
}

static bool is_known_aead(const char *name) {
  return strcmp(name, "auto") == 0 || strcmp(name, "openssl") == 0 || strcmp(name, "ipsec-mb") == 0;
}

static bool check_kinds(napi_env env, const struct lane_settings *settings) {
  void *data;
  size_t length;
  return read_array(env, settings->arena, napi_uint8_array, &data, &length) &&
         read_array(env, settings->books, napi_float64_array, &data, &length);
}

static bool open_handle(napi_env env, struct handle *handle, const struct lane_settings *settings) {
  struct fault fault;
  if (!is_known_aead(settings->aead)) return throw_range(env, "aead is one of auto, openssl, ipsec-mb");
  if (!check_kinds(env, settings) || !fetch_memory(env, handle, settings->arena, settings->books)) return false;
  if (lane_open(&handle->lane, &settings->options, &fault) < 0) return throw_fault(env, &fault);
  handle->open = true;
  napi_create_reference(env, settings->arena, 1, &handle->arena);
  napi_create_reference(env, settings->books, 1, &handle->books);
  return true;
}

// Ties the handle to an external value and to the environment; from here on the finalizer owns it.
static napi_value publish_handle(napi_env env, struct handle *handle) {
  napi_value external;
  if (napi_get_instance_data(env, (void **)&handle->environment) != napi_ok ||
      napi_create_external(env, handle, finalize_handle, NULL, &external) != napi_ok) {
    close_handle(env, handle);
    free(handle);
    return NULL;
  }
  handle->next = handle->environment->handles;
  handle->environment->handles = handle;
  return external;
}

napi_value open_lane(napi_env env, napi_callback_info info) {
  napi_value object, external;
  struct lane_settings settings;
  if (!read_arguments(env, info, 1, &object, NULL) || !read_settings(env, object, &settings)) return NULL;
  struct handle *handle = calloc(1, sizeof *handle);
  if (handle == NULL || !open_handle(env, handle, &settings)) {
    if (handle == NULL) throw_fault(env, &(struct fault){FAULT_SYSTEM, ENOMEM, "calloc"});
    free(handle);
    return NULL;
  }
  if ((external = publish_handle(env, handle)) == NULL) return NULL;
  const struct field fields[] = {
      {"handle", external},
      {"wakeFd", make_number(env, handle->lane.wake_fd)},
      {"aead", make_text(env, handle->lane.aead->name)},
  };
  return make_object(env, fields, sizeof fields / sizeof *fields);
}

napi_value close_lane(napi_env env, napi_callback_info info) {
  napi_value value;
  if (!read_arguments(env, info, 1, &value, NULL)) return NULL;
  struct handle *handle = find_handle(env, value);
  if (handle == NULL) {
    throw_type(env, "expected a lane handle of this thread");
    return NULL;
  }
  close_handle(env, handle);
  return make_undefined(env);
}
