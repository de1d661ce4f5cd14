/* http_mhd.h: libmicrohttpd, loaded when the first server starts.
**
** A table of the functions that are used; each is that of its manual. */
#ifndef MU_HTTP_MHD_H
#define MU_HTTP_MHD_H

#include <sys/socket.h>

#include <microhttpd.h>

typedef struct {
  __typeof__(MHD_start_daemon) *start_daemon;
  __typeof__(MHD_stop_daemon) *stop_daemon;
  __typeof__(MHD_quiesce_daemon) *quiesce_daemon;
  __typeof__(MHD_run) *run;
  __typeof__(MHD_get_timeout) *get_timeout;
  __typeof__(MHD_get_daemon_info) *get_daemon_info;
  __typeof__(MHD_get_connection_info) *get_connection_info;
  __typeof__(MHD_get_connection_values_n) *get_connection_values;
  __typeof__(MHD_lookup_connection_value) *lookup_connection_value;
  __typeof__(MHD_suspend_connection) *suspend;
  __typeof__(MHD_resume_connection) *resume;
  __typeof__(MHD_create_response_from_buffer) *response_from_buffer;
  __typeof__(MHD_create_response_from_callback) *response_from_callback;
  __typeof__(MHD_set_response_options) *set_options;
  __typeof__(MHD_add_response_header) *add_header;
  __typeof__(MHD_queue_response) *queue;
  __typeof__(MHD_destroy_response) *destroy_response;
  void *library;
} mu_mhd;

/* Fills the table. NULL, or why it cannot (static memory, or of dlerror). The library stays loaded. */
const char *mu_mhd_load(mu_mhd *mhd);

#endif
