#include "host/http_mhd.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static const struct {
  const char *name;
  size_t offset;
} functions[] = {
    {"MHD_start_daemon", offsetof(mu_mhd, start_daemon)},
    {"MHD_stop_daemon", offsetof(mu_mhd, stop_daemon)},
    {"MHD_quiesce_daemon", offsetof(mu_mhd, quiesce_daemon)},
    {"MHD_run", offsetof(mu_mhd, run)},
    {"MHD_get_timeout", offsetof(mu_mhd, get_timeout)},
    {"MHD_get_daemon_info", offsetof(mu_mhd, get_daemon_info)},
    {"MHD_get_connection_info", offsetof(mu_mhd, get_connection_info)},
    {"MHD_get_connection_values_n", offsetof(mu_mhd, get_connection_values)},
    {"MHD_lookup_connection_value", offsetof(mu_mhd, lookup_connection_value)},
    {"MHD_suspend_connection", offsetof(mu_mhd, suspend)},
    {"MHD_resume_connection", offsetof(mu_mhd, resume)},
    {"MHD_create_response_from_buffer", offsetof(mu_mhd, response_from_buffer)},
    {"MHD_create_response_from_callback", offsetof(mu_mhd, response_from_callback)},
    {"MHD_set_response_options", offsetof(mu_mhd, set_options)},
    {"MHD_add_response_header", offsetof(mu_mhd, add_header)},
    {"MHD_queue_response", offsetof(mu_mhd, queue)},
    {"MHD_destroy_response", offsetof(mu_mhd, destroy_response)},
};

/* A pointer to data is not one to a function, says C; POSIX says that here it is. */
const char *mu_mhd_load(mu_mhd *mhd) {
  if (mhd->library) return NULL;
  void *library = dlopen("libmicrohttpd.so.12", RTLD_LAZY | RTLD_LOCAL);
  if (!library) return dlerror();
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *function = dlsym(library, functions[i].name);
    if (!function) return dlerror();
    memcpy((char *)mhd + functions[i].offset, &function, sizeof function);
  }
  mhd->library = library;
  return NULL;
}
