/* http_socket.c: libcurl's sockets and timers on the runtime's loop. The one place that calls
** curl_multi_socket_action.
**
** A connection that waits for its next request stays in the loop's set of descriptors, without keeping the loop alive:
** taking it out and putting it in again would be two system calls a request. Only if something arrives there meanwhile,
** such as its end, it is taken out, and http_idle.c told. This holds for sockets of connections that have come about, as a response on them
** shows: libcurl closes those by our callback, but others (that were still connecting, or are for looking up names) by
** itself, right after it has asked for their removal. */
#include "host/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct mu_http_socket {
  uv_poll_t poll; /* its data is the loop: one of the runtime's own handles */
  mu_http_client *client;
  mu_http_socket *next; /* among the spare ones */
  mu_http *http;
  int fd, events; /* events: what the loop looks for now */
  bool wanted;    /* libcurl wants to know */
  bool ours;      /* libcurl closes it by mu_http_close_socket */
  bool idle; /* ours, and libcurl does not look at it: its connection is free, or its transfer is paused */
};

/* ---- the table of sockets ---- */

static mu_http_socket *find(const mu_http *http, int fd) {
  return fd >= 0 && fd < http->nsockets ? http->sockets[fd] : NULL;
}

static bool make_room(mu_http *http, int fd) {
  if (fd < http->nsockets) return true;
  int n = fd < 32 ? 64 : 2 * fd;
  mu_http_socket **sockets = realloc(http->sockets, (size_t)n * sizeof *sockets);
  if (!sockets) return false;
  memset(sockets + http->nsockets, 0, (size_t)(n - http->nsockets) * sizeof *sockets);
  http->sockets = sockets;
  http->nsockets = n;
  return true;
}

static mu_http_socket *take_spare(mu_http *http) {
  mu_http_socket *socket = http->spare_sockets;
  if (!socket) return malloc(sizeof *socket);
  http->spare_sockets = socket->next;
  return socket;
}

static void give_back(mu_http *http, mu_http_socket *socket) {
  if (!http->open) return free(socket);
  socket->next = http->spare_sockets;
  http->spare_sockets = socket;
}

static mu_http_socket *add(mu_http_client *c, int fd) {
  mu_http *http = c->http;
  mu_http_socket *socket = make_room(http, fd) ? take_spare(http) : NULL;
  if (!socket) return NULL;
  memset(socket, 0, sizeof *socket);
  if (uv_poll_init_socket(&http->loop->uv, &socket->poll, fd)) {
    give_back(http, socket);
    return NULL;
  }
  uv_unref((uv_handle_t *)&socket->poll);
  socket->poll.data = http->loop;
  socket->client = c;
  socket->http = http;
  socket->fd = fd;
  return http->sockets[fd] = socket;
}

static void removed(uv_handle_t *handle) {
  mu_http_socket *socket = mu_container(handle, mu_http_socket, poll);
  give_back(socket->http, socket);
}

static void set_idle(mu_http_socket *socket, bool idle) {
  if (socket->idle == idle) return;
  socket->idle = idle;
  if (!idle) {
    socket->client->idle--;
    return;
  }
  socket->client->idle++;
  mu_http_came_free(socket->client);
}

static void take_out(mu_http_socket *socket) {
  set_idle(socket, false);
  socket->http->sockets[socket->fd] = NULL;
  uv_poll_stop(&socket->poll);
  uv_close((uv_handle_t *)&socket->poll, removed);
}

void mu_http_free_sockets(mu_http *http) {
  free(http->sockets);
  http->sockets = NULL;
  http->nsockets = 0;
  for (mu_http_socket *socket = http->spare_sockets, *next; socket; socket = next) {
    next = socket->next;
    free(socket);
  }
  http->spare_sockets = NULL;
}

/* ---- from the loop to libcurl ---- */

static void act(mu_http_client *c, curl_socket_t fd, int events) {
  int running;
  mu_http_enter(c);
  c->http->curl.multi_socket_action(c->multi, fd, events, &running);
  c->inside--;
  mu_http_settle(c);
}

static int events_of(int status, int events) {
  if (status < 0) return CURL_CSELECT_ERR;
  return (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
}

static void on_event(uv_poll_t *poll, int status, int events) {
  mu_http_socket *socket = mu_container(poll, mu_http_socket, poll);
  if (socket->wanted) return act(socket->client, socket->fd, events_of(status, events));
  socket->events = 0;
  uv_poll_stop(poll);
  mu_http_went_stale(socket->client);
}

void mu_http_tick(mu_http_client *c) {
  act(c, CURL_SOCKET_TIMEOUT, 0);
  c->claims = 0;
}

static void on_time(uv_timer_t *timer) { mu_http_tick(mu_container(timer, mu_http_client, timer)); }

/* ---- from libcurl to the loop ---- */

/* Has easy, whose socket it is, a response? */
static bool has_response(const mu_curl *curl, CURL *easy) {
  mu_http_easy *e = NULL;
  curl->getinfo(easy, CURLINFO_PRIVATE, (char **)&e);
  return e && e->x && e->x->has_head;
}

static void stop_watching(mu_http_socket *socket, CURL *easy) {
  if (!socket) return;
  if (!socket->ours) socket->ours = has_response(&socket->http->curl, easy);
  socket->wanted = false;
  uv_unref((uv_handle_t *)&socket->poll);
  if (socket->ours) set_idle(socket, true);
  else take_out(socket);
}

/* libcurl: look for this on that socket. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *client, void *unused) {
  mu_http_client *c = client;
  mu_http_socket *socket = find(c->http, fd);
  (void)unused;
  if (what == CURL_POLL_REMOVE) return stop_watching(socket, easy), 0;
  if (!socket && !(socket = add(c, fd))) return -1;
  int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  if (!socket->wanted) uv_ref((uv_handle_t *)&socket->poll);
  socket->wanted = true;
  set_idle(socket, false);
  if (events == socket->events) return 0;
  socket->events = events;
  return uv_poll_start(&socket->poll, events, on_event) ? -1 : 0;
}

/* libcurl: call me again then. */
static int set_timer(CURLM *multi, long ms, void *client) {
  mu_http_client *c = client;
  (void)multi;
  if (ms < 0) uv_timer_stop(&c->timer);
  else uv_timer_start(&c->timer, on_time, (uint64_t)ms, 0);
  return 0;
}

curl_socket_t mu_http_open_socket(void *easy, curlsocktype purpose, struct curl_sockaddr *address) {
  mu_http_easy *e = easy;
  (void)purpose;
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
  e->no_socket = fd < 0 && errno != EAFNOSUPPORT ? errno : 0;
  return fd < 0 ? CURL_SOCKET_BAD : fd;
}

int mu_http_close_socket(void *client, curl_socket_t fd) {
  mu_http_client *c = client;
  mu_http_socket *socket = find(c->http, fd);
  if (socket) take_out(socket);
  return close(fd);
}

/* ---- clients ---- */

bool mu_http_watch(mu_http_client *c) {
  const mu_curl *curl = &c->http->curl;
  uv_timer_init(&c->http->loop->uv, &c->timer); /* cannot fail */
  uv_timer_init(&c->http->loop->uv, &c->sweep);
  uv_unref((uv_handle_t *)&c->sweep);
  c->timer.data = c->sweep.data = c->http->loop;
  return !curl->multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch) &&
         !curl->multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) &&
         !curl->multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer) &&
         !curl->multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
}

/* libuv promises no order of these two. */
static void closed(mu_http_client *c) {
  if (--c->timers == 0) free(c);
}

static void timer_closed(uv_handle_t *handle) { closed(mu_container(handle, mu_http_client, timer)); }
static void sweep_closed(uv_handle_t *handle) { closed(mu_container(handle, mu_http_client, sweep)); }

void mu_http_unwatch(mu_http_client *c) {
  c->timers = 2;
  uv_close((uv_handle_t *)&c->timer, timer_closed);
  uv_close((uv_handle_t *)&c->sweep, sweep_closed);
}
