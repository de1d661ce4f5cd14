/* http_idle.c: connections that nobody uses are kept for the next request, but not for ever, nor once their server has
** closed them.
**
** libcurl looks through them only when a transfer begins, and then at most once a second. So when they are to be looked
** through, a transfer begins that goes nowhere: it is refused its socket. A timer, which does not keep the loop alive,
** says when: as soon as one may have been there too long, and soon after something arrived on one, which most likely is
** its end. */
#include "host/http.h"

#include <math.h>

static const uint64_t PAUSE = 1010;     /* of libcurl's, and a bit: milliseconds */
static const double MOST_SECONDS = 1e6; /* which libcurl's longs can hold */

/* In whole seconds; libcurl closes what is older by a second. */
long mu_http_max_age(const mu_http_client *c) {
  double age = ceil(fmin(c->keep, MOST_SECONDS)) - 1;
  return age < 1 ? 1 : (long)age;
}

static curl_socket_t refuse(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)data, (void)purpose, (void)address;
  return CURL_SOCKET_BAD;
}

/* A transfer that goes nowhere, and must not find a connection that it could use. */
static CURL *new_transfer(mu_http_client *c) {
  const mu_curl *curl = &c->http->curl;
  __typeof__(curl_easy_setopt) *set = curl->setopt;
  CURL *e = curl->easy_init();
  if (!e) return NULL;
  if (!set(e, CURLOPT_NOSIGNAL, 1L) && !set(e, CURLOPT_PRIVATE, NULL) &&
      !set(e, CURLOPT_OPENSOCKETFUNCTION, refuse) && !set(e, CURLOPT_FRESH_CONNECT, 1L) &&
      !set(e, CURLOPT_CONNECT_ONLY, 1L) && !set(e, CURLOPT_PROXY, "") &&
      !set(e, CURLOPT_MAXAGE_CONN, mu_http_max_age(c)) && !set(e, CURLOPT_URL, "http://127.0.0.1/"))
    return e;
  curl->easy_cleanup(e);
  return NULL;
}

static void look_through(mu_http_client *c) {
  const mu_curl *curl = &c->http->curl;
  CURL *e = new_transfer(c);
  if (!e) return; /* another time */
  if (!curl->multi_add_handle(c->multi, e)) {
    mu_http_tick(c);
    curl->multi_remove_handle(c->multi, e);
  }
  curl->easy_cleanup(e);
}

static uint64_t interval(const mu_http_client *c) {
  return PAUSE + (uint64_t)(fmin(c->keep, MOST_SECONDS) * 1e3);
}

static void on_sweep(uv_timer_t *timer) {
  mu_http_client *c = mu_container(timer, mu_http_client, sweep);
  look_through(c);
  if (c->idle) uv_timer_start(timer, on_sweep, interval(c) / 2, 0);
}

void mu_http_came_free(mu_http_client *c) {
  if (!uv_is_active((uv_handle_t *)&c->sweep)) uv_timer_start(&c->sweep, on_sweep, interval(c), 0);
}

/* Put off by each event: should libcurl look through them before, for a request, none of these is left. */
void mu_http_went_stale(mu_http_client *c) { uv_timer_start(&c->sweep, on_sweep, PAUSE, 0); }
