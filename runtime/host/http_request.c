/* http_request.c: one request of an HTTP server's: its body comes, its response goes. */
#include "host/http_server.h"

#include <stdlib.h>
#include <string.h>

enum {
  MOST_DROPPED = 16 * 1024 * 1024
}; /* bytes of a body that nobody wants, until the connection is closed */

static const mu_mhd *mhd_of(const mu_request *r) { return &r->server->all->mhd; }

/* ---- bytes ---- */

static bool add(mu_bytes *b, const char *data, size_t size) {
  if (!size) return true;
  if (b->from == b->to) b->from = b->to = 0;
  if (b->capacity - b->to < size && b->from) {
    memmove(b->data, b->data + b->from, b->to - b->from);
    b->to -= b->from;
    b->from = 0;
  }
  if (b->capacity - b->to < size) {
    size_t capacity = 2 * b->to + size;
    char *grown = realloc(b->data, capacity);
    if (!grown) return false;
    b->data = grown;
    b->capacity = capacity;
  }
  memcpy(b->data + b->to, data, size);
  b->to += size;
  return true;
}

static void clear(mu_bytes *b) {
  free(b->data);
  *b = (mu_bytes){0};
}

/* ---- its life ---- */

void mu_request_release(mu_request *r) {
  if (--r->references) return;
  clear(&r->in);
  clear(&r->out);
  free(r->target);
  free(r->headers);
  mu_server_release(r->server);
  free(r);
}

void *mu_request_line(void *cls, const char *uri, struct MHD_Connection *connection) {
  mu_server *server = cls;
  mu_request *r = calloc(1, sizeof *r);
  const union MHD_ConnectionInfo *info =
      server->all->mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  mu_peer *peer = info ? info->socket_context : NULL;
  server->busy = true;
  if (!peer || !r || !(r->target = strdup(uri))) return free(r), NULL;
  peer->settled = false;
  peer->request = r;
  mu_list_init(&r->arrival);
  mu_list_init(&r->quiet);
  mu_list_push(&server->requests, &r->link);
  r->server = server;
  r->peer = peer;
  r->references = 1;
  server->references++;
  return r;
}

/* One in pieces refers to the request: it must not outlive the connection here. */
static void drop_response(mu_request *r) {
  struct MHD_Response *response = r->response;
  r->response = NULL;
  if (response) mhd_of(r)->destroy_response(response);
}

static enum MHD_Result queue_response(mu_request *r) {
  enum MHD_Result done = mhd_of(r)->queue(r->connection, r->status, r->response);
  drop_response(r);
  return done;
}

static void suspend(mu_request *r) {
  if (r->suspended) return;
  r->suspended = true;
  r->server->suspended++;
  mhd_of(r)->suspend(r->connection);
  mu_list_push(&r->server->unwatched, &r->quiet);
}

void mu_request_resume(mu_request *r) {
  if (!r->suspended) return;
  r->suspended = false;
  r->server->suspended--;
  mu_list_remove(&r->quiet);
  if (r->peer && uv_is_active((uv_handle_t *)&r->peer->watch)) uv_poll_stop(&r->peer->watch);
  mhd_of(r)->resume(r->connection);
  r->server->again = true;
}

void mu_request_abort(mu_request *r) {
  mu_sched *s = r->server->s;
  mu_task *task = r->task;
  r->gone = true;
  r->task = NULL;
  if (task) mu_task_cancel(s, task);
  mu_server_wake(s, &r->reader);
  mu_server_wake(s, &r->writer);
}

void mu_request_completed(void *cls, struct MHD_Connection *connection, void **ctx,
                          enum MHD_RequestTerminationCode code) {
  mu_server *server = cls;
  mu_request *r = *ctx;
  (void)connection;
  if (!r) return;
  *ctx = NULL;
  drop_response(r);
  bool whole_head = r->connection;
  r->connection = NULL;
  if (r->suspended) server->suspended--;
  r->suspended = false;
  server->busy = true;
  mu_list_remove(&r->link);
  mu_list_remove(&r->quiet);
  if (r->peer) r->peer->request = NULL;
  r->peer = NULL;
  if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK) r->bodyless = true; /* what is written now, goes nowhere */
  else mu_request_abort(r);
  mu_server_wake(server->s, &r->writer);
  if (whole_head && --server->active == 0) mu_server_wake(server->s, &server->idler);
  mu_request_release(r);
}

/* ---- it comes ---- */

static enum MHD_Result refuse(mu_request *r, unsigned status, const char *text) {
  static const char *const headers[] = {"Content-Type", "text/plain; charset=utf-8", "Connection", "close"};
  r->discard = true;
  if (!mu_request_respond(r, status, headers, 2, text, strlen(text))) return MHD_NO;
  return queue_response(r);
}

static bool announced_too_large(mu_request *r) {
  const char *length = mhd_of(r)->lookup_connection_value(r->connection, MHD_HEADER_KIND, "Content-Length");
  return length && strtoull(length, NULL, 10) > r->server->options.max_body;
}

static void copy_address(mu_request *r) {
  const union MHD_ConnectionInfo *info =
      mhd_of(r)->get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (!info || !info->client_addr) return;
  bool six = info->client_addr->sa_family == AF_INET6;
  memcpy(&r->from, info->client_addr, six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

/* Its header is here. */
static enum MHD_Result begin(mu_request *r, struct MHD_Connection *connection, const char *method,
                             const char *version) {
  mu_server *server = r->server;
  const char *problem;
  r->connection = connection;
  server->active++;
  if (r->peer) mu_peer_expect_body(r->peer, 0);
  if (strlen(method) >= sizeof r->method) return refuse(r, 501, "unknown method\n");
  strcpy(r->method, method);
  strncpy(r->version, version, sizeof r->version - 1);
  r->bodyless = strcmp(method, "HEAD") == 0;
  unsigned status = mu_request_read_head(r, &problem);
  if (status) return refuse(r, status, problem);
  if (announced_too_large(r)) return refuse(r, 413, "the body is too large\n");
  copy_address(r);
  mu_list_push(&server->arrived, &r->arrival);
  r->references++;
  mu_server_wake(server->s, &server->acceptor);
  return MHD_YES; /* not to be suspended yet: a response would be early, and the last of the connection */
}

static enum MHD_Result body_comes(mu_request *r, const char *data, size_t *size) {
  if (!r->discard && r->in.to - r->in.from >= MU_REQUEST_ROOM) {
    suspend(r);
    if (r->peer) r->peer->deadline = 0; /* it is not the client who is slow */
    return MHD_YES;
  }
  if (r->peer) mu_peer_expect_body(r->peer, *size);
  r->received += *size;
  if (r->received > r->server->options.max_body) r->too_large = r->discard = true;
  if (r->discard) {
    r->dropped += *size;
    clear(&r->in);
  } else if (!add(&r->in, data, *size)) {
    return MHD_NO;
  }
  *size = 0;
  mu_server_wake(r->server->s, &r->reader);
  return r->dropped > MOST_DROPPED ? MHD_NO : MHD_YES;
}

void mu_request_took(mu_request *r) {
  clear(&r->in);
  if (r->body_done || !r->suspended) return;
  if (r->peer) mu_peer_expect_body(r->peer, 0);
  mu_request_resume(r);
}

enum MHD_Result mu_request_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload, size_t *size,
                                  void **ctx) {
  mu_request *r = *ctx;
  (void)url;
  ((mu_server *)cls)->busy = true;
  if (!r || r->gone) return MHD_NO;
  if (!r->connection) return begin(r, connection, method, version);
  if (*size) return body_comes(r, upload, size);
  if (r->response) return queue_response(r);
  if (!r->body_done)
    r->server->fresh = true; /* to be suspended when it is asked again: most answer at once */
  else if (!r->answered) suspend(r);
  if (!r->body_done) mu_server_wake(r->server->s, &r->reader);
  r->body_done = true;
  if (r->peer) r->peer->settled = true, r->peer->deadline = 0;
  return MHD_YES;
}

/* ---- it is answered ---- */

static bool has_no_body(unsigned status) { return status < 200 || status == 204 || status == 304; }

/* Once all of the body is here the connection waits for this; before, the rest of the body is not wanted. */
static bool answer(mu_request *r, unsigned status, const char *const *headers, size_t count) {
  const mu_mhd *mhd = mhd_of(r);
  bool ok = r->response;
  for (size_t i = 0; ok && i < count; i++)
    ok = mhd->add_header(r->response, headers[2 * i], headers[2 * i + 1]) == MHD_YES;
  if (ok && r->server->draining) mhd->add_header(r->response, "Connection", "close");
  if (!ok) {
    drop_response(r);
    return false;
  }
  r->answered = true;
  r->status = status;
  r->discard = true;
  if (has_no_body(status)) r->bodyless = true;
  mu_request_resume(r);
  return true;
}

bool mu_request_respond(mu_request *r, unsigned status, const char *const *headers, size_t count,
                        const char *body, size_t size) {
  if (!r->connection || r->gone) return true;
  r->response = mhd_of(r)->response_from_buffer(size, (void *)body, MHD_RESPMEM_MUST_COPY);
  return answer(r, status, headers, count);
}

/* If wanted. Closing would send the end first, which the library does by itself. */
static void send_reset(const mu_request *r) {
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  if (r->reset && r->peer) connect(r->peer->socket, &nobody, sizeof nobody);
}

/* The library wants more to send. Without any, the connection sleeps until there is. */
static ssize_t read_out(void *cls, uint64_t position, char *buffer, size_t most) {
  mu_request *r = cls;
  size_t size = r->out.to - r->out.from;
  (void)position;
  if (r->gone) return MHD_CONTENT_READER_END_WITH_ERROR;
  if (!size && r->cut) return send_reset(r), MHD_CONTENT_READER_END_WITH_ERROR;
  if (!size && r->ending) return MHD_CONTENT_READER_END_OF_STREAM;
  if (!size) return suspend(r), 0;
  if (size > most) size = most;
  memcpy(buffer, r->out.data + r->out.from, size);
  r->server->busy = true;
  r->out.from += size;
  if (r->out.to - r->out.from < MU_REQUEST_ROOM) mu_server_wake(r->server->s, &r->writer);
  return (ssize_t)size;
}

static void stream_ended(void *cls) { mu_request_release(cls); }

bool mu_request_stream(mu_request *r, unsigned status, const char *const *headers, size_t count,
                       uint64_t size) {
  r->streams = true;
  if (!r->connection || r->gone) return true;
  r->response = mhd_of(r)->response_from_callback(size, MU_REQUEST_ROOM, read_out, r, stream_ended);
  if (r->response) r->references++;
  if (r->response && (r->bodyless || has_no_body(status))) /* else 0.9.75 sends the last chunk of the body */
    mhd_of(r)->set_options(r->response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
  return answer(r, status, headers, count);
}

bool mu_request_write(mu_request *r, const char *data, size_t size) {
  if (r->bodyless || r->gone) return true;
  if (!add(&r->out, data, size)) return false;
  mu_request_resume(r);
  return true;
}

void mu_request_finish(mu_request *r) {
  r->ending = true;
  if (r->connection) mu_request_resume(r);
}

void mu_request_cut(mu_request *r, bool reset) {
  if (!r->connection || r->gone) return;
  r->cut = true;
  r->reset = reset;
  r->task = NULL; /* which may go on */
  if (r->peer) r->peer->left = true;
  if (r->streams) r->ending = true;
  else r->gone = true, send_reset(r);
  mu_request_resume(r);
}

void mu_request_done(mu_request *r) {
  r->task = NULL;
  if (r->answered && (!r->streams || r->ending)) return;
  r->gone = true;
  if (r->connection) mu_request_resume(r);
}
