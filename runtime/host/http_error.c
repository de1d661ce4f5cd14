/* http_error.c: why an exchange failed, as libcurl says it and as scripts read it. */
#include "host/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
  const char *name;
  bool retryable;
} kinds[] = {
    [MU_HTTP_OK] = {"ok", false},
    [MU_HTTP_DNS] = {"dns", true},
    [MU_HTTP_CONNECT] = {"connect", true},
    [MU_HTTP_TLS] = {"tls", false},
    [MU_HTTP_TIMEOUT] = {"timeout", true},
    [MU_HTTP_RESET] = {"reset", true},
    [MU_HTTP_PROTOCOL] = {"protocol", false},
    [MU_HTTP_TOO_LARGE] = {"too_large", false},
    [MU_HTTP_BAD_URL] = {"bad_url", false},
    [MU_HTTP_CANCELLED] = {"cancelled", false},
    [MU_HTTP_CLOSED] = {"closed", false},
    [MU_HTTP_MEMORY] = {"memory", false},
    [MU_HTTP_FILE] = {"file", false},
};

static mu_http_kind kind_of(CURLcode code) {
  switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return MU_HTTP_DNS;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_PROXY: return MU_HTTP_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT: return MU_HTTP_TLS;
    case CURLE_OPERATION_TIMEDOUT: return MU_HTTP_TIMEOUT;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return MU_HTTP_RESET;
    case CURLE_FILESIZE_EXCEEDED: return MU_HTTP_TOO_LARGE;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return MU_HTTP_BAD_URL;
    case CURLE_OUT_OF_MEMORY: return MU_HTTP_MEMORY;
    default: return MU_HTTP_PROTOCOL;
  }
}

/* ---- recording ---- */

enum { QUEUE, DNS, CONNECT, TLS, SEND, FIRST_BYTE, BODY };
static const char *const phases[] = {"queue", "dns", "connect", "tls", "send", "first_byte", "body"};

static bool passed(const mu_http_exchange *x, CURLINFO time) {
  curl_off_t t = 0;
  x->http->curl.getinfo(x->easy->curl, time, &t);
  return t > 0;
}

/* How far the exchange has come. */
static uint8_t phase_of(const mu_http_exchange *x) {
  if (x->has_head) return BODY;
  if (!x->easy) return QUEUE;
  if (x->starved) return SEND;
  if (x->connected) return FIRST_BYTE;
  if (!passed(x, CURLINFO_NAMELOOKUP_TIME_T)) return DNS;
  if (!passed(x, CURLINFO_CONNECT_TIME_T)) return CONNECT;
  return strncasecmp(x->request.url, "https", 5) == 0 ? TLS : FIRST_BYTE;
}

void mu_http_fail(mu_http_exchange *x, mu_http_kind kind, const char *text) {
  if (x->kind) return; /* the first reason counts */
  x->kind = (uint8_t)kind;
  x->phase = kind == MU_HTTP_TLS ? TLS : phase_of(x);
  x->text = strdup(text ? text : kinds[kind].name);
}

/* libcurl has one code for a connection that breaks and for some answers that make no sense. */
static mu_http_kind kind_in(const mu_http_exchange *x, CURLcode code, const char *text) {
  if (code == CURLE_RECV_ERROR && strstr(text, "chunk")) return MU_HTTP_PROTOCOL;
  if (code == CURLE_UNSUPPORTED_PROTOCOL && x->connected) return MU_HTTP_PROTOCOL; /* HTTP/0.9 */
  if (code == CURLE_OUT_OF_MEMORY && x->connected) return MU_HTTP_TOO_LARGE;       /* a line of the head */
  if (code == CURLE_SEND_FAIL_REWIND && x->connected) return MU_HTTP_RESET; /* would have sent it again */
  if (code == CURLE_SSL_CONNECT_ERROR) {
    long error = 0;
    x->http->curl.getinfo(x->easy->curl, CURLINFO_OS_ERRNO, &error);
    if (error == ECONNRESET) return MU_HTTP_RESET;
  }
  return kind_of(code);
}

void mu_http_fail_curl(mu_http_exchange *x, CURLcode code) {
  const char *text = x->easy->error;
  if (x->kind) return;
  if (code == CURLE_COULDNT_CONNECT && x->easy->no_socket) text = uv_strerror(-x->easy->no_socket);
  if (!*text) text = x->http->curl.easy_strerror(code);
  x->code = (int)code;
  if (strncmp(text, "Unsupported proxy", 17) == 0) /* libcurl goes on with all of it, also its password */
    mu_http_fail(x, MU_HTTP_BAD_URL, "the proxy is not a URL of one");
  else mu_http_fail(x, kind_in(x, code, text), text);
}

/* ---- telling ---- */

/* Where the user and password of a URL begin and end; false if it has none. In what is no URL they may go on to the last
** at sign. */
static bool find_user(const char *url, bool bad, size_t *from, size_t *to) {
  const char *start = strstr(url, "://");
  if (!start) return false;
  start += 3;
  for (size_t i = bad ? strlen(start) : strcspn(start, "/?#"); i > 0; i--)
    if (start[i - 1] == '@') {
      *from = (size_t)(start - url);
      *to = *from + i;
      return true;
    }
  return false;
}

static void push_url(lua_State *L, const char *url, bool bad) {
  size_t from, to;
  if (!find_user(url, bad, &from, &to)) {
    lua_pushstring(L, url);
    return;
  }
  lua_pushlstring(L, url, from);
  lua_pushstring(L, url + to);
  lua_concat(L, 2);
}

void mu_http_push_url(lua_State *L, const char *url) { push_url(L, url, false); }

void mu_http_push_failure(lua_State *L, mu_http_kind kind, const char *phase, const char *url,
                          const char *text) {
  luaL_checkstack(L, 8, NULL);
  push_url(L, url, kind == MU_HTTP_BAD_URL);
  mu_push_error(L, kinds[kind].name, "%s: %s", lua_tostring(L, -1), text);
  lua_pushboolean(L, kinds[kind].retryable);
  lua_setfield(L, -2, "retryable");
  lua_pushstring(L, phase);
  lua_setfield(L, -2, "phase");
  lua_insert(L, -2);
  lua_setfield(L, -2, "url");
}

void mu_http_push_error(lua_State *L, const mu_http_exchange *x) {
  mu_http_push_failure(L, x->kind, phases[x->phase], mu_http_url(x), x->text ? x->text : "not enough memory");
}
