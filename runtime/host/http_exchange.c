/* http_exchange.c: the life of an exchange: queued, in flight, over. What a task waits for, and until when.
**
** One timer an exchange, for the nearest of its deadlines. Whatever moves only notes when it did: the timer looks at
** that when it fires, and goes on if it may. So a chunk costs no work in the heap. */
#include "host/http.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double now(const mu_http_exchange *x) { return x->http->s->hooks.now(x->http->s->hooks.data); }

/* ---- deadlines ---- */

/* While its reader or its writer is busy elsewhere, an exchange is not idle. */
static double next_deadline(const mu_http_exchange *x) {
  const mu_http_settings *s = x->request.settings;
  double total = x->began + s->total;
  if (!x->easy || x->held || x->starved) return total;
  double limit = !x->connected                              ? s->connect
                 : !x->has_head && s->first_byte < HUGE_VAL ? s->first_byte
                                                            : s->idle;
  return fmin(total, x->active + limit);
}

static bool arm(mu_http_exchange *x) {
  double due = next_deadline(x);
  if (mu_heap_has(&x->deadline.item)) {
    if (due >= x->due) return true;
    mu_timer_stop(x->http->s, &x->deadline);
  }
  x->due = due;
  return due == HUGE_VAL || mu_timer_start(x->http->s, &x->deadline, due);
}

static void time_out(mu_http_exchange *x, double at) {
  const mu_http_settings *s = x->request.settings;
  char text[80];
  if (at >= x->began + s->total) snprintf(text, sizeof text, "not done within %.6g seconds", s->total);
  else if (!x->connected) snprintf(text, sizeof text, "no connection within %.6g seconds", s->connect);
  else if (!x->has_head && s->first_byte < HUGE_VAL)
    snprintf(text, sizeof text, "no response within %.6g seconds", s->first_byte);
  else snprintf(text, sizeof text, "nothing came for %.6g seconds", s->idle);
  mu_http_fail(x, MU_HTTP_TIMEOUT, text);
  mu_http_abort(x, MU_HTTP_TIMEOUT);
}

static void on_deadline(mu_sched *s, mu_op *op) {
  mu_http_exchange *x = mu_container(op, mu_http_exchange, deadline.op);
  double due = next_deadline(x);
  (void)s;
  if (due > now(x)) arm(x);
  else time_out(x, due);
}

static const mu_opclass deadline_class = {
    .name = "a deadline of HTTP", .size = sizeof(mu_timer), .fire = on_deadline};

void mu_http_enter(mu_http_client *c) {
  mu_sched *s = c->http->s;
  c->inside++;
  c->http->now = s->hooks.now(s->hooks.data);
}

void mu_http_moved(mu_http_exchange *x) {
  x->active = x->http->now;
  arm(x);
}

/* ---- waiting ---- */

bool mu_http_ready(const mu_http_exchange *x, mu_http_want want) {
  switch (want) {
    case MU_HTTP_HEAD: return x->has_head || x->ended;
    case MU_HTTP_SOME: return x->length > x->head || x->ended;
    case MU_HTTP_TAKEN: return !x->chunk || x->has_head || x->ended;
    default: return x->ended;
  }
}

void mu_http_fire(mu_http_exchange *x) {
  mu_http_op *op = x->op;
  if (!op || !mu_http_ready(x, op->want)) return;
  x->op = NULL;
  mu_fire(x->http->s, &op->op);
}

/* Nobody will read it: the transfer is closed at once. */
static bool cancel(mu_sched *s, mu_op *op) {
  mu_http_exchange *x = ((mu_http_op *)op)->x;
  (void)s;
  x->op = NULL;
  mu_http_abort(x, MU_HTTP_CANCELLED);
  return true;
}

static void revoke(mu_sched *s, mu_op *op) {
  (void)s;
  mu_http_abort(((mu_http_op *)op)->x, MU_HTTP_CANCELLED);
}

static const char *which(const mu_op *op) {
  const char *url = ((const mu_http_op *)op)->x->request.url, *at = strrchr(url, '@');
  return at ? at + 1 : url;
}

static const mu_opclass op_class = {
    .name = "HTTP", .size = sizeof(mu_http_op), .cancel = cancel, .revoke = revoke, .which = which};

mu_http_op *mu_http_wait(lua_State *L, mu_sched *s, mu_task *t, mu_http_exchange *x, mu_http_want want) {
  mu_http_op *op = mu_op_new(L, s, t, &op_class);
  op->x = x;
  op->want = want;
  return x->op = op;
}

/* ---- from start to end ---- */

static mu_http_easy *new_easy(mu_http_client *c) {
  mu_http_easy *e = calloc(1, sizeof *e);
  if (!e) return NULL;
  e->client = c;
  e->curl = c->http->curl.easy_init();
  if (e->curl && mu_http_prepare(e)) return e;
  if (e->curl) c->http->curl.easy_cleanup(e->curl);
  free(e);
  return NULL;
}

static mu_http_easy *take_easy(mu_http_client *c) {
  mu_http_easy *e = c->pool;
  if (!e) return new_easy(c);
  c->pool = e->next;
  return e;
}

/* The transfer is over: what it had goes back to the client. added: libcurl knows of it. */
static void land(mu_http_exchange *x, bool added) {
  mu_http_client *c = x->client;
  mu_http_easy *e = x->easy;
  assert(!c->inside);
  x->ended = true;
  mu_timer_stop(x->http->s, &x->deadline);
  if (e) {
    if (added) c->http->curl.multi_remove_handle(c->multi, e->curl);
    e->x = NULL;
    e->next = c->pool;
    c->pool = e;
    x->easy = NULL;
  }
  mu_http_client_left(c, x, e != NULL);
  mu_http_fire(x);
}

void mu_http_launch(mu_http_exchange *x) {
  mu_http_client *c = x->client;
  mu_http_easy *e = x->easy = take_easy(c);
  if (!e) {
    x->easy = NULL;
    c->active--; /* it does not fly */
    if (x->host) x->host->active--;
    mu_http_fail(x, MU_HTTP_MEMORY, NULL);
    return land(x, false);
  }
  e->x = x;
  x->active = fmax(x->began, x->http->s->now); /* at the beginning of this turn, or of a callback */
  CURLcode rc = mu_http_set_up(e, &x->request);
  if (!rc && (!arm(x) || c->http->curl.multi_add_handle(c->multi, e->curl))) rc = CURLE_OUT_OF_MEMORY;
  if (!rc) return;
  e->settings = 0; /* set to what, nobody knows */
  mu_http_fail_curl(x, rc);
  land(x, false);
}

void mu_http_start(mu_http_client *c, mu_http_exchange *x, const mu_http_request *request) {
  x->http = c->http;
  x->request = *request;
  x->deadline.op.cls = &deadline_class;
  x->deadline.item.position = MU_HEAP_OUT;
  mu_list_init(&x->link);
  x->began = now(x);
  if (mu_http_client_admit(c, x)) {
    if (!x->ended && !x->easy) arm(x);
    return;
  }
  mu_http_fail(x, MU_HTTP_MEMORY, NULL);
  x->ended = true;
}

void mu_http_abort(mu_http_exchange *x, mu_http_kind kind) {
  if (x->ended) return;
  mu_http_fail(x, kind,
               kind == MU_HTTP_CLOSED ? "it was closed" : "the task that waited for it was cancelled");
  land(x, true);
}

void mu_http_read_times(mu_http_exchange *x) {
  static const CURLINFO infos[MU_HTTP_TIMES] = {CURLINFO_NAMELOOKUP_TIME_T, CURLINFO_CONNECT_TIME_T,
                                                CURLINFO_APPCONNECT_TIME_T, CURLINFO_STARTTRANSFER_TIME_T,
                                                CURLINFO_TOTAL_TIME_T};
  for (int i = 0; i < MU_HTTP_TIMES; i++) x->http->curl.getinfo(x->easy->curl, infos[i], &x->times[i]);
}

const char *mu_http_url(const mu_http_exchange *x) {
  char *url = NULL;
  if (x->final_url) return x->final_url;
  if (x->moved && x->easy) x->http->curl.getinfo(x->easy->curl, CURLINFO_EFFECTIVE_URL, &url);
  return url ? url : x->request.url;
}

static void finish(mu_http_exchange *x, CURLcode code) {
  mu_http_read_times(x);
  if (x->moved) x->final_url = strdup(mu_http_url(x));
  if (code) mu_http_fail_curl(x, code);
  if (!x->has_head) mu_http_fail(x, MU_HTTP_RESET, "the connection ended before the end of the headers");
  land(x, true);
}

void mu_http_settle(mu_http_client *c) {
  const mu_curl *curl = &c->http->curl;
  int left;
  for (CURLMsg *m; (m = curl->multi_info_read(c->multi, &left));) {
    mu_http_easy *e = NULL;
    CURLcode code = m->data.result;
    if (m->msg != CURLMSG_DONE) continue;
    curl->getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&e);
    if (e) finish(e->x, code); /* none: of http_idle.c */
  }
}

/* ---- the reader and the writer ---- */

/* Goes on with what is not paused any more; libcurl may call back at once. */
static void go_on(mu_http_exchange *x) {
  mu_http_client *c = x->client;
  int paused = (x->held ? CURLPAUSE_RECV : 0) | (x->starved ? CURLPAUSE_SEND : 0);
  mu_http_enter(c);
  mu_http_moved(x);
  CURLcode rc = c->http->curl.easy_pause(x->easy->curl, paused);
  c->inside--;
  if (!rc) return;
  mu_http_fail_curl(x, rc);
  land(x, true);
}

void mu_http_resume(mu_http_exchange *x, bool whole) {
  x->whole = x->whole || whole;
  if (!x->held || !x->easy) return;
  x->held = false;
  go_on(x);
}

void mu_http_send(mu_http_exchange *x, const char *chunk, size_t size) {
  x->chunk = chunk;
  x->chunk_size = size;
  x->last = !chunk;
  if (!x->starved || !x->easy) return;
  x->starved = false;
  go_on(x);
}
