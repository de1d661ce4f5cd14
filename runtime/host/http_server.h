/* http_server.h: HTTP servers, on libmicrohttpd, whose epoll descriptor our loop watches.
**
** A request waits in `arrived` until it is taken for a task. While the task works its connection is suspended, and the
** socket is watched, so that a client which goes away is noticed. Nothing of Lua runs inside a callback of the library:
** callbacks fire ops and cancel tasks, no more; and tasks only note what is to be sent, and resume the connection.
**
** A mu_server is freed when it is closed, nothing of libuv is left open, and no request or Lua value refers to it; a
** mu_request when the library, the Lua value and the queue have done with it. */
#ifndef MU_HTTP_SERVER_H
#define MU_HTTP_SERVER_H

#include "host/http_mhd.h"
#include "sched/sched.h"

#include <uv.h>

/* Of a runtime. */
typedef struct {
  mu_sched *s;
  uv_loop_t *loop;
  mu_link servers;
  mu_mhd mhd;
} mu_httpd;

typedef struct {
  struct sockaddr_storage address;
  const char *key, *certificate; /* PEM, or NULL: no TLS. Must live as long as the server */
  size_t header_size;
  uint64_t max_body;
  unsigned connections, idle; /* idle: seconds, or 0 */
  double header_timeout;      /* seconds, or 0 */
  double body_rate;           /* bytes a second at least, over as many; or 0 */
  int backlog;
} mu_server_options;

typedef struct {
  mu_link link; /* of servers */
  mu_httpd *all;
  mu_sched *s;
  struct MHD_Daemon *daemon; /* NULL: closed */
  mu_server_options options;
  uv_poll_t poll;       /* on the library's epoll descriptor */
  uv_timer_t timer;     /* when it wants to run again */
  uv_timer_t sweep;     /* closes connections that take too long for a header */
  uv_prepare_t prepare; /* before the loop waits: goes on with those resumed, watches those suspended */
  uv_idle_t idle;       /* keeps the loop from waiting, while the library has more to do */
  mu_link connections, requests, arrived, unwatched, lingering;
  mu_op *acceptor, *idler; /* who waits for a request, for the end of all, or NULL */
  size_t active;           /* requests whose heads are here, and that the library has not completed */
  size_t suspended;        /* of these */
  size_t lingerers;
  uint64_t pause; /* ms to the next look, if the library wants to run without need */
  uint32_t references;
  int port;
  bool draining, closing;
  bool again; /* is the library to run once tasks have? */
  bool fresh; /* has a request come whole while it ran? */
  bool busy;  /* has it called us while it ran? */
} mu_server;

typedef struct mu_request mu_request;

/* A client's connection: from accept to close. */
typedef struct {
  mu_link link;
  mu_server *server;
  mu_request *request; /* the present one, from its first line on; or NULL */
  uv_poll_t watch;     /* on its socket, while the present one is suspended */
  int socket;
  bool watchable;
  bool settled;    /* the last request came whole */
  bool left;       /* by us, without manners */
  double deadline; /* for the header of the next request, or more of a body, by uv_now; or 0 */
} mu_peer;

typedef struct {
  char *data;
  size_t from, to, capacity;
} mu_bytes;

struct mu_request {
  mu_link link;    /* of requests */
  mu_link arrival; /* of arrived */
  mu_link quiet;   /* of unwatched */
  mu_server *server;
  mu_peer *peer;
  struct MHD_Connection *connection; /* NULL: not begun, or completed */
  char *target;                      /* as it came */
  char *headers;                     /* count of them: name and value, each with its zero */
  size_t header_count;
  struct sockaddr_storage from;
  char method[24], version[12];
  struct MHD_Response *response; /* to be queued, or NULL */
  unsigned status;
  mu_task *task;              /* that works on it, or NULL */
  mu_op *reader, *writer;     /* who waits for the body, for room; or NULL */
  mu_bytes in, out;           /* of the body; of a streamed response */
  uint64_t received, dropped; /* of the body */
  uint32_t references;
  bool suspended, body_done, too_large, discard;
  bool answered;        /* it has its response */
  bool streams, ending; /* the response comes in pieces; all are written */
  bool bodyless;        /* the client gets none, whatever is written */
  bool cut, reset;      /* the connection ends here, though the response does not; by a reset */
  bool gone;            /* client or server: nothing can be sent any more */
};

/* ---- servers ---- */

/* NULL: *code is a negative errno, or 0 and *problem a text. The caller has a reference. */
mu_server *mu_server_start(mu_httpd *all, const mu_server_options *options, int *code, const char **problem);

/* Listens no more; connections go on. */
void mu_server_drain(mu_server *server);

/* Ends every connection, and cancels the tasks that work for them. Again is fine. Not from a callback of the library. */
void mu_server_close(mu_server *server);
void mu_server_release(mu_server *server);

/* Of the runtime: before the scheduler goes. */
void mu_httpd_close(mu_httpd *all);

/* The next request, or NULL. The caller gets a reference. */
mu_request *mu_server_take(mu_server *server);

/* The running task waits until something is in *slot's place. Raises. */
void mu_server_wait(lua_State *L, mu_sched *s, mu_task *t, mu_op **slot, const char *what);
void mu_server_wake(mu_sched *s, mu_op **slot);

/* ---- requests ---- */

enum { MU_REQUEST_ROOM = 64 * 1024 }; /* of a body in memory that streams; more holds the sender back */

/* What is there of the body is taken away. */
void mu_request_took(mu_request *r);

/* Copies. False: no memory. headers: pairs of strings, zero-terminated, count of them. */
bool mu_request_respond(mu_request *r, unsigned status, const char *const *headers, size_t count,
                        const char *body, size_t size);
/* Begins a response in pieces. size: of all, or UINT64_MAX. */
bool mu_request_stream(mu_request *r, unsigned status, const char *const *headers, size_t count,
                       uint64_t size);
bool mu_request_write(mu_request *r, const char *data, size_t size);
void mu_request_finish(mu_request *r);

/* Closes the connection once what was written has gone, in the middle of the response or before it. reset: the client
** sees a reset, and may lose what it has not read. */
void mu_request_cut(mu_request *r, bool reset);

/* The task has done with it; without a response, or with one that is not finished, the connection is closed. */
void mu_request_done(mu_request *r);
void mu_request_release(mu_request *r);

/* ---- between the files ---- */

mu_peer *mu_peer_new(mu_server *server, struct MHD_Connection *connection);
void mu_peer_closed(mu_peer *peer); /* by the library, which is about to close its socket */
void mu_peer_watch(mu_peer *peer);  /* aborts its request when the client goes away */

/* It must send a header within the limit and some seconds to spare; more of a body, of which so much came just now. */
void mu_peer_expect(mu_peer *peer, double spare);
void mu_peer_expect_body(mu_peer *peer, size_t came);

void mu_server_leave_all(mu_server *server); /* those that linger */

/* Copies the headers. 0, or the status by which it is to be refused, and *problem a text that says why. */
unsigned mu_request_read_head(mu_request *r, const char **problem);

void mu_request_abort(mu_request *r); /* its connection is lost: cancels its task */
void mu_request_resume(mu_request *r);

/* The library's callbacks, with a mu_server. */
void *mu_request_line(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result mu_request_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload, size_t *size,
                                  void **ctx);
void mu_request_completed(void *cls, struct MHD_Connection *connection, void **ctx,
                          enum MHD_RequestTerminationCode code);

#endif
