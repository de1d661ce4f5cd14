#include "host/http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char TLS_VERSIONS[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"; /* for GnuTLS */

enum {
  RUNS = 8,         /* of the library at a time, while it has more to do at once */
  LONG_PAUSE = 1024 /* ms between two looks at nothing */
};

/* ---- waiting ---- */

typedef struct {
  mu_op op;
  mu_op **slot;
} wait_op;

static bool wait_cancel(mu_sched *s, mu_op *op) {
  (void)s;
  *((wait_op *)op)->slot = NULL;
  return true;
}

static const mu_opclass wait_class = {
    .name = "an HTTP server's client", .size = sizeof(wait_op), .cancel = wait_cancel};

void mu_server_wait(lua_State *L, mu_sched *s, mu_task *t, mu_op **slot, const char *what) {
  if (*slot) luaL_error(L, "%s: another task waits for the same", what);
  wait_op *op = mu_op_new(L, s, t, &wait_class);
  op->slot = slot;
  *slot = &op->op;
}

void mu_server_wake(mu_sched *s, mu_op **slot) {
  mu_op *op = *slot;
  *slot = NULL;
  if (op) mu_fire(s, op);
}

/* ---- running the library ---- */

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
  mu_server *server = cls;
  mu_peer *peer = *context;
  server->busy = true;
  if (code != MHD_CONNECTION_NOTIFY_STARTED) server->again = true; /* there is room for another */
  *context = code == MHD_CONNECTION_NOTIFY_STARTED ? mu_peer_new(cls, connection) : NULL;
  if (code != MHD_CONNECTION_NOTIFY_STARTED && peer) mu_peer_closed(peer);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **ctx,
                         enum MHD_RequestTerminationCode code) {
  const mu_server *server = cls;
  mu_peer *peer = *ctx ? ((mu_request *)*ctx)->peer : NULL;
  if (peer) mu_peer_expect(peer, server->options.idle);
  mu_request_completed(cls, connection, ctx, code);
}

static void on_timer(uv_timer_t *timer);
static void on_idle(uv_idle_t *idle) { (void)idle; }

/* The library says that it has more to do at once, but has called nothing. So it has while it sends a large body, or
** reads a head that it refuses; or it means connections whose TLS handshake waits for the client: these wake us by
** themselves, and a look now and then will do. */
static uint64_t pause_of(mu_server *server) {
  bool waits = server->options.key && server->active == server->suspended;
  server->pause = !waits ? 1 : server->pause < LONG_PAUSE ? 2 * server->pause : LONG_PAUSE;
  return server->pause;
}

static void run(mu_server *server) {
  const mu_mhd *mhd = &server->all->mhd;
  MHD_UNSIGNED_LONG_LONG milliseconds = 0;
  bool timed = false;
  server->fresh = false;
  for (int i = 0; i < RUNS && !server->fresh; i++) {
    server->busy = false;
    mhd->run(server->daemon);
    timed = mhd->get_timeout(server->daemon, &milliseconds) == MHD_YES;
    if (!timed || milliseconds > 0) break;
  }
  bool more = timed && !milliseconds;
  if (server->fresh || (more && server->busy)) server->again = true;
  else if (more) milliseconds = pause_of(server);
  if (server->again && !server->fresh) uv_idle_start(&server->idle, on_idle); /* no waiting */
  if (timed && milliseconds) uv_timer_start(&server->timer, on_timer, milliseconds, 0);
  else uv_timer_stop(&server->timer);
}

/* Tasks first: the library then sends what they answer, with the same look at its connections. */
static void run_soon(mu_server *server) {
  if (mu_sched_ready(server->s)) server->again = true;
  else run(server);
}

static void on_timer(uv_timer_t *timer) { run_soon(timer->data); }

static void on_poll(uv_poll_t *poll, int status, int events) {
  mu_server *server = poll->data;
  (void)status, (void)events;
  server->pause = 1;
  run_soon(server);
}

/* Only those that are still suspended when all tasks have run: most never need it. */
static void watch_suspended(mu_server *server) {
  while (!mu_list_empty(&server->unwatched)) {
    mu_request *r = mu_container(server->unwatched.next, mu_request, quiet);
    mu_list_remove(&r->quiet);
    if (r->peer) mu_peer_watch(r->peer);
  }
}

/* Tasks have run: what they have resumed goes on, all at once. */
static void on_prepare(uv_prepare_t *prepare) {
  mu_server *server = prepare->data;
  if (server->again) {
    server->again = false;
    uv_idle_stop(&server->idle);
    run(server);
  }
  if (mu_sched_ready(server->s)) uv_stop(server->all->loop);
  else watch_suspended(server);
}

/* ---- starting ---- */

static int listen_on(mu_server *server, int *code) {
  struct sockaddr *address = (struct sockaddr *)&server->options.address;
  socklen_t size = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  int on = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) && !bind(fd, address, size) &&
      !listen(fd, server->options.backlog) && !getsockname(fd, address, &size)) {
    server->port = ntohs(address->sa_family == AF_INET6 ? ((struct sockaddr_in6 *)address)->sin6_port
                                                        : ((struct sockaddr_in *)address)->sin_port);
    return fd;
  }
  *code = -errno;
  if (fd >= 0) close(fd);
  return -1;
}

static bool start_daemon(mu_server *server, int fd) {
  const mu_server_options *o = &server->options;
  struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)o->key},
                                 {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)o->certificate},
                                 {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_VERSIONS},
                                 {MHD_OPTION_END, 0, NULL}};
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (o->key ? MHD_USE_TLS : 0);
  server->daemon = server->all->mhd.start_daemon(
      flags, 0, NULL, NULL, mu_request_handle, server, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_CONNECTION_LIMIT, o->connections, MHD_OPTION_CONNECTION_TIMEOUT, o->idle,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, o->header_size, MHD_OPTION_URI_LOG_CALLBACK, mu_request_line,
      server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
      server, MHD_OPTION_ARRAY, o->key ? tls : tls + 3, MHD_OPTION_END);
  return server->daemon;
}

static bool watch(mu_server *server) {
  uv_loop_t *loop = server->all->loop;
  const union MHD_DaemonInfo *info =
      server->all->mhd.get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  if (!info || uv_poll_init(loop, &server->poll, info->epoll_fd)) return false;
  uv_timer_init(loop, &server->timer);
  uv_timer_init(loop, &server->sweep);
  uv_prepare_init(loop, &server->prepare);
  uv_idle_init(loop, &server->idle);
  server->poll.data = server->timer.data = server->sweep.data = server->prepare.data = server->idle.data =
      server;
  server->references += 5; /* until each is closed */
  uv_unref((uv_handle_t *)&server->prepare);
  uv_unref((uv_handle_t *)&server->sweep);
  uv_prepare_start(&server->prepare, on_prepare);
  return !uv_poll_start(&server->poll, UV_READABLE, on_poll);
}

mu_server *mu_server_start(mu_httpd *all, const mu_server_options *options, int *code, const char **problem) {
  *code = 0;
  if ((*problem = mu_mhd_load(&all->mhd))) return NULL;
  mu_server *server = calloc(1, sizeof *server);
  *problem = "not enough memory";
  if (!server) return NULL;
  server->all = all;
  server->s = all->s;
  server->options = *options;
  server->references = 1;
  server->pause = 1;
  mu_list_init(&server->connections);
  mu_list_init(&server->requests);
  mu_list_init(&server->arrived);
  mu_list_init(&server->unwatched);
  mu_list_init(&server->lingering);
  int fd = listen_on(server, code);
  if (fd < 0) return free(server), NULL;
  *problem = options->key ? "TLS is refused: do the key and the certificate fit?" : "libmicrohttpd refuses";
  if (!start_daemon(server, fd)) return close(fd), free(server), NULL;
  mu_list_push(&all->servers, &server->link);
  *problem = "the event loop refuses";
  if (watch(server)) return server;
  mu_server_close(server);
  mu_server_release(server);
  return NULL;
}

/* ---- ending ---- */

mu_request *mu_server_take(mu_server *server) {
  if (mu_list_empty(&server->arrived)) return NULL;
  mu_request *r = mu_container(server->arrived.next, mu_request, arrival);
  mu_list_remove(&r->arrival);
  return r;
}

void mu_server_drain(mu_server *server) {
  if (!server->daemon || server->draining) return;
  server->draining = true;
  int fd = server->all->mhd.quiesce_daemon(server->daemon);
  if (fd >= 0) close(fd);
}

static void closed(uv_handle_t *handle) { mu_server_release(handle->data); }

static void close_handle(void *handle) {
  uv_handle_t *h = handle;
  if (h->data && !uv_is_closing(h)) uv_close(h, closed);
}

void mu_server_close(mu_server *server) {
  if (!server->daemon) return;
  struct MHD_Daemon *daemon = server->daemon;
  server->closing = true;
  for (mu_link *l = server->requests.next; l != &server->requests; l = l->next) {
    mu_request *r = mu_container(l, mu_request, link);
    mu_request_abort(r);
    mu_request_resume(r);
  }
  close_handle(&server->poll);
  close_handle(&server->timer);
  close_handle(&server->prepare);
  close_handle(&server->idle);
  server->all->mhd.stop_daemon(daemon);
  mu_server_leave_all(server);
  close_handle(&server->sweep); /* which the end of each request may have started */
  server->daemon = NULL;
  for (mu_request *r; (r = mu_server_take(server));) mu_request_release(r);
  mu_list_remove(&server->link);
  mu_server_wake(server->s, &server->acceptor);
  mu_server_wake(server->s, &server->idler);
}

void mu_server_release(mu_server *server) {
  if (--server->references == 0) free(server);
}

void mu_httpd_close(mu_httpd *all) {
  while (all->servers.next && !mu_list_empty(&all->servers))
    mu_server_close(mu_container(all->servers.next, mu_server, link));
}
