/* http.h: the HTTP client, on libcurl's multi socket interface and the runtime's loop.
**
** A client has a pool of connections (a curl multi handle) and of easy handles. An exchange is one request with its
** response: it lives in the response's userdata, and is attached to its client until the transfer is over. A task waits
** on it with one op at a time. libcurl's callbacks only fill buffers and fire ops; they never run Lua.
**
**   mu_http_start     the request goes out, now or when the client's limits let it
**   mu_http_wait      what is to be waited for, if it is not there yet
**   mu_http_abort     at any time: closes the transfer, which fails
**   mu_http_release   gives back what is left; the last call
**
** Files: http_socket.c (libcurl's sockets and timer), http_idle.c (connections that nobody uses), http_client.c (clients,
** limits, easy handles), http_exchange.c (the life of an exchange), http_transfer.c (what libcurl says of it), http_setup.c
** (a request as options of libcurl), http_error.c. */
#ifndef MU_HTTP_H
#define MU_HTTP_H

#include "host/http_curl.h"
#include "host/loop.h"
#include "sched/sched.h"

typedef struct mu_http_client mu_http_client;
typedef struct mu_http_exchange mu_http_exchange;
typedef struct mu_http_socket mu_http_socket;
typedef struct mu_http_block mu_http_block;

/* The HTTP of one runtime. Zeroed, but for its first two members, it is ready for use. */
typedef struct {
  mu_sched *s;
  mu_loop *loop;
  mu_curl curl;
  mu_link clients;
  bool open;                /* from the first client to mu_http_close */
  bool closed;              /* from then on */
  mu_http_socket **sockets; /* by descriptor */
  int nsockets;
  mu_http_socket *spare_sockets;
  mu_http_block *spare_blocks;
  int nspare_blocks;
  double now;        /* when libcurl was called, while it is being called */
  uint64_t settings; /* numbers given to settings so far */
} mu_http;

/* How requests are made. Strings belong to whoever made the settings; libcurl copies them. */
typedef struct {
  uint64_t id;                             /* of these settings: easy handles remember which they have */
  double connect, first_byte, idle, total; /* seconds, or HUGE_VAL */
  uint64_t max_body;
  long follow; /* redirects at most */
  bool http1;  /* and no later version */
  bool insecure;
  const char *headers; /* of requests that have none of their own; as theirs */
  const char *proxy, *ca, *ca_directory, *cert, *key, *password; /* or NULL */
} mu_http_settings;

typedef struct {
  const mu_http_settings *settings;
  const char *method, *url;
  const char *headers; /* lines, each ended by a zero, and these by another; NULL: those of the settings */
  const char *body;    /* or NULL */
  size_t size;         /* of body */
  bool streamed;       /* the body comes by mu_http_send */
  int64_t length;      /* of a streamed body; -1: not known */
} mu_http_request;

/* What a block of memory begins with. */
struct mu_http_block {
  mu_http_block *next; /* among the spare ones */
  size_t capacity;     /* of bytes */
  char bytes[];
};

/* An easy handle and what it points to. */
typedef struct mu_http_easy {
  struct mu_http_easy *next; /* in the pool */
  CURL *curl;
  mu_http_client *client;
  mu_http_exchange *x;        /* whose transfer it has */
  uint64_t settings;          /* which it is set to; 0: none */
  bool used;                  /* set to any, ever */
  bool plain;                 /* set to GET, without a body */
  bool pipewait;              /* set to wait for a connection that it can share */
  bool fresh;                 /* set to make a connection, whatever there is */
  struct curl_slist *usual;   /* the headers of the settings, or NULL */
  struct curl_slist *headers; /* those of the request: room for so many */
  size_t capacity;
  int no_socket; /* errno: why the last one was not made, which libcurl takes for a refusal; or 0 */
  char error[CURL_ERROR_SIZE];
} mu_http_easy;

typedef struct mu_http_host {
  struct mu_http_host *next;
  uint32_t active;
  size_t length;
  char authority[];
} mu_http_host;

struct mu_http_client {
  mu_http *http;
  mu_link link;         /* in http->clients */
  mu_http_client **box; /* who points here: the userdata */
  CURLM *multi;
  uv_timer_t timer;         /* libcurl's */
  uv_timer_t sweep;         /* when free connections are looked through */
  double keep;              /* for how many seconds a free connection is kept, or HUGE_VAL */
  mu_link exchanges;        /* in flight */
  mu_link queue;            /* held back by the limits, first in, first out */
  mu_http_easy *pool;       /* easy handles not in use */
  uint32_t per_host, total; /* limits, or UINT32_MAX */
  uint32_t active, most;    /* in flight: now, and at most so far */
  mu_http_host *hosts;      /* if per_host is a limit */
  uint32_t idle,
      claims;     /* connections that may be free; exchanges launched since libcurl last gave some out */
  int inside;     /* libcurl is being called: depth */
  int timers;     /* when it is closed: of its two, still open */
  bool admitting; /* exchanges from the queue */
};

typedef enum {                /* what a task waits for */
               MU_HTTP_HEAD,  /* status and headers */
               MU_HTTP_SOME,  /* of the body */
               MU_HTTP_END,   /* all of it */
               MU_HTTP_TAKEN, /* the chunk to be sent has gone */
} mu_http_want;

typedef enum { /* kinds of errors; their names are in http_error.c */
               MU_HTTP_OK,
               MU_HTTP_DNS,
               MU_HTTP_CONNECT,
               MU_HTTP_TLS,
               MU_HTTP_TIMEOUT,
               MU_HTTP_RESET,
               MU_HTTP_PROTOCOL,
               MU_HTTP_TOO_LARGE,
               MU_HTTP_BAD_URL,
               MU_HTTP_CANCELLED,
               MU_HTTP_CLOSED,
               MU_HTTP_MEMORY,
               MU_HTTP_FILE, /* of saving: never an exchange's */
} mu_http_kind;

typedef struct {
  mu_op op;
  mu_http_exchange *x;
  mu_http_want want;
} mu_http_op;

enum { MU_HTTP_TIMES = 5 }; /* dns, connect, tls, first byte, total */

struct mu_http_exchange {
  mu_http *http;
  mu_http_client *client; /* while it is queued or in flight */
  mu_link link;
  mu_http_easy *easy;      /* while it is in flight */
  mu_http_host *host;      /* that counts it, or NULL */
  mu_http_request request; /* its strings live as long as the exchange is attached */
  mu_http_op *op;          /* of the task that waits, or NULL */
  mu_timer deadline;       /* the nearest */
  double due;              /* when that is */
  double began, active;    /* when it was started; when something last moved */
  mu_http_block *block;    /* the head, then what has come of the body and has not been read */
  size_t length, head;     /* in use of the block; of that, the head */
  uint64_t received;       /* of the body */
  const char *chunk;       /* to be sent */
  size_t chunk_size;
  char *text;                      /* of the error, or NULL */
  char *final_url;                 /* after redirects, if any */
  curl_off_t times[MU_HTTP_TIMES]; /* microseconds */
  int code;                        /* of libcurl, if it failed */
  uint16_t status;
  uint8_t version;             /* 10, 11, 20, 30 */
  uint8_t kind;                /* a mu_http_kind */
  uint8_t phase;               /* in which it failed */
  bool connected;              /* the request is being sent */
  bool has_head, whole, ended; /* the head is here; all is to be kept until the end; the transfer is over */
  bool held, starved;          /* receiving, sending is paused */
  bool last;                   /* no chunk comes after this */
  bool moved;                  /* redirected */
  bool closed;                 /* by its reader */
};

/* ---- the runtime's (http_client.c) ---- */

/* Closes all clients; ends every exchange. */
void mu_http_close(mu_http *http);

/* A client, or NULL with the reason in *problem. */
mu_http_client *mu_http_client_new(mu_http *http, uint32_t per_host, uint32_t total, double keep,
                                   const char **problem);
void mu_http_client_close(mu_http_client *c);

/* Puts x in flight as soon as the limits allow. False: out of memory. */
bool mu_http_client_admit(mu_http_client *c, mu_http_exchange *x);

/* x has left the queue, or its flight: others may come. */
void mu_http_client_left(mu_http_client *c, mu_http_exchange *x, bool flew);

/* ---- exchanges (http_exchange.c) ---- */

/* Begins the exchange x, zeroed memory that the caller owns. The outcome is for mu_http_ready. */
void mu_http_start(mu_http_client *c, mu_http_exchange *x, const mu_http_request *request);

/* Is there what is wanted, or will it never be? */
bool mu_http_ready(const mu_http_exchange *x, mu_http_want want);

/* Adds an op to what the task waits for: fired when there is what is wanted. Only one at a time. Raises. */
mu_http_op *mu_http_wait(lua_State *L, mu_sched *s, mu_task *t, mu_http_exchange *x, mu_http_want want);

/* Closes the transfer, if it is not over, with an error of that kind. Not from inside libcurl. */
void mu_http_abort(mu_http_exchange *x, mu_http_kind kind);

/* The reader wants more, or all there is: goes on receiving. */
void mu_http_resume(mu_http_exchange *x, bool whole);

/* The chunk, which must live until it is taken, is to be sent; NULL: it was the last. */
void mu_http_send(mu_http_exchange *x, const char *chunk, size_t size);

/* How much of the body is here, unread; and forgets it. */
const char *mu_http_body(const mu_http_exchange *x, size_t *size);
void mu_http_take(mu_http_exchange *x);

/* Gives back all memory; the transfer must be over. */
void mu_http_release(mu_http_exchange *x);

/* The URL that was asked last. While in flight of libcurl, so to be copied. */
const char *mu_http_url(const mu_http_exchange *x);

/* For http_client.c: puts x in flight, and lets curl's messages be heard. */
void mu_http_launch(mu_http_exchange *x);
void mu_http_settle(mu_http_client *c);

/* Reads the times of a transfer that is in flight. */
void mu_http_read_times(mu_http_exchange *x);

/* Callbacks of easy handles: their data is the mu_http_easy (http_transfer.c). */
size_t mu_http_on_header(char *data, size_t size, size_t n, void *easy);
size_t mu_http_on_body(char *data, size_t size, size_t n, void *easy);
size_t mu_http_on_send(char *data, size_t size, size_t n, void *easy);
int mu_http_on_connected(void *easy, char *to, char *from, int to_port, int from_port);

/* libcurl is about to be called, which may call back; then c->inside is to be lowered. */
void mu_http_enter(mu_http_client *c);

/* For them: something has moved; what is waited for may be there. */
void mu_http_moved(mu_http_exchange *x);
void mu_http_fire(mu_http_exchange *x);

/* ---- requests (http_setup.c) ---- */

/* Sets what never changes. False: out of memory. */
bool mu_http_prepare(mu_http_easy *e);

/* Sets e to the request. */
CURLcode mu_http_set_up(mu_http_easy *e, const mu_http_request *request);

/* At the head of a redirect: forgets what must not go to another origin, and does what 303 means. False: it leads
** nowhere. */
bool mu_http_redirect(mu_http_exchange *x, const char *head, size_t size);

/* ---- errors (http_error.c) ---- */

/* Records why x failed. */
void mu_http_fail(mu_http_exchange *x, mu_http_kind kind, const char *text);
void mu_http_fail_curl(mu_http_exchange *x, CURLcode code);

/* Pushes the error of a failed exchange. */
void mu_http_push_error(lua_State *L, const mu_http_exchange *x);
void mu_http_push_failure(lua_State *L, mu_http_kind kind, const char *phase, const char *url,
                          const char *text);

/* Pushes a URL without the user and the password in it. */
void mu_http_push_url(lua_State *L, const char *url);

/* ---- sockets (http_socket.c) ---- */

/* Lets libcurl's sockets and timer of c be watched by the loop. False: out of memory. */
bool mu_http_watch(mu_http_client *c);
void mu_http_unwatch(mu_http_client *c); /* then c is freed, at a later turn of the loop */

/* Lets libcurl do what is due. */
void mu_http_tick(mu_http_client *c);

/* Frees the table of sockets, when all are closed. */
void mu_http_free_sockets(mu_http *http);

/* Callbacks of easy handles, with the handle or its client. */
curl_socket_t mu_http_open_socket(void *easy, curlsocktype purpose, struct curl_sockaddr *address);
int mu_http_close_socket(void *client, curl_socket_t fd);

/* ---- connections that nobody uses (http_idle.c) ---- */

/* A connection has come free; something has arrived on one that is free. */
void mu_http_came_free(mu_http_client *c);
void mu_http_went_stale(mu_http_client *c);

/* c->keep for CURLOPT_MAXAGE_CONN. */
long mu_http_max_age(const mu_http_client *c);

#endif
