#include "host/http_curl.h"
#include "host/http_memory.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static const struct {
  const char *name;
  size_t offset;
} functions[] = {
    {"curl_global_init_mem", offsetof(mu_curl, global_init_mem)},
    {"curl_global_cleanup", offsetof(mu_curl, global_cleanup)},
    {"curl_easy_init", offsetof(mu_curl, easy_init)},
    {"curl_easy_cleanup", offsetof(mu_curl, easy_cleanup)},
    {"curl_easy_reset", offsetof(mu_curl, easy_reset)},
    {"curl_easy_setopt", offsetof(mu_curl, setopt)},
    {"curl_easy_getinfo", offsetof(mu_curl, getinfo)},
    {"curl_easy_pause", offsetof(mu_curl, easy_pause)},
    {"curl_easy_strerror", offsetof(mu_curl, easy_strerror)},
    {"curl_multi_init", offsetof(mu_curl, multi_init)},
    {"curl_multi_cleanup", offsetof(mu_curl, multi_cleanup)},
    {"curl_multi_setopt", offsetof(mu_curl, multi_setopt)},
    {"curl_multi_add_handle", offsetof(mu_curl, multi_add_handle)},
    {"curl_multi_remove_handle", offsetof(mu_curl, multi_remove_handle)},
    {"curl_multi_socket_action", offsetof(mu_curl, multi_socket_action)},
    {"curl_multi_info_read", offsetof(mu_curl, multi_info_read)},
    {"curl_url", offsetof(mu_curl, url)},
    {"curl_url_cleanup", offsetof(mu_curl, url_cleanup)},
    {"curl_url_set", offsetof(mu_curl, url_set)},
    {"curl_url_get", offsetof(mu_curl, url_get)},
    {"curl_free", offsetof(mu_curl, free)},
    {"curl_version_info", offsetof(mu_curl, version_info)},
};

/* A pointer to data is not one to a function, says C; POSIX says that here it is. */
static const char *find(mu_curl *curl, void *library) {
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *function = dlsym(library, functions[i].name);
    if (!function) return dlerror();
    memcpy((char *)curl + functions[i].offset, &function, sizeof function);
  }
  return NULL;
}

const char *mu_curl_load(mu_curl *curl) {
  if (curl->library) return NULL;
  void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
  if (!library) return dlerror();
  const char *problem = find(curl, library);
  if (!problem && curl->global_init_mem(CURL_GLOBAL_DEFAULT, mu_http_malloc, mu_http_free, mu_http_realloc,
                                        mu_http_strdup, mu_http_calloc))
    problem = "libcurl cannot be initialised";
  if (problem) return problem;
  mu_http_memory_begin();
  curl->library = library;
  return NULL;
}

void mu_curl_unload(mu_curl *curl) {
  if (!curl->library) return;
  curl->global_cleanup();
  mu_http_memory_end();
  curl->library = NULL;
}
