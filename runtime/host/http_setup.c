/* http_setup.c: a request as options of libcurl. An easy handle keeps what it was set to: only what differs is set. */
#include "host/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- what never changes ---- */

bool mu_http_prepare(mu_http_easy *e) {
  __typeof__(curl_easy_setopt) *set = e->client->http->curl.setopt;
  CURL *c = e->curl;
  e->settings = 0;
  e->plain = true;
  e->pipewait = e->fresh = false;
  return !set(c, CURLOPT_NOSIGNAL, 1L) && !set(c, CURLOPT_PRIVATE, e) &&
         !set(c, CURLOPT_ERRORBUFFER, e->error) && !set(c, CURLOPT_HEADERFUNCTION, mu_http_on_header) &&
         !set(c, CURLOPT_HEADERDATA, e) && !set(c, CURLOPT_WRITEFUNCTION, mu_http_on_body) &&
         !set(c, CURLOPT_WRITEDATA, e) && !set(c, CURLOPT_READFUNCTION, mu_http_on_send) &&
         !set(c, CURLOPT_READDATA, e) && !set(c, CURLOPT_PREREQFUNCTION, mu_http_on_connected) &&
         !set(c, CURLOPT_PREREQDATA, e) && !set(c, CURLOPT_OPENSOCKETFUNCTION, mu_http_open_socket) &&
         !set(c, CURLOPT_OPENSOCKETDATA, e) && !set(c, CURLOPT_CLOSESOCKETFUNCTION, mu_http_close_socket) &&
         !set(c, CURLOPT_CLOSESOCKETDATA, e->client) && !set(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
         !set(c, CURLOPT_PROTOCOLS_STR, "http,https") && !set(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") &&
         !set(c, CURLOPT_ACCEPT_ENCODING, "") && !set(c, CURLOPT_TCP_NODELAY, 1L) &&
         !set(c, CURLOPT_HTTP09_ALLOWED, 0L) && !set(c, CURLOPT_DNS_CACHE_TIMEOUT, 60L) &&
         !set(c, CURLOPT_AUTOREFERER, 0L) && !set(c, CURLOPT_MAXAGE_CONN, mu_http_max_age(e->client));
}

/* ---- headers ---- */

static size_t count_lines(const char *lines) {
  size_t n = 0;
  for (; *lines; lines += strlen(lines) + 1) n++;
  return n;
}

/* libcurl only reads a list: its nodes can be an array. */
static void link_lines(struct curl_slist *nodes, size_t n, const char *line) {
  for (size_t i = 0; i < n; i++, line += strlen(line) + 1)
    nodes[i] = (struct curl_slist){(char *)line, i + 1 < n ? &nodes[i + 1] : NULL};
}

static CURLcode set_usual_headers(mu_http_easy *e, const char *lines) {
  size_t n = lines ? count_lines(lines) : 0;
  free(e->usual);
  e->usual = n ? malloc(n * sizeof *e->usual) : NULL;
  if (n && !e->usual) return CURLE_OUT_OF_MEMORY;
  if (n) link_lines(e->usual, n, lines);
  return e->client->http->curl.setopt(e->curl, CURLOPT_HTTPHEADER, e->usual);
}

static CURLcode set_headers(mu_http_easy *e, const char *lines) {
  size_t n = count_lines(lines);
  if (n > e->capacity) {
    struct curl_slist *headers = realloc(e->headers, n * sizeof *headers);
    if (!headers) return CURLE_OUT_OF_MEMORY;
    e->headers = headers;
    e->capacity = n;
  }
  link_lines(e->headers, n, lines);
  return e->client->http->curl.setopt(e->curl, CURLOPT_HTTPHEADER, n ? e->headers : NULL);
}

/* ---- settings ---- */

static CURLcode set_tls(__typeof__(curl_easy_setopt) *set, CURL *c, const mu_http_settings *s) {
  CURLcode rc = 0;
  if (s->insecure) {
    rc = set(c, CURLOPT_SSL_VERIFYPEER, 0L);
    if (!rc) rc = set(c, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!rc && s->ca) rc = set(c, CURLOPT_CAINFO, s->ca);
  if (!rc && s->ca_directory) rc = set(c, CURLOPT_CAPATH, s->ca_directory);
  if (!rc && s->cert) rc = set(c, CURLOPT_SSLCERT, s->cert);
  if (!rc && s->key) rc = set(c, CURLOPT_SSLKEY, s->key);
  if (!rc && s->password) rc = set(c, CURLOPT_KEYPASSWD, s->password);
  return rc;
}

static CURLcode apply(mu_http_easy *e, const mu_http_settings *s) {
  __typeof__(curl_easy_setopt) *set = e->client->http->curl.setopt;
  CURL *c = e->curl;
  if (e->used) {
    e->client->http->curl.easy_reset(c);
    if (!mu_http_prepare(e)) return CURLE_OUT_OF_MEMORY;
  }
  e->used = true;
  CURLcode rc = set(c, CURLOPT_FOLLOWLOCATION, s->follow > 0 ? 1L : 0L);
  if (!rc) rc = set(c, CURLOPT_MAXREDIRS, s->follow);
  if (!rc && s->http1) rc = set(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  if (!rc && s->proxy) rc = set(c, CURLOPT_PROXY, s->proxy);
  if (!rc) rc = set_tls(set, c, s);
  if (!rc) rc = set_usual_headers(e, s->headers);
  if (!rc) e->settings = s->id;
  return rc;
}

/* ---- method, body ---- */

static CURLcode set_body(__typeof__(curl_easy_setopt) *set, CURL *c, const mu_http_request *r) {
  curl_off_t size = r->streamed ? (curl_off_t)r->length : (curl_off_t)r->size;
  CURLcode rc = set(c, CURLOPT_POST, 1L);
  if (!rc) rc = set(c, CURLOPT_POSTFIELDSIZE_LARGE, size);
  return rc ? rc : set(c, CURLOPT_POSTFIELDS, r->streamed ? NULL : r->body);
}

static CURLcode set_method(__typeof__(curl_easy_setopt) *set, CURL *c, const mu_http_request *r) {
  bool body = r->body || r->streamed;
  const char *usual = body ? "POST" : "GET";
  CURLcode rc = body ? set_body(set, c, r) : 0;
  if (!rc && strcmp(r->method, "HEAD") == 0 && !body) return set(c, CURLOPT_NOBODY, 1L);
  return !rc && strcmp(r->method, usual) != 0 ? set(c, CURLOPT_CUSTOMREQUEST, r->method) : rc;
}

/* A GET without a body is what most requests are: it is the state between requests. */
static CURLcode make_plain(mu_http_easy *e) {
  __typeof__(curl_easy_setopt) *set = e->client->http->curl.setopt;
  CURL *c = e->curl;
  e->plain = true;
  CURLcode rc = set(c, CURLOPT_POSTFIELDS, NULL);
  if (!rc) rc = set(c, CURLOPT_NOBODY, 0L);
  if (!rc) rc = set(c, CURLOPT_HTTPGET, 1L);
  if (!rc) rc = set(c, CURLOPT_CUSTOMREQUEST, NULL);
  return rc ? rc : set(c, CURLOPT_HTTPHEADER, e->usual);
}

/* Over TLS the server may take many requests on one connection: it pays to wait until that is known. */
static CURLcode set_pipewait(mu_http_easy *e, const char *url) {
  bool tls = strncasecmp(url, "https:", 6) == 0;
  if (tls == e->pipewait) return 0;
  e->pipewait = tls;
  return e->client->http->curl.setopt(e->curl, CURLOPT_PIPEWAIT, (long)tls);
}

/* Where none can be free, libcurl need not look through all of them: with thousands in flight that would be costly. */
static CURLcode set_fresh(mu_http_easy *e, const char *url) {
  mu_http_client *c = e->client;
  bool fresh = c->claims >= c->idle && strncasecmp(url, "http:", 5) == 0;
  c->claims += !fresh;
  if (fresh == e->fresh) return 0;
  e->fresh = fresh;
  return c->http->curl.setopt(e->curl, CURLOPT_FRESH_CONNECT, (long)fresh);
}

CURLcode mu_http_set_up(mu_http_easy *e, const mu_http_request *r) {
  __typeof__(curl_easy_setopt) *set = e->client->http->curl.setopt;
  CURLcode rc = 0;
  e->error[0] = '\0';
  e->no_socket = 0;
  if (e->settings != r->settings->id) rc = apply(e, r->settings);
  if (!rc && !e->plain) rc = make_plain(e);
  if (!rc) rc = set_pipewait(e, r->url);
  if (!rc) rc = set_fresh(e, r->url);
  if (!rc) rc = set(e->curl, CURLOPT_URL, r->url);
  if (rc || (!r->headers && !r->body && !r->streamed && strcmp(r->method, "GET") == 0)) return rc;
  e->plain = false;
  rc = set_method(set, e->curl, r);
  return rc || !r->headers ? rc : set_headers(e, r->headers);
}

/* ---- redirects ---- */

static bool is_secret(const char *line) {
  static const char *const names[] = {"authorization:", "cookie:",       "proxy-authorization:", "x-api-key:",
                                      "api-key:",       "x-auth-token:", "x-goog-api-key:"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strncasecmp(line, names[i], strlen(names[i])) == 0) return true;
  return false;
}

/* The nodes left out are gone for good: the next request must link them again. */
static void drop_secrets(mu_http_easy *e) {
  const mu_http_request *r = &e->x->request;
  const char *lines = r->headers ? r->headers : r->settings->headers;
  struct curl_slist *first = NULL, **last = &first, *nodes = r->headers ? e->headers : e->usual;
  for (size_t i = 0, n = lines ? count_lines(lines) : 0; i < n; i++) {
    if (is_secret(nodes[i].data)) continue;
    *last = &nodes[i];
    last = &nodes[i].next;
  }
  *last = NULL;
  if (!r->headers) e->settings = 0;
  e->client->http->curl.setopt(e->curl, CURLOPT_HTTPHEADER, first);
}

static bool same_part(const mu_curl *curl, CURLU *a, CURLU *b, CURLUPart part) {
  char *one = NULL, *two = NULL;
  curl->url_get(a, part, &one, CURLU_DEFAULT_PORT);
  curl->url_get(b, part, &two, CURLU_DEFAULT_PORT);
  bool same = one && two && strcasecmp(one, two) == 0;
  curl->free(one);
  curl->free(two);
  return same;
}

/* Is location, seen from url, of the same origin? If in doubt, no. */
static bool same_origin(const mu_curl *curl, const char *url, const char *location) {
  CURLU *from = curl->url(), *to = curl->url();
  bool same = from && to && !curl->url_set(from, CURLUPART_URL, url, 0) &&
              !curl->url_set(to, CURLUPART_URL, url, 0) && !curl->url_set(to, CURLUPART_URL, location, 0) &&
              same_part(curl, from, to, CURLUPART_SCHEME) && same_part(curl, from, to, CURLUPART_HOST) &&
              same_part(curl, from, to, CURLUPART_PORT);
  curl->url_cleanup(from);
  curl->url_cleanup(to);
  return same;
}

/* A copy of the value of the header Location, or NULL. */
static char *location_of(const char *head, size_t size) {
  for (const char *line = head, *end = head + size; line < end;) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) stop = end;
    if (stop - line > 9 && strncasecmp(line, "location:", 9) == 0) {
      const char *value = line + 9, *after = stop;
      while (value < after && (*value == ' ' || *value == '\t')) value++;
      while (after > value && (after[-1] == '\r' || after[-1] == ' ')) after--;
      return strndup(value, (size_t)(after - value));
    }
    line = stop + 1;
  }
  return NULL;
}

bool mu_http_redirect(mu_http_exchange *x, const char *head, size_t size) {
  const mu_curl *curl = &x->http->curl;
  char *url = NULL, *location = location_of(head, size);
  if (!location || !*location) return free(location), false;
  if (x->status == 303 && !x->easy->plain && strcmp(x->request.method, "HEAD") != 0)
    curl->setopt(x->easy->curl, CURLOPT_CUSTOMREQUEST, NULL);
  curl->getinfo(x->easy->curl, CURLINFO_EFFECTIVE_URL, &url);
  if (!(url && same_origin(curl, url, location))) drop_secrets(x->easy);
  free(location);
  return true;
}
