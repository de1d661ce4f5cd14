/* http_server.c: the module "muster.http.server.core": servers. What scripts see is made of it in lua/muster/http. */
#include "bind/http_server.h"

#include <string.h>

static mu_server *check(lua_State *L) { return *(mu_server **)mu_check_object(L, 1); }

/* ---- starting ---- */

static lua_Number number(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  lua_Number value = luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return value;
}

/* The string stays in the table. */
static const char *word(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const char *value = luaL_optstring(L, -1, NULL);
  lua_pop(L, 1);
  return value;
}

static unsigned count(lua_State *L, const char *name) {
  lua_Number n = number(L, name);
  return n < INT32_MAX ? (unsigned)n : INT32_MAX;
}

static void read_options(lua_State *L, mu_server_options *o) {
  lua_Number most = number(L, "max_body"), port = number(L, "port");
  const char *host = word(L, "host");
  *o = (mu_server_options){.key = word(L, "key"),
                           .certificate = word(L, "cert"),
                           .header_size = count(L, "max_header"),
                           .max_body = most < 0x1p63 ? (uint64_t)most : UINT64_MAX,
                           .connections = count(L, "connections"),
                           .idle = count(L, "idle"),
                           .header_timeout = number(L, "header_timeout"),
                           .body_rate = number(L, "body_rate"),
                           .backlog = (int)count(L, "backlog")};
  if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)&o->address) &&
      uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)&o->address))
    luaL_error(L, "serve: %s is not a numeric address", host);
}

/* listen(options) -> server; or nil, code of the system or nil, text. Upvalues: scheduler, metatable, mu_httpd, metatable of
** requests */
static int start(lua_State *L) {
  mu_server_options options;
  const char *problem;
  int code;
  luaL_checktype(L, 1, LUA_TTABLE);
  mu_enter(L, mu_self(L), "serve");
  lua_settop(L, 1);
  read_options(L, &options);
  mu_server **box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = NULL;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 2);
  lua_pushvalue(L, 1); /* whose strings are used */
  lua_setiuservalue(L, 2, 1);
  *box = mu_server_start(lua_touserdata(L, lua_upvalueindex(3)), &options, &code, &problem);
  if (*box) return 1;
  lua_pushnil(L);
  if (code) lua_pushstring(L, uv_err_name(code));
  else lua_pushnil(L);
  lua_pushstring(L, problem);
  return 3;
}

/* ---- requests ---- */

/* Stack: server, owner. */
static int push_request(lua_State *L) {
  mu_server *server = *(mu_server **)lua_touserdata(L, 1);
  mu_request **box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = NULL;
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  *box = mu_server_take(server);
  if (!*box) lua_pushnil(L);
  return 1;
}

static int arrived(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  return push_request(L);
}

/* server:accept(owner) -> request; nil: the server is closed. Upvalue 3: the metatable of requests */
static int server_accept(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_server *server = check(L);
  mu_task *t = mu_enter(L, s, "accept");
  lua_settop(L, 2);
  if (!server || !server->daemon || !mu_list_empty(&server->arrived)) {
    if (!server || !server->daemon) return lua_pushnil(L), 1;
    return push_request(L);
  }
  mu_server_wait(L, s, t, &server->acceptor, "accept");
  return mu_park(L, s, 0, arrived);
}

/* ---- its end ---- */

static int quiet(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  return 0;
}

/* server:drain(): listens no more, and waits until no request is left */
static int server_drain(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_server *server = check(L);
  mu_task *t = mu_enter(L, s, "stop");
  lua_settop(L, 1);
  if (!server || !server->daemon) return 0;
  mu_server_drain(server);
  if (server->active == 0) return 0;
  mu_server_wait(L, s, t, &server->idler, "stop");
  return mu_park(L, s, 0, quiet);
}

static int server_close(lua_State *L) {
  mu_server *server = check(L);
  if (server) mu_server_close(server);
  return 0;
}

static int server_collect(lua_State *L) {
  mu_server **box = mu_check_object(L, 1);
  if (!*box) return 0;
  mu_server_close(*box);
  mu_server_release(*box);
  *box = NULL;
  return 0;
}

/* -> port, number of requests, is it closed? */
static int server_state(lua_State *L) {
  mu_server *server = check(L);
  lua_pushinteger(L, server ? server->port : 0);
  lua_pushinteger(L, server ? (lua_Integer)server->active : 0);
  lua_pushboolean(L, !server || !server->daemon);
  return 3;
}

void mu_open_http_server(lua_State *L, int s, mu_httpd *all) {
  static const luaL_Reg methods[] = {{"drain", server_drain},  {"close", server_close},
                                     {"state", server_state},  {"__close", server_close},
                                     {"__gc", server_collect}, {NULL, NULL}};
  lua_newtable(L);
  int module = lua_gettop(L);
  mu_class(L, s, "http.server", methods);
  mu_server_request_class(L, s);
  lua_getfield(L, module + 1, "__index");
  lua_pushvalue(L, s);
  lua_pushvalue(L, module + 1);
  lua_pushvalue(L, module + 2);
  lua_pushcclosure(L, server_accept, 3);
  lua_setfield(L, -2, "accept");
  lua_pushvalue(L, s);
  lua_pushvalue(L, module + 1);
  lua_pushlightuserdata(L, all);
  lua_pushcclosure(L, start, 3);
  lua_setfield(L, module, "listen");
  lua_pushvalue(L, module + 2);
  lua_setfield(L, module, "request");
  lua_settop(L, module);
}
