/* http_curl.h: libcurl, loaded when it is first used, so that programs without HTTP start without its forty libraries.
**
** A table of the functions that are used; each is that of libcurl's manual. */
#ifndef MU_HTTP_CURL_H
#define MU_HTTP_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

typedef struct {
  __typeof__(curl_global_init_mem) *global_init_mem;
  __typeof__(curl_global_cleanup) *global_cleanup;
  __typeof__(curl_easy_init) *easy_init;
  __typeof__(curl_easy_cleanup) *easy_cleanup;
  __typeof__(curl_easy_reset) *easy_reset;
  __typeof__(curl_easy_setopt) *setopt;
  __typeof__(curl_easy_getinfo) *getinfo;
  __typeof__(curl_easy_pause) *easy_pause;
  __typeof__(curl_easy_strerror) *easy_strerror;
  __typeof__(curl_multi_init) *multi_init;
  __typeof__(curl_multi_cleanup) *multi_cleanup;
  __typeof__(curl_multi_setopt) *multi_setopt;
  __typeof__(curl_multi_add_handle) *multi_add_handle;
  __typeof__(curl_multi_remove_handle) *multi_remove_handle;
  __typeof__(curl_multi_socket_action) *multi_socket_action;
  __typeof__(curl_multi_info_read) *multi_info_read;
  __typeof__(curl_url) *url;
  __typeof__(curl_url_cleanup) *url_cleanup;
  __typeof__(curl_url_set) *url_set;
  __typeof__(curl_url_get) *url_get;
  __typeof__(curl_free) *free;
  __typeof__(curl_version_info) *version_info;
  void *library;
} mu_curl;

/* Fills the table. NULL, or why it cannot (static memory, or of dlerror). */
const char *mu_curl_load(mu_curl *curl);

/* Gives up what global_init took. The library itself stays loaded. */
void mu_curl_unload(mu_curl *curl);

#endif
