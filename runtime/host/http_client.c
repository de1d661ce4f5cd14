/* http_client.c: clients: their connections, their easy handles, and how many exchanges they let be in flight. */
#include "host/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LEAST_CONNECTIONS = 256 }; /* kept open, for their next requests */

/* ---- limits ---- */

/* The part of a URL that says which server: "https://host:port", the user left out. */
static const char *authority(const char *url, size_t *length) {
  const char *host = strstr(url, "://");
  host = host ? host + 3 : url;
  size_t n = strcspn(host, "/?#");
  for (size_t i = n; i > 0; i--)
    if (host[i - 1] == '@') {
      *length = n - i;
      return host + i;
    }
  *length = n;
  return host;
}

static mu_http_host *find_host(mu_http_client *c, const char *url) {
  size_t n;
  const char *name = authority(url, &n);
  for (mu_http_host *h = c->hosts; h; h = h->next)
    if (h->length == n && strncasecmp(h->authority, name, n) == 0) return h;
  mu_http_host *h = malloc(sizeof *h + n);
  if (!h) return NULL;
  *h = (mu_http_host){.next = c->hosts, .length = n};
  memcpy(h->authority, name, n);
  return c->hosts = h;
}

static bool may_go(const mu_http_client *c, const mu_http_exchange *x) {
  return c->active < c->total && (!x->host || x->host->active < c->per_host);
}

/* libcurl closes a connection that comes free when there are more than so many. */
static void keep_connections(mu_http_client *c) {
  if (c->active <= c->most) return;
  c->most = c->active < LEAST_CONNECTIONS ? LEAST_CONNECTIONS : 2 * c->active;
  c->http->curl.multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)c->most);
}

static void go(mu_http_client *c, mu_http_exchange *x) {
  c->active++;
  if (x->host) x->host->active++;
  keep_connections(c);
  mu_list_push(&c->exchanges, &x->link);
  mu_http_launch(x);
}

bool mu_http_client_admit(mu_http_client *c, mu_http_exchange *x) {
  x->host = NULL;
  if (c->per_host < UINT32_MAX && !(x->host = find_host(c, x->request.url))) return false;
  x->client = c;
  if (may_go(c, x)) go(c, x);
  else mu_list_push(&c->queue, &x->link);
  return true;
}

/* The first in the queue that may go. */
static mu_http_exchange *next_in_queue(mu_http_client *c) {
  if (c->active >= c->total) return NULL;
  for (mu_link *link = c->queue.next; link != &c->queue; link = link->next) {
    mu_http_exchange *x = mu_container(link, mu_http_exchange, link);
    if (may_go(c, x)) return x;
  }
  return NULL;
}

/* One that fails at once makes room for another: not by recursion. */
static void admit_queued(mu_http_client *c) {
  if (c->admitting) return;
  c->admitting = true;
  for (mu_http_exchange *x; !mu_list_empty(&c->queue) && (x = next_in_queue(c));) {
    mu_list_remove(&x->link);
    go(c, x);
  }
  c->admitting = false;
}

void mu_http_client_left(mu_http_client *c, mu_http_exchange *x, bool flew) {
  mu_list_remove(&x->link);
  x->client = NULL;
  if (!flew) return;
  c->active--;
  if (x->host) x->host->active--;
  admit_queued(c);
}

/* ---- clients ---- */

static const char *open_http(mu_http *http) {
  const char *problem = mu_curl_load(&http->curl);
  if (problem || http->open) return problem;
  mu_list_init(&http->clients);
  http->open = true;
  return NULL;
}

mu_http_client *mu_http_client_new(mu_http *http, uint32_t per_host, uint32_t total, double keep,
                                   const char **problem) {
  if ((*problem = open_http(http))) return NULL;
  *problem = "not enough memory";
  mu_http_client *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  *c = (mu_http_client){.http = http, .per_host = per_host, .total = total, .keep = keep};
  mu_list_init(&c->exchanges);
  mu_list_init(&c->queue);
  if (!(c->multi = http->curl.multi_init())) {
    free(c);
    return NULL;
  }
  mu_list_push(&http->clients, &c->link);
  if (mu_http_watch(c)) return c;
  mu_http_client_close(c);
  return NULL;
}

static void abort_all(mu_link *exchanges) {
  while (!mu_list_empty(exchanges))
    mu_http_abort(mu_container(exchanges->next, mu_http_exchange, link), MU_HTTP_CLOSED);
}

static void free_pool(mu_http_client *c) {
  for (mu_http_easy *e = c->pool, *next; e; e = next) {
    next = e->next;
    c->http->curl.easy_cleanup(e->curl);
    free(e->headers);
    free(e->usual);
    free(e);
  }
}

static void free_hosts(mu_http_client *c) {
  for (mu_http_host *h = c->hosts, *next; h; h = next) {
    next = h->next;
    free(h);
  }
}

void mu_http_client_close(mu_http_client *c) {
  if (c->box) *c->box = NULL;
  abort_all(&c->queue);
  abort_all(&c->exchanges);
  free_pool(c);
  c->http->curl.multi_cleanup(c->multi);
  free_hosts(c);
  mu_list_remove(&c->link);
  mu_http_unwatch(c);
}

static void free_blocks(mu_http *http) {
  for (mu_http_block *b = http->spare_blocks, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  http->spare_blocks = NULL;
  http->nspare_blocks = 0;
}

void mu_http_close(mu_http *http) {
  http->closed = true;
  if (!http->open) return mu_curl_unload(&http->curl);
  while (!mu_list_empty(&http->clients))
    mu_http_client_close(mu_container(http->clients.next, mu_http_client, link));
  http->open = false;
  mu_http_free_sockets(http);
  free_blocks(http);
  mu_curl_unload(&http->curl);
}
