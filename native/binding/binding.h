// Thin Node-API layer: reads and checks arguments, calls the core, turns faults into exceptions. State lives per
// environment (worker thread) and per handle; nothing is global.
#ifndef GIGATUN_BINDING_H
#define GIGATUN_BINDING_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "../core/device.h"
#include "../core/lane.h"

// A lane as JavaScript holds it. The memory belongs to the external value's finalizer; closing frees everything in it.
struct handle {
  struct handle *next; // of the environment's list
  struct environment *environment;
  napi_ref arena, books;
  bool open;
  struct lane lane;
};

struct environment {
  struct handle *handles;
};

// ---- arguments.c: each returns false with an exception pending.
bool throw_type(napi_env env, const char *message);
bool throw_range(napi_env env, const char *message);
bool throw_fault(napi_env env, const struct fault *fault);
// Exactly `count` arguments or more; further ones are ignored.
bool read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, void **data);
// An integer from `least` to `most`.
bool read_integer(napi_env env, napi_value value, double least, double most, double *integer);
bool read_word(napi_env env, napi_value value, uint32_t most, uint32_t *word);
bool read_descriptor(napi_env env, napi_value value, int *fd); // -1 or more
bool read_text(napi_env env, napi_value value, char *text, size_t size);
bool read_boolean(napi_env env, napi_value value, bool *boolean);
bool read_array(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length);
bool property(napi_env env, napi_value object, const char *name, napi_value *value);
bool word_property(napi_env env, napi_value object, const char *name, uint32_t most, uint32_t *word);
bool boolean_property(napi_env env, napi_value object, const char *name, bool *boolean);
bool optional_boolean_property(napi_env env, napi_value object, const char *name, bool *boolean);
bool descriptor_property(napi_env env, napi_value object, const char *name, int *fd);

// ---- results: null on failure, with an exception pending.
struct field {
  const char *name;
  napi_value value;
};
napi_value make_number(napi_env env, double number);
napi_value make_boolean(napi_env env, bool boolean);
napi_value make_text(napi_env env, const char *text);
napi_value make_object(napi_env env, const struct field *fields, size_t count);
napi_value make_undefined(napi_env env);

// ---- handle.c
napi_value open_lane(napi_env env, napi_callback_info info);
napi_value close_lane(napi_env env, napi_callback_info info);
// The handle of an open lane, with arena and books fetched anew; null with an exception pending.
struct handle *use_handle(napi_env env, napi_value value);

// ---- lane_verbs.c, open_verbs.c: add their functions to `exports`.
bool define_lane_verbs(napi_env env, napi_value exports);
bool define_open_verbs(napi_env env, napi_value exports);
bool define_function(napi_env env, napi_value exports, const char *name, napi_callback function, const void *data);

#endif
