/* http.c: the module "muster.http.core": clients and settings of the HTTP client. What scripts see is made of it in
** lua/muster/http. Upvalue 2 of the constructors is the runtime's mu_http. */
#include "bind/http.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* ---- settings ---- */

static const char SETTINGS[] = "muster.http.settings"; /* the name of their metatable */

static double seconds(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  double value = luaL_optnumber(L, -1, HUGE_VAL);
  lua_pop(L, 1);
  return value;
}

/* The string stays in the table, which the settings keep. */
static const char *word(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const char *value = luaL_optstring(L, -1, NULL);
  lua_pop(L, 1);
  return value;
}

static lua_Number number(lua_State *L, const char *name, lua_Number otherwise) {
  lua_getfield(L, 1, name);
  lua_Number value = luaL_optnumber(L, -1, otherwise);
  lua_pop(L, 1);
  return value;
}

static bool flag(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* settings(table) -> settings; the table must not change any more */
static int settings(lua_State *L) {
  mu_http *http = lua_touserdata(L, lua_upvalueindex(2));
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Number most = number(L, "max_body", HUGE_VAL), follow = number(L, "follow", 0);
  mu_http_settings *st = lua_newuserdatauv(L, sizeof *st, 1);
  *st = (mu_http_settings){.id = ++http->settings,
                           .connect = seconds(L, "connect"),
                           .first_byte = seconds(L, "first_byte"),
                           .idle = seconds(L, "idle"),
                           .total = seconds(L, "total"),
                           .max_body = most < 0x1p63 ? (uint64_t)most : UINT64_MAX,
                           .follow = follow < 1000000 ? (long)follow : 1000000,
                           .http1 = flag(L, "http1"),
                           .insecure = flag(L, "insecure"),
                           .headers = word(L, "headers"),
                           .proxy = word(L, "proxy"),
                           .ca = word(L, "ca"),
                           .ca_directory = word(L, "ca_directory"),
                           .cert = word(L, "cert"),
                           .key = word(L, "key"),
                           .password = word(L, "password")};
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, SETTINGS);
  return 1;
}

/* ---- clients ---- */

static uint32_t limit(lua_State *L, int index) {
  lua_Number n = luaL_optnumber(L, index, HUGE_VAL);
  return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* client([per_host [, total [, keep]]]) -> client. Upvalue 3: its metatable. */
static int client(lua_State *L) {
  mu_http *http = lua_touserdata(L, lua_upvalueindex(2));
  const char *problem = NULL;
  if (http->closed) return luaL_error(L, "http.client: the runtime is closed");
  uint32_t per_host = limit(L, 1), total = limit(L, 2);
  mu_http_client **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  mu_http_client *c = mu_http_client_new(http, per_host, total, luaL_optnumber(L, 3, HUGE_VAL), &problem);
  if (!c) return luaL_error(L, "http.client: %s", problem);
  c->box = box;
  *box = c;
  return 1;
}

static int client_close(lua_State *L) {
  mu_http_client **box = mu_check_object(L, 1);
  if (*box) mu_http_client_close(*box);
  return 0;
}

/* client:encodings() -> those of bodies that libcurl knows, as a request asks for them. libcurl could ask by itself, but
** writes that anew for each request. */
static int client_encodings(lua_State *L) {
  static const struct {
    int feature;
    const char *name;
  } known[] = {{CURL_VERSION_LIBZ, "gzip"}, {CURL_VERSION_BROTLI, "br"}, {CURL_VERSION_ZSTD, "zstd"}};
  mu_http_client **box = mu_check_object(L, 1);
  luaL_argcheck(L, *box, 1, "the client is closed");
  int features = (*box)->http->curl.version_info(CURLVERSION_NOW)->features, n = 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (!(features & known[i].feature)) continue;
    lua_pushfstring(L, n++ ? ", %s" : "%s", known[i].name);
  }
  if (n == 0) lua_pushliteral(L, "identity");
  lua_concat(L, n ? n : 1);
  return 1;
}

/* ---- requests ---- */

/* Keeps what the request of the response on top points to. Stack: client, settings, method, url, headers, body. */
static void keep(lua_State *L) {
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, MU_RESPONSE_CLIENT);
  lua_pushvalue(L, 4);
  lua_setiuservalue(L, -2, MU_RESPONSE_URL);
  lua_pushvalue(L, 2);
  if (!lua_isnil(L, 3) || !lua_isnil(L, 5) || !lua_isnil(L, 6)) {
    lua_createtable(L, 4, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    for (int i = 3; i <= 6; i++) {
      if (i == 4) continue;
      lua_pushvalue(L, i);
      lua_rawseti(L, -2, i - 1);
    }
  }
  lua_setiuservalue(L, -2, MU_RESPONSE_REQUEST);
}

/* Starts the exchange of the same stack; pushes its response. Upvalue 3: the metatable of responses. */
static void start(lua_State *L, const char *body, size_t size, bool streamed, int64_t length) {
  mu_http_client **box = mu_check_object(L, 1);
  mu_http_request request = {.settings = luaL_checkudata(L, 2, SETTINGS),
                             .method = luaL_optstring(L, 3, "GET"),
                             .url = luaL_checkstring(L, 4),
                             .headers = luaL_optstring(L, 5, NULL),
                             .body = body,
                             .size = size,
                             .streamed = streamed,
                             .length = length};
  mu_http_exchange *x = lua_newuserdatauv(L, sizeof *x, MU_RESPONSE_VALUES);
  memset(x, 0, sizeof *x);
  keep(L);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  mu_http_start(*box, x, &request);
}

/* A URL of HTTP, with a host, and without what would end it in a request. Raises if it is no string. */
static bool is_good(lua_State *L, int index) {
  size_t length;
  const char *url = luaL_checklstring(L, index, &length);
  if (strlen(url) != length) return false;
  if (strncasecmp(url, "http", 4) != 0) return false;
  const char *rest = url + (url[4] == 's' || url[4] == 'S' ? 5 : 4);
  if (strncmp(rest, "://", 3) != 0 || strchr("/?#", rest[3])) return false;
  for (rest += 3; *rest; rest++)
    if ((unsigned char)*rest <= ' ' || *rest == 0x7f) return false;
  return true;
}

/* -> nil, error */
static int refuse(lua_State *L, mu_http_kind kind, const char *text) {
  lua_pushnil(L);
  mu_http_push_failure(L, kind, kind == MU_HTTP_BAD_URL ? "url" : "queue", lua_tostring(L, 4), text);
  return 2;
}

/* client:fetch(settings, method, url, headers, body) -> response; or nil, error. method: nil is GET; headers: lines, each
** ended by a zero; body: a string or nil */
static int client_fetch(lua_State *L) {
  mu_sched *s = mu_self(L);
  size_t size = 0;
  mu_task *t = mu_enter(L, s, "http");
  mu_check_wait(L, s, "http");
  lua_settop(L, 6);
  const char *body = luaL_optlstring(L, 6, NULL, &size);
  if (!is_good(L, 4)) return refuse(L, MU_HTTP_BAD_URL, "it is not a URL of HTTP");
  if (!*(mu_http_client **)mu_check_object(L, 1)) return refuse(L, MU_HTTP_CLOSED, "the client is closed");
  start(L, body, size, false, 0);
  return mu_response_await(L, s, t, 7);
}

/* client:open(settings, method, url, headers, length) -> response, without waiting, its request's body to be sent; or nil,
** error. length: of that body, if it is known */
static int client_open(lua_State *L) {
  mu_enter(L, mu_self(L), "http");
  lua_settop(L, 6);
  int64_t length = luaL_optinteger(L, 6, -1);
  if (!is_good(L, 4)) return refuse(L, MU_HTTP_BAD_URL, "it is not a URL of HTTP");
  if (!*(mu_http_client **)mu_check_object(L, 1)) return refuse(L, MU_HTTP_CLOSED, "the client is closed");
  start(L, NULL, 0, true, length);
  return 1;
}

/* failure(kind, phase, url, text) -> error, for what Lua finds wrong */
static int failure(lua_State *L) {
  static const char *const names[] = {"bad_url", "protocol", "file", NULL};
  static const mu_http_kind numbers[] = {MU_HTTP_BAD_URL, MU_HTTP_PROTOCOL, MU_HTTP_FILE};
  mu_http_kind kind = numbers[luaL_checkoption(L, 1, NULL, names)];
  const char *phase = luaL_checkstring(L, 2), *url = luaL_checkstring(L, 3), *text = luaL_checkstring(L, 4);
  mu_http_push_failure(L, kind, phase, url, text);
  return 1;
}

/* ---- the module ---- */

/* Adds a method with upvalue 3 to the metatable at index meta. */
static void add_method(lua_State *L, int s, int meta, int upvalue, const char *name, lua_CFunction fn) {
  lua_getfield(L, meta, "__index");
  lua_pushvalue(L, s);
  lua_pushvalue(L, meta);
  lua_pushvalue(L, upvalue);
  lua_pushcclosure(L, fn, 3);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static void add_function(lua_State *L, int s, mu_http *http, int upvalue, const char *name,
                         lua_CFunction fn) {
  lua_pushvalue(L, s);
  lua_pushlightuserdata(L, http);
  lua_pushvalue(L, upvalue);
  lua_pushcclosure(L, fn, 3);
  lua_setfield(L, -2, name);
}

void mu_open_http(lua_State *L, int s, mu_http *http) {
  static const luaL_Reg methods[] = {{"close", client_close},
                                     {"__close", client_close},
                                     {"__gc", client_close},
                                     {"encodings", client_encodings},
                                     {NULL, NULL}};
  luaL_newmetatable(L, SETTINGS);
  lua_newtable(L);
  int module = lua_gettop(L);
  mu_response_class(L, s);
  mu_class(L, s, "http.client", methods);
  int response = module + 1, meta = module + 2;
  add_method(L, s, meta, response, "fetch", client_fetch);
  add_method(L, s, meta, response, "open", client_open);
  lua_pushvalue(L, module);
  add_function(L, s, http, meta, "client", client);
  add_function(L, s, http, meta, "settings", settings);
  lua_pushcfunction(L, failure);
  lua_setfield(L, module, "failure");
  lua_getfield(L, response, "__index");
  lua_getupvalue(L, -1, 3);
  lua_setfield(L, module, "methods"); /* of responses, to add to */
  lua_settop(L, module);
}
