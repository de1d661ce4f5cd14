/* http_server_request.c: requests of an HTTP server, as the handler's task has them. */
#include "bind/http_server.h"

#include <netinet/in.h>
#include <string.h>

enum { MOST_HEADERS = 200 }; /* of a response */

static mu_request *check(lua_State *L) {
  mu_request *r = *(mu_request **)mu_check_object(L, 1);
  if (!r) luaL_error(L, "the request is gone");
  return r;
}

/* ---- what came ---- */

/* request:begin() -> method, target; the running task works on it. Nothing if the client has gone away. */
static int request_begin(lua_State *L) {
  mu_request *r = check(L);
  mu_task *t = mu_enter(L, mu_self(L), "handler");
  if (!r->connection || r->gone) return 0;
  r->task = t;
  lua_pushstring(L, r->method);
  lua_pushstring(L, r->target);
  return 2;
}

/* request:headers() -> {name, value, …} */
static int request_headers(lua_State *L) {
  mu_request *r = check(L);
  const char *text = r->headers;
  lua_createtable(L, (int)r->header_count * 2, 0);
  for (size_t i = 0; i < 2 * r->header_count; i++) {
    lua_pushstring(L, text);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
    text += strlen(text) + 1;
  }
  return 1;
}

static int request_version(lua_State *L) {
  lua_pushstring(L, check(L)->version);
  return 1;
}

/* request:remote() -> address, port */
static int request_remote(lua_State *L) {
  mu_request *r = check(L);
  char text[INET6_ADDRSTRLEN] = "";
  bool six = r->from.ss_family == AF_INET6;
  if (six) uv_ip6_name((struct sockaddr_in6 *)&r->from, text, sizeof text);
  else uv_ip4_name((struct sockaddr_in *)&r->from, text, sizeof text);
  lua_pushstring(L, text);
  lua_pushinteger(L, ntohs(six ? ((struct sockaddr_in6 *)&r->from)->sin6_port
                               : ((struct sockaddr_in *)&r->from)->sin_port));
  return 2;
}

static int push_some(lua_State *L, int status, lua_KContext ctx) {
  mu_request *r = *(mu_request **)lua_touserdata(L, 1);
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  size_t size = r->in.to - r->in.from;
  if (r->too_large) return lua_pushnil(L), lua_pushliteral(L, "too_large"), 2;
  if (size) {
    lua_pushlstring(L, r->in.data + r->in.from, size);
    mu_request_took(r);
    return 1;
  }
  lua_pushnil(L);
  if (r->body_done) return 1;
  lua_pushliteral(L, "reset");
  return 2;
}

/* request:read() -> what has come of the body, at least a byte; nil at its end; nil and "too_large" or "reset" */
static int request_read(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_request *r = check(L);
  mu_task *t = mu_enter(L, s, "read");
  lua_settop(L, 1);
  bool ready = r->in.to > r->in.from || r->body_done || r->too_large || r->gone || !r->connection;
  if (ready) return push_some(L, LUA_OK, 0);
  mu_server_wait(L, s, t, &r->reader, "read");
  return mu_park(L, s, 0, push_some);
}

/* ---- what goes ---- */

/* The table of names and values at index, which keeps them. They must fit into the memory that the connection has for
** heads, else the library closes it without a word. Raises. -> how many pairs */
static size_t headers_at(lua_State *L, const mu_request *r, int index, const char **list) {
  luaL_checktype(L, index, LUA_TTABLE);
  size_t n = (size_t)lua_rawlen(L, index), size = 0, most = r->server->options.header_size / 2;
  if (n > 2 * MOST_HEADERS) luaL_error(L, "more than %d headers", MOST_HEADERS);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    luaL_checktype(L, -1, LUA_TSTRING);
    list[i] = lua_tostring(L, -1);
    size += lua_rawlen(L, -1) + 2;
    lua_pop(L, 1);
  }
  if (size > most) luaL_error(L, "the headers are larger than %d bytes, half of max_header", (int)most);
  return n / 2;
}

static int refused(lua_State *L) {
  return luaL_error(L, "the response is refused: out of memory, or a header is not allowed");
}

/* request:respond(status, headers, body): nothing if the body was too large, and `refusing` is not set */
static int request_respond(lua_State *L) {
  const char *headers[2 * MOST_HEADERS];
  mu_request *r = check(L);
  size_t size;
  unsigned status = (unsigned)luaL_checkinteger(L, 2);
  size_t n = headers_at(L, r, 3, headers);
  const char *body = luaL_checklstring(L, 4, &size);
  if (r->too_large && !lua_toboolean(L, 5)) return 0;
  if (r->answered) return luaL_error(L, "the request has been answered already");
  if (!mu_request_respond(r, status, headers, n, body, size)) return refused(L);
  return 0;
}

/* request:stream(status, headers [, size]) */
static int request_stream(lua_State *L) {
  const char *headers[2 * MOST_HEADERS];
  mu_request *r = check(L);
  unsigned status = (unsigned)luaL_checkinteger(L, 2);
  size_t n = headers_at(L, r, 3, headers);
  lua_Integer size = luaL_optinteger(L, 4, -1);
  if (r->answered) return luaL_error(L, "the request has been answered already");
  if (!mu_request_stream(r, status, headers, n, size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)size))
    return refused(L);
  return 0;
}

static int written(lua_State *L, int status, lua_KContext ctx) {
  mu_request *r = *(mu_request **)lua_touserdata(L, 1);
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  lua_pushboolean(L, !r->gone);
  return 1;
}

/* request:write(chunk) -> is the client there? Waits until there is room for more. */
static int request_write(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_request *r = check(L);
  size_t size;
  const char *chunk = luaL_checklstring(L, 2, &size);
  mu_task *t = mu_enter(L, s, "write");
  lua_settop(L, 2);
  if (r->cut) return lua_pushboolean(L, false), 1;
  if (r->ending) return luaL_error(L, "write: the response has ended");
  if (!mu_request_write(r, chunk, size)) return luaL_error(L, "not enough memory");
  bool room = r->bodyless || r->gone || !r->connection || r->out.to - r->out.from < MU_REQUEST_ROOM;
  if (room) return written(L, LUA_OK, 0);
  mu_server_wait(L, s, t, &r->writer, "write");
  return mu_park(L, s, 0, written);
}

static int request_finish(lua_State *L) {
  mu_request_finish(check(L));
  return 0;
}

/* request:cut(reset): closes the connection */
static int request_cut(lua_State *L) {
  mu_request_cut(check(L), lua_toboolean(L, 2));
  return 0;
}

/* request:done([for_good]) -> true: the task has done with it; false, and no effect: it lacks its response, and is not
** done with for good */
static int request_done(lua_State *L) {
  mu_request *r = check(L);
  bool done = r->answered || r->gone || !r->connection || lua_toboolean(L, 2);
  if (done) mu_request_done(r);
  lua_pushboolean(L, done);
  return 1;
}

/* request:owner() -> what accept was given */
static int request_owner(lua_State *L) {
  check(L);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* -> has it its response? is the client gone? was the body too large? */
static int request_state(lua_State *L) {
  mu_request *r = check(L);
  lua_pushboolean(L, r->answered);
  lua_pushboolean(L, r->gone);
  lua_pushboolean(L, r->too_large);
  return 3;
}

static int request_collect(lua_State *L) {
  mu_request **box = mu_check_object(L, 1);
  mu_request *r = *box;
  *box = NULL;
  if (!r) return 0;
  mu_request_done(r);
  mu_request_release(r);
  return 0;
}

void mu_server_request_class(lua_State *L, int s) {
  static const luaL_Reg methods[] = {
      {"begin", request_begin},     {"headers", request_headers}, {"version", request_version},
      {"remote", request_remote},   {"owner", request_owner},     {"read", request_read},
      {"respond", request_respond}, {"stream", request_stream},   {"write", request_write},
      {"finish", request_finish},   {"cut", request_cut},         {"done", request_done},
      {"state", request_state},     {"__gc", request_collect},    {NULL, NULL}};
  mu_class(L, s, "http.server.request", methods);
}
