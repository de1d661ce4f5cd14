/* http_response.c: responses. A response is its exchange; methods that need no C are added in Lua (lua/muster/http). */
#include "bind/http.h"

#include <string.h>

/* Any response, also one that is collected, and has no http then. */
static mu_http_exchange *to_response(lua_State *L) { return mu_check_object(L, 1); }

/* One that can be used: finalizers that run later may still hold a collected one. */
static mu_http_exchange *check(lua_State *L) {
  mu_http_exchange *x = to_response(L);
  if (!x->http) luaL_error(L, "the response is collected already");
  return x;
}

/* ---- waiting ---- */

/* Suspends until x has what is wanted, then calls k; ctx is handed on. */
static int await(lua_State *L, mu_sched *s, mu_task *t, mu_http_exchange *x, mu_http_want want,
                 lua_KContext ctx, lua_KFunction k) {
  static const char *const names[] = {
      [MU_HTTP_HEAD] = "http", [MU_HTTP_SOME] = "read", [MU_HTTP_END] = "text", [MU_HTTP_TAKEN] = "send"};
  if (mu_http_ready(x, want)) return k(L, LUA_OK, ctx);
  if (x->op) return luaL_error(L, "%s: another task is waiting for this response", names[want]);
  mu_http_wait(L, s, t, x, want);
  return mu_park(L, s, ctx, k);
}

/* -> nil, error */
static int failure(lua_State *L, const mu_http_exchange *x) {
  lua_pushnil(L);
  if (x->kind) mu_http_push_error(L, x);
  else mu_http_push_failure(L, MU_HTTP_CLOSED, "body", mu_http_url(x), "the response is closed");
  return 2;
}

static int responded(lua_State *L, int status, lua_KContext index) {
  mu_http_exchange *x = lua_touserdata(L, (int)index);
  (void)status;
  mu_unpark(L, x->http->s);
  if (!x->has_head) return failure(L, x);
  lua_settop(L, (int)index);
  return 1;
}

int mu_response_await(lua_State *L, mu_sched *s, mu_task *t, int index) {
  return await(L, s, t, lua_touserdata(L, index), MU_HTTP_HEAD, index, responded);
}

/* response:wait() -> response; or nil, error */
static int response_wait(lua_State *L) {
  mu_sched *s = mu_self(L);
  check(L);
  lua_settop(L, 1);
  return mu_response_await(L, s, mu_enter(L, s, "http"), 1);
}

/* ---- the body ---- */

static int push_text(lua_State *L, int status, lua_KContext ctx) {
  mu_http_exchange *x = lua_touserdata(L, 1);
  size_t size;
  (void)status, (void)ctx;
  mu_unpark(L, x->http->s);
  if (x->kind || x->closed) return failure(L, x);
  const char *body = mu_http_body(x, &size);
  lua_pushlstring(L, body, size);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, MU_RESPONSE_TEXT);
  mu_http_take(x);
  return 1;
}

/* response:text() -> all that is left of the body; the same again when called again; or nil, error */
static int response_text(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_http_exchange *x = check(L);
  mu_task *t = mu_enter(L, s, "text");
  lua_settop(L, 1);
  if (lua_getiuservalue(L, 1, MU_RESPONSE_TEXT) == LUA_TSTRING) return 1;
  lua_settop(L, 1);
  mu_http_resume(x, true);
  return await(L, s, t, x, MU_HTTP_END, 0, push_text);
}

static int push_some(lua_State *L, int status, lua_KContext ctx) {
  mu_http_exchange *x = lua_touserdata(L, 1);
  size_t size;
  (void)status, (void)ctx;
  mu_unpark(L, x->http->s);
  const char *body = mu_http_body(x, &size);
  if (x->closed || (!size && x->kind)) return failure(L, x);
  if (!size) return lua_pushnil(L), 1;
  lua_pushlstring(L, body, size);
  mu_http_take(x);
  mu_http_resume(x, false);
  return 1;
}

/* response:read() -> what has come of the body, at least a byte; nil at its end; or nil, error */
static int response_read(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_http_exchange *x = check(L);
  mu_task *t = mu_enter(L, s, "read");
  lua_settop(L, 1);
  return await(L, s, t, x, MU_HTTP_SOME, 0, push_some);
}

/* ---- the request's body, in pieces ---- */

static int sent(lua_State *L, int status, lua_KContext ctx) {
  mu_http_exchange *x = lua_touserdata(L, 1);
  (void)status, (void)ctx;
  mu_unpark(L, x->http->s);
  bool more = !x->has_head && !x->ended;
  if (!more && !x->ended) mu_http_send(x, NULL, 0); /* the string goes, and none follows */
  lua_pushboolean(L, more);
  return 1;
}

/* response:send(chunk) -> does the server want more? Waits until the chunk has gone. */
static int response_send(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_http_exchange *x = check(L);
  size_t size;
  const char *chunk = luaL_checklstring(L, 2, &size);
  mu_task *t = mu_enter(L, s, "send");
  lua_settop(L, 2);
  if (size && !x->has_head && !x->ended) mu_http_send(x, chunk, size);
  return await(L, s, t, x, MU_HTTP_TAKEN, 0, sent);
}

/* response:finish(): there is no more to be sent */
static int response_finish(lua_State *L) {
  mu_http_exchange *x = check(L);
  if (!x->ended) mu_http_send(x, NULL, 0);
  return 0;
}

/* ---- its end ---- */

static int response_close(lua_State *L) {
  mu_http_exchange *x = to_response(L);
  if (x->closed || !x->http) return 0;
  x->closed = true;
  mu_http_abort(x, MU_HTTP_CLOSED);
  mu_http_take(x);
  return 0;
}

static int collect(lua_State *L) {
  mu_http_exchange *x = to_response(L);
  if (!x->http) return 0;
  mu_http_abort(x, MU_HTTP_CLOSED);
  mu_http_release(x);
  x->http = NULL;
  return 0;
}

/* ---- fields ---- */

static int push_timing(lua_State *L, mu_http_exchange *x) {
  if (x->easy) mu_http_read_times(x);
  const curl_off_t *t = x->times; /* since the start; 0: was not needed */
  curl_off_t dns = t[0], connect = t[1] > dns ? t[1] : dns, tls = t[2] > connect ? t[2] : connect;
  const struct {
    const char *name;
    curl_off_t value;
  } fields[] = {{"dns", dns},
                {"connect", connect - dns},
                {"tls", tls - connect},
                {"first_byte", t[3]},
                {"total", t[4]}};
  lua_createtable(L, 0, MU_HTTP_TIMES);
  for (int i = 0; i < MU_HTTP_TIMES; i++) {
    lua_pushnumber(L, (lua_Number)fields[i].value * 1e-6);
    lua_setfield(L, -2, fields[i].name);
  }
  return 1;
}

/* Makes them by make_headers, which Lua has put among the methods. */
static int push_headers(lua_State *L, mu_http_exchange *x) {
  if (lua_getiuservalue(L, 1, MU_RESPONSE_HEADERS) == LUA_TTABLE) return 1;
  lua_getfield(L, lua_upvalueindex(3), "make_headers");
  mu_http_push_head(L, x->block ? x->block->bytes : "", x->head);
  lua_call(L, 1, 1);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, MU_RESPONSE_HEADERS);
  return 1;
}

static int push_version(lua_State *L, const mu_http_exchange *x) {
  if (x->version >= 20) lua_pushfstring(L, "%d", x->version / 10);
  else lua_pushfstring(L, "%d.%d", x->version / 10, x->version % 10);
  return 1;
}

static int push_field(lua_State *L, mu_http_exchange *x, const char *name) {
  if (strcmp(name, "status") == 0) return lua_pushinteger(L, x->status), 1;
  if (strcmp(name, "ok") == 0) return lua_pushboolean(L, x->status >= 200 && x->status < 300), 1;
  if (strcmp(name, "headers") == 0) return push_headers(L, x);
  if (strcmp(name, "url") == 0) return mu_http_push_url(L, mu_http_url(x)), 1;
  if (strcmp(name, "http_version") == 0) return push_version(L, x);
  if (strcmp(name, "timing") == 0) return push_timing(L, x);
  return 0;
}

/* Upvalue 3: the methods. */
static int get(lua_State *L) {
  mu_http_exchange *x = to_response(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL || lua_type(L, 2) != LUA_TSTRING || !x->http) return 1;
  return push_field(L, x, lua_tostring(L, 2));
}

static int to_string(lua_State *L) {
  mu_http_exchange *x = to_response(L);
  mu_http_push_url(L, mu_http_url(x));
  lua_pushfstring(L, "http.response: %d %s", x->status, lua_tostring(L, -1));
  return 1;
}

void mu_response_class(lua_State *L, int s) {
  static const luaL_Reg methods[] = {{"wait", response_wait},     {"text", response_text},
                                     {"read", response_read},     {"send", response_send},
                                     {"finish", response_finish}, {"close", response_close},
                                     {"__close", response_close}, {"__gc", collect},
                                     {"__tostring", to_string},   {NULL, NULL}};
  mu_class(L, s, "http.response", methods);
  lua_pushvalue(L, s);
  lua_pushvalue(L, -2);
  lua_getfield(L, -3, "__index");
  lua_pushcclosure(L, get, 3);
  lua_setfield(L, -2, "__index");
}
