/* http_server_request.c: requests of an HTTP server, as the handler's task has them. */
#include "bind/http_server.h"

enum { MOST_HEADERS = 200 }; /* of a response */

static mu_request *check(lua_State *L) {
  mu_request *r = *(mu_request **)mu_check_object(L, 1);
  if (!r) luaL_error(L, "the request is gone");
  return r;
}

/* ---- what came ---- */

typedef struct {
  lua_State *L;
  lua_Integer n;
} collecting;

static enum MHD_Result collect(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  collecting *c = cls;
  (void)kind;
  lua_pushstring(c->L, name);
  lua_rawseti(c->L, -2, ++c->n);
  lua_pushstring(c->L, value ? value : "");
  lua_rawseti(c->L, -2, ++c->n);
  return MHD_YES;
}

/* request:begin() -> method, target, version, {name, value, …}; the running task works on it. Nothing if the client has
** gone away. */
static int request_begin(lua_State *L) {
  mu_request *r = check(L);
  mu_task *t = mu_enter(L, mu_self(L), "handler");
  if (!r->connection || r->gone) return 0;
  r->task = t;
  lua_pushstring(L, r->method);
  lua_pushstring(L, r->target);
  lua_pushstring(L, r->version);
  lua_newtable(L);
  collecting c = {L, 0};
  r->server->all->mhd.get_connection_values(r->connection, MHD_HEADER_KIND, collect, &c);
  return 4;
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

/* The table of names and values at index, which keeps them. Raises. -> how many pairs */
static size_t headers_at(lua_State *L, int index, const char **list) {
  luaL_checktype(L, index, LUA_TTABLE);
  size_t n = (size_t)lua_rawlen(L, index);
  if (n > 2 * MOST_HEADERS) luaL_error(L, "more than %d headers", MOST_HEADERS);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    luaL_checktype(L, -1, LUA_TSTRING);
    list[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return n / 2;
}

static int refused(lua_State *L) {
  return luaL_error(L, "the response is refused: out of memory, or a header is not allowed");
}

/* request:respond(status, headers, body) */
static int request_respond(lua_State *L) {
  const char *headers[2 * MOST_HEADERS];
  mu_request *r = check(L);
  size_t size;
  unsigned status = (unsigned)luaL_checkinteger(L, 2);
  size_t n = headers_at(L, 3, headers);
  const char *body = luaL_checklstring(L, 4, &size);
  if (r->answered) return luaL_error(L, "the request has been answered already");
  if (!mu_request_respond(r, status, headers, n, body, size)) return refused(L);
  return 0;
}

/* request:stream(status, headers [, size]) */
static int request_stream(lua_State *L) {
  const char *headers[2 * MOST_HEADERS];
  mu_request *r = check(L);
  unsigned status = (unsigned)luaL_checkinteger(L, 2);
  size_t n = headers_at(L, 3, headers);
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

/* request:done(): the task has done with it */
static int request_done(lua_State *L) {
  mu_request_done(check(L));
  return 0;
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
  static const luaL_Reg methods[] = {{"begin", request_begin},
                                     {"read", request_read},
                                     {"respond", request_respond},
                                     {"stream", request_stream},
                                     {"write", request_write},
                                     {"finish", request_finish},
                                     {"cut", request_cut},
                                     {"done", request_done},
                                     {"state", request_state},
                                     {"__gc", request_collect},
                                     {NULL, NULL}};
  mu_class(L, s, "http.server.request", methods);
}
