// Readers of arguments and makers of results and exceptions.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "binding.h"

bool throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

bool throw_range(napi_env env, const char *message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return false;
}

static void name_of_errno(int number, char *name, size_t size) {
  if (number == EBADFD) snprintf(name, size, "EBADFD"); // libuv has no name for it
  else uv_err_name_r(-number, name, size);
}

static bool throw_system(napi_env env, const struct fault *fault) {
  char name[32], message[160];
  name_of_errno(fault->number, name, sizeof name);
  snprintf(message, sizeof message, "%s: %s, %s", name, strerror(fault->number), fault->what);
  napi_value code = make_text(env, name), text = make_text(env, message), error;
  if (code == NULL || text == NULL || napi_create_error(env, code, text, &error) != napi_ok) return false;
  napi_set_named_property(env, error, "errno", make_number(env, fault->number));
  napi_set_named_property(env, error, "syscall", make_text(env, fault->what));
  napi_throw(env, error);
  return false;
}

bool throw_fault(napi_env env, const struct fault *fault) {
  if (fault->kind == FAULT_RANGE) return throw_range(env, fault->what);
  return fault->kind == FAULT_SYSTEM ? throw_system(env, fault) : throw_type(env, fault->what);
}

bool read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, void **data) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, arguments, NULL, data) != napi_ok) return throw_type(env, "no arguments");
  return given >= count || throw_type(env, "too few arguments");
}

bool read_integer(napi_env env, napi_value value, double least, double most, double *integer) {
  if (napi_get_value_double(env, value, integer) != napi_ok) return throw_type(env, "expected a number");
  if (*integer >= least && *integer <= most && *integer == floor(*integer)) return true;
  return throw_range(env, "a number is outside its range, or no integer");
}

bool read_word(napi_env env, napi_value value, uint32_t most, uint32_t *word) {
  double integer;
  if (!read_integer(env, value, 0, most, &integer)) return false;
  *word = (uint32_t)integer;
  return true;
}

bool read_descriptor(napi_env env, napi_value value, int *fd) {
  double integer;
  if (!read_integer(env, value, -1, INT32_MAX, &integer)) return false;
  *fd = (int)integer;
  return true;
}

// `size` counts the final zero; a longer text, or one with a zero in it, is refused rather than cut.
bool read_text(napi_env env, napi_value value, char *text, size_t size) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return throw_type(env, "expected a string");
  if (length >= size) return throw_range(env, "a string is too long");
  napi_get_value_string_utf8(env, value, text, size, &length);
  return strlen(text) == length || throw_range(env, "a string holds a zero byte");
}

bool read_boolean(napi_env env, napi_value value, bool *boolean) {
  return napi_get_value_bool(env, value, boolean) == napi_ok || throw_type(env, "expected a boolean");
}

bool read_array(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length) {
  napi_typedarray_type given;
  bool is_array = false;
  if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array) return throw_type(env, "expected a typed array");
  if (napi_get_typedarray_info(env, value, &given, length, data, NULL, NULL) != napi_ok || given != type) {
    return throw_type(env, "expected another kind of typed array");
  }
  return true;
}

bool property(napi_env env, napi_value object, const char *name, napi_value *value) {
  napi_valuetype type;
  if (napi_typeof(env, object, &type) != napi_ok || type != napi_object) return throw_type(env, "expected an object");
  return napi_get_named_property(env, object, name, value) == napi_ok; // a throwing getter's exception stays pending
}

bool word_property(napi_env env, napi_value object, const char *name, uint32_t most, uint32_t *word) {
  napi_value value;
  return property(env, object, name, &value) && read_word(env, value, most, word);
}

bool boolean_property(napi_env env, napi_value object, const char *name, bool *boolean) {
  napi_value value;
  return property(env, object, name, &value) && read_boolean(env, value, boolean);
}

// Left out, it is false.
bool optional_boolean_property(napi_env env, napi_value object, const char *name, bool *boolean) {
  napi_value value;
  napi_valuetype type;
  *boolean = false;
  if (!property(env, object, name, &value)) return false;
  return (napi_typeof(env, value, &type) == napi_ok && type == napi_undefined) || read_boolean(env, value, boolean);
}

bool descriptor_property(napi_env env, napi_value object, const char *name, int *fd) {
  napi_value value;
  return property(env, object, name, &value) && read_descriptor(env, value, fd);
}

napi_value make_number(napi_env env, double number) {
  napi_value value = NULL;
  napi_create_double(env, number, &value);
  return value;
}

napi_value make_boolean(napi_env env, bool boolean) {
  napi_value value = NULL;
  napi_get_boolean(env, boolean, &value);
  return value;
}

napi_value make_text(napi_env env, const char *text) {
  napi_value value = NULL;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

napi_value make_undefined(napi_env env) {
  napi_value value = NULL;
  napi_get_undefined(env, &value);
  return value;
}

napi_value make_object(napi_env env, const struct field *fields, size_t count) {
  napi_value object = NULL;
  if (napi_create_object(env, &object) != napi_ok) return NULL;
  for (size_t i = 0; i < count; i++) {
    if (napi_set_named_property(env, object, fields[i].name, fields[i].value) != napi_ok) return NULL;
  }
  return object;
}

bool define_function(napi_env env, napi_value exports, const char *name, napi_callback function, const void *data) {
  napi_value value;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, function, (void *)(uintptr_t)data, &value) == napi_ok &&
         napi_set_named_property(env, exports, name, value) == napi_ok;
}
