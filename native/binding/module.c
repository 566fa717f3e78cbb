// Entry of the addon: one state per environment, so that any number of worker threads can load it.
#include <stdlib.h>

#include "binding.h"

static void finalize_environment(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct environment *environment = data;
  // Handles that outlive the environment's state free themselves in their own finalizers.
  for (struct handle *handle = environment->handles; handle != NULL; handle = handle->next) handle->environment = NULL;
  free(environment);
}

NAPI_MODULE_INIT() {
  struct environment *environment = calloc(1, sizeof *environment);
  if (environment == NULL) return NULL;
  if (napi_set_instance_data(env, environment, finalize_environment, NULL) != napi_ok) {
    free(environment);
    return NULL;
  }
  return define_lane_verbs(env, exports) && define_open_verbs(env, exports) ? exports : NULL;
}
