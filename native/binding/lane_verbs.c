// Verbs that take a lane handle. Those of the hot path are all alike (handle, words, next activity), so one function
// serves them, told by a `struct verb` which core function to call. The books are switched on entry to the verb's
// activity and on return, also a failing one, to `next`; arguments of a wrong kind are refused before any switch.
#include <math.h>

#include "binding.h"

struct verb {
  const char *name;
  uint32_t words; // arguments between handle and next
  uint32_t activity; // or AS_IS, the present one
  bool returns_count;
  int (*run)(struct lane *lane, const uint32_t *words, struct fault *fault);
};

enum { WORDS_MAX = 5, AS_IS = ACTIVITY_COUNT };

static const struct verb verbs[] = {
    {"readTun", 5, ACTIVITY_KERN_READ_TUN, true, lane_read_tun},
    {"writeTun", 2, ACTIVITY_KERN_WRITE_TUN, true, lane_write_tun},
    {"receiveUdp", 5, ACTIVITY_KERN_RECV_UDP, true, lane_receive_udp},
    {"sendUdp", 2, ACTIVITY_KERN_SEND_UDP, true, lane_send_udp},
    {"seal", 2, ACTIVITY_USER_ENCRYPT, false, lane_seal},
    {"unseal", 2, ACTIVITY_USER_DECRYPT, true, lane_unseal},
    {"accumulate", 2, AS_IS, false, lane_accumulate},
    {"checkMacs", 3, AS_IS, false, lane_check_macs},
    {"sealCookies", 3, AS_IS, false, lane_seal_cookies},
};

static bool read_next(napi_env env, napi_value value, uint32_t *next) {
  return read_word(env, value, ACTIVITY_COUNT - 1, next);
}

static napi_value run_verb(napi_env env, napi_callback_info info) {
  napi_value arguments[WORDS_MAX + 2];
  size_t given = WORDS_MAX + 2;
  const struct verb *verb;
  uint32_t words[WORDS_MAX], next;
  napi_get_cb_info(env, info, &given, arguments, NULL, (void **)(uintptr_t)&verb);
  if (given < verb->words + 2 && !throw_type(env, "too few arguments")) return NULL;
  for (uint32_t i = 0; i < verb->words; i++) {
    if (!read_word(env, arguments[i + 1], INT32_MAX, words + i)) return NULL;
  }
  struct handle *handle = use_handle(env, arguments[0]);
  if (handle == NULL || !read_next(env, arguments[verb->words + 1], &next)) return NULL;
  struct fault fault;
  if (verb->activity != AS_IS) books_switch(&handle->lane.books, verb->activity);
  int result = verb->run(&handle->lane, words, &fault);
  books_switch(&handle->lane.books, next);
  if (result < 0) throw_fault(env, &fault);
  return result < 0 || !verb->returns_count ? NULL : make_number(env, result);
}

static bool read_timeout(napi_env env, napi_value value, double *timeout_ms) {
  if (napi_get_value_double(env, value, timeout_ms) != napi_ok) return throw_type(env, "expected a number");
  if (*timeout_ms == -1 || (*timeout_ms >= 0 && *timeout_ms <= 1e12)) return true;
  return throw_range(env, "a timeout is -1, or from 0 to 1e12 ms");
}

static napi_value wait_verb(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  double timeout_ms;
  uint32_t watch, next;
  if (!read_arguments(env, info, 4, arguments, NULL) || !read_timeout(env, arguments[1], &timeout_ms) ||
      !read_word(env, arguments[2], INT32_MAX, &watch) || !read_next(env, arguments[3], &next)) {
    return NULL;
  }
  struct handle *handle = use_handle(env, arguments[0]);
  if (handle == NULL) return NULL;
  struct fault fault;
  books_switch(&handle->lane.books, ACTIVITY_KERN_WAIT);
  int ready = lane_wait(&handle->lane, timeout_ms, watch, &fault);
  books_switch(&handle->lane.books, next);
  books_refresh(&handle->lane.books);
  if (ready >= 0) return make_number(env, ready);
  throw_fault(env, &fault);
  return NULL;
}

static napi_value book_verb(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint32_t next;
  if (!read_arguments(env, info, 2, arguments, NULL) || !read_next(env, arguments[1], &next)) return NULL;
  struct handle *handle = use_handle(env, arguments[0]);
  if (handle == NULL) return NULL;
  books_switch(&handle->lane.books, next);
  books_refresh(&handle->lane.books);
  return NULL;
}

static bool read_key(napi_env env, napi_value value, const uint8_t **key) {
  size_t length;
  if (!read_array(env, value, napi_uint8_array, (void **)(uintptr_t)key, &length)) return false;
  return length == KEY_LENGTH || throw_range(env, "a key has 32 bytes");
}

// (handle, slot, key, cipher), or (handle, slot, null) to clear the slot.
static napi_value set_key(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  napi_valuetype type;
  uint32_t slot, cipher;
  const uint8_t *key;
  struct fault fault;
  size_t given = 4;
  napi_get_cb_info(env, info, &given, arguments, NULL, NULL);
  if (given < 3 && !throw_type(env, "too few arguments")) return NULL;
  if (!read_word(env, arguments[1], INT32_MAX, &slot)) return NULL;
  struct handle *handle = use_handle(env, arguments[0]);
  if (handle == NULL) return NULL;
  if (napi_typeof(env, arguments[2], &type) == napi_ok && type == napi_null) {
    if (lane_clear_key(&handle->lane, slot, &fault) < 0) throw_fault(env, &fault);
    return NULL;
  }
  // An argument that was not given is undefined, and so no number.
  if (!read_key(env, arguments[2], &key) || !read_word(env, arguments[3], INT32_MAX, &cipher)) return NULL;
  if (lane_set_key(&handle->lane, slot, cipher, key, &fault) < 0) throw_fault(env, &fault);
  return NULL;
}

bool define_lane_verbs(napi_env env, napi_value exports) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
    if (!define_function(env, exports, verbs[i].name, run_verb, verbs + i)) return false;
  }
  return define_function(env, exports, "wait", wait_verb, NULL) &&
         define_function(env, exports, "book", book_verb, NULL) &&
         define_function(env, exports, "setKey", set_key, NULL) &&
         define_function(env, exports, "openLane", open_lane, NULL) &&
         define_function(env, exports, "closeLane", close_lane, NULL);
}
