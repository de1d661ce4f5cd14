/* http_peer.c: clients of an HTTP server: their limits of time, their going away, and how we leave them.
**
** A connection that is closed while its client still sends would be reset by the system, and the reset may destroy the
** answer before the client has read it. So we keep the socket for a while, and read what comes, to nowhere. */
#include "host/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_BYTES = 64 * 1024 * 1024, LINGER_MOST = 1000 }; /* of one; how many at once */
static const double LINGER_SECONDS = 2;

typedef struct {
  mu_link link; /* of lingering */
  mu_server *server;
  uv_poll_t watch;
  int socket;
  size_t left;
  double deadline;
} lingerer;

static double now(const mu_server *server) { return (double)uv_now(server->all->loop) * 1e-3; }

/* ---- lingering ---- */

static void lingerer_freed(uv_handle_t *handle) {
  lingerer *l = handle->data;
  mu_server_release(l->server);
  free(l);
}

static void leave(lingerer *l) {
  mu_list_remove(&l->link);
  l->server->lingerers--;
  uv_close((uv_handle_t *)&l->watch, lingerer_freed);
  close(l->socket);
}

static void on_more(uv_poll_t *watch, int status, int events) {
  static const size_t SOME = 64 * 1024;
  lingerer *l = watch->data;
  char nowhere[64 * 1024];
  (void)events;
  ssize_t n = status ? 0 : recv(l->socket, nowhere, SOME, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0 || (size_t)n >= l->left) leave(l);
  else l->left -= (size_t)n;
}

static void sweep_soon(mu_server *server, double limit);

/* Best effort. */
static void linger(mu_server *server, int socket) {
  lingerer *l = calloc(1, sizeof *l);
  if (!l) return;
  l->socket = fcntl(socket, F_DUPFD_CLOEXEC, 0);
  if (l->socket < 0 || uv_poll_init(server->all->loop, &l->watch, l->socket)) {
    if (l->socket >= 0) close(l->socket);
    free(l);
    return;
  }
  shutdown(l->socket, SHUT_WR);
  l->server = server;
  l->left = LINGER_BYTES;
  l->deadline = now(server) + LINGER_SECONDS;
  l->watch.data = l;
  server->references++;
  server->lingerers++;
  mu_list_push(&server->lingering, &l->link);
  uv_poll_start(&l->watch, UV_READABLE, on_more);
  uv_unref((uv_handle_t *)&l->watch);
  sweep_soon(server, LINGER_SECONDS);
}

void mu_server_leave_all(mu_server *server) {
  while (!mu_list_empty(&server->lingering)) leave(mu_container(server->lingering.next, lingerer, link));
}

/* Has the client sent what nobody has read, or does it still send a request? */
static bool sends(const mu_peer *peer) {
  char byte;
  ssize_t n = recv(peer->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n > 0 || (n < 0 && errno == EAGAIN && !peer->settled);
}

/* ---- limits of time ---- */

static bool sweep_peers(mu_server *server) {
  bool any = false;
  for (mu_link *l = server->connections.next; l != &server->connections; l = l->next) {
    mu_peer *peer = mu_container(l, mu_peer, link);
    if (!peer->deadline) continue;
    any = true;
    if (now(server) < peer->deadline) continue;
    shutdown(peer->socket, SHUT_RDWR);
    peer->deadline = 0;
  }
  return any;
}

static void on_sweep(uv_timer_t *timer) {
  mu_server *server = timer->data;
  bool any = sweep_peers(server);
  for (mu_link *link = server->lingering.next, *next; link != &server->lingering; link = next) {
    lingerer *l = mu_container(link, lingerer, link);
    next = link->next;
    any = true;
    if (now(server) >= l->deadline) leave(l);
  }
  if (!any) uv_timer_stop(timer);
}

static void sweep_soon(mu_server *server, double limit) {
  if (uv_is_active((uv_handle_t *)&server->sweep)) return;
  uint64_t every = limit < 0.2 ? 50 : limit > 4 ? 1000 : (uint64_t)(limit * 250);
  uv_timer_start(&server->sweep, on_sweep, every, every);
}

void mu_peer_expect(mu_peer *peer, double spare) {
  double limit = peer->server->options.header_timeout;
  if (limit <= 0) return;
  peer->deadline = now(peer->server) + limit + spare;
  sweep_soon(peer->server, limit);
}

void mu_peer_expect_body(mu_peer *peer, size_t came) {
  const mu_server_options *o = &peer->server->options;
  if (o->header_timeout <= 0 || o->body_rate <= 0) return;
  double latest = now(peer->server) + o->header_timeout;
  bool goes_on = came && peer->deadline;
  peer->deadline = goes_on ? fmin(latest, peer->deadline + (double)came / o->body_rate) : latest;
  sweep_soon(peer->server, o->header_timeout);
}

/* ---- they come and go ---- */

static void peer_freed(uv_handle_t *handle) {
  mu_peer *peer = handle->data;
  mu_server_release(peer->server);
  free(peer);
}

/* The client has closed its side, or all. */
static void on_gone(uv_poll_t *watch, int status, int events) {
  mu_peer *peer = watch->data;
  (void)status, (void)events;
  uv_poll_stop(watch);
  if (!peer->request || !peer->request->suspended) return;
  mu_request_abort(peer->request);
  mu_request_resume(peer->request);
}

void mu_peer_watch(mu_peer *peer) {
  if (peer->watchable) uv_poll_start(&peer->watch, UV_DISCONNECT, on_gone);
}

mu_peer *mu_peer_new(mu_server *server, struct MHD_Connection *connection) {
  mu_peer *peer = calloc(1, sizeof *peer);
  if (!peer) return NULL;
  const union MHD_ConnectionInfo *info =
      server->all->mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  peer->server = server;
  peer->socket = info ? info->connect_fd : -1;
  peer->watchable = peer->socket >= 0 && !uv_poll_init(server->all->loop, &peer->watch, peer->socket);
  peer->watch.data = peer;
  server->references++;
  mu_list_push(&server->connections, &peer->link);
  mu_peer_expect(peer, 0);
  return peer;
}

void mu_peer_closed(mu_peer *peer) {
  mu_server *server = peer->server;
  void *begun =
      peer->request; /* only its first line came: the library does not say that such a one is over */
  mu_request_completed(server, NULL, &begun, MHD_REQUEST_TERMINATED_WITH_ERROR);
  mu_list_remove(&peer->link);
  if (!server->closing && !peer->left && server->lingerers < LINGER_MOST && sends(peer))
    linger(server, peer->socket);
  if (peer->watchable) uv_close((uv_handle_t *)&peer->watch, peer_freed);
  else mu_server_release(server), free(peer);
}
