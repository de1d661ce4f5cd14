/* libraries.c: what scripts can require without installing anything. */
#include "bind/bind.h"
#include "bind/digest.h"
#include "bind/embedded.h"
#include "bind/http.h"
#include "bind/http_server.h"
#include "bind/json.h"
#include "bind/store.h"
#include "runtime.h"

#include <lua-cjson.h>
#include <lua-lpeg.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

/* ---- what luaL_newstate would have set up ---- */

static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fprintf(stderr, "PANIC: unprotected error in call to Lua API (%s)\n", message ? message : "not a string");
  return 0; /* aborts */
}

typedef struct {
  lua_State *L;
  bool on, continues;
} warner;

/* As the standard interpreter: "@on" and "@off" control, anything else is printed, in pieces if tocont. */
static void warn(void *data, const char *message, int tocont) {
  warner *w = data;
  bool begins = !w->continues;
  w->continues = tocont;
  if (begins && !tocont && message[0] == '@') {
    if (strcmp(message, "@on") == 0) w->on = true;
    if (strcmp(message, "@off") == 0) w->on = false;
    return;
  }
  if (!w->on) return;
  fprintf(stderr, "%s%s%s", begins ? "Lua warning: " : "", message, tocont ? "" : "\n");
}

void mu_set_panic_and_warnings(lua_State *L) {
  lua_atpanic(L, panic);
  warner *w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = (warner){.L = L};
  lua_rawsetp(L, LUA_REGISTRYINDEX, w);
  lua_setwarnf(L, warn, w);
}

/* ---- the embedded library ---- */

static const mu_embedded_module *find_embedded(const char *name) {
  for (const mu_embedded_module *m = mu_embedded; m->name; m++)
    if (strcmp(m->name, name) == 0) return m;
  return NULL;
}

/* A searcher for require. name -> loader, where; upvalue 1: the directory that replaces the embedded files, or nil */
static int search_embedded(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const mu_embedded_module *m = find_embedded(name);
  if (!m || m->is_text) return 0; /* says nothing: the message of require is that of stock Lua */
  const char *directory = lua_tostring(L, lua_upvalueindex(1));
  const char *file = lua_pushfstring(L, "%s/%s", directory ? directory : "", m->path);
  const char *chunk = lua_pushfstring(L, "=%s", m->path); /* no file: a script may lie in muster/ too */
  int rc =
      directory ? luaL_loadfile(L, file) : luaL_loadbufferx(L, (const char *)m->code, m->size, chunk, "t");
  if (rc != LUA_OK) return lua_error(L);
  lua_pushstring(L, m->path);
  return 2;
}

static void add_searcher(lua_State *L, const char *directory) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
    lua_geti(L, -1, i);
    lua_seti(L, -2, i + 1);
  }
  lua_pushstring(L, directory);
  lua_pushcclosure(L, search_embedded, 1);
  lua_seti(L, -2, 2); /* after package.preload */
  lua_pop(L, 2);
}

static int open_core(lua_State *L) {
  mu_open_core(L, lua_upvalueindex(1));
  return 1;
}

static int open_http(lua_State *L) {
  mu_open_http(L, lua_upvalueindex(1), lua_touserdata(L, lua_upvalueindex(2)));
  return 1;
}

static int open_http_server(lua_State *L) {
  mu_open_http_server(L, lua_upvalueindex(1), lua_touserdata(L, lua_upvalueindex(2)));
  return 1;
}

static int open_store(lua_State *L) {
  mu_open_store(L, lua_upvalueindex(1), lua_touserdata(L, lua_upvalueindex(2)));
  return 1;
}

static int open_json(lua_State *L) {
  mu_open_json(L, lua_upvalueindex(1));
  return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction open) {
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
}

static void preload_linked(lua_State *L, muster *m, int sched) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  preload(L, "lpeg", luaopen_lpeg);
  preload(L, "cjson", luaopen_cjson);
  preload(L, "luv", mu_prepare_luv(L, m));
  preload(L, "muster.digest", mu_open_digest);
  preload(L, "muster.host", mu_open_host);
  lua_pushvalue(L, sched);
  lua_pushcclosure(L, open_core, 1);
  lua_setfield(L, -2, "muster.core");
  lua_pushvalue(L, sched);
  lua_pushcclosure(L, open_json, 1);
  lua_setfield(L, -2, "muster.json.core");
  lua_pushvalue(L, sched);
  lua_pushlightuserdata(L, &m->http);
  lua_pushcclosure(L, open_http, 2);
  lua_setfield(L, -2, "muster.http.core");
  lua_pushvalue(L, sched);
  lua_pushlightuserdata(L, &m->httpd);
  lua_pushcclosure(L, open_http_server, 2);
  lua_setfield(L, -2, "muster.http.server.core");
  lua_pushvalue(L, sched);
  lua_pushlightuserdata(L, &m->store);
  lua_pushcclosure(L, open_store, 2);
  lua_setfield(L, -2, "muster.store.core");
  lua_pop(L, 1);
}

/* ---- when the state outlives the runtime ---- */

static void clear(lua_State *L, const char *name) {
  lua_pushnil(L);
  lua_setfield(L, -2, name);
}

/* Removes our modules from the table of loaded ones on top: another runtime brings its own. */
static void clear_modules(lua_State *L) {
  for (const mu_embedded_module *m = mu_embedded; m->name; m++)
    if (strncmp(m->name, "muster", 6) == 0) clear(L, m->name);
  clear(L, "muster.digest");
  clear(L, "muster.host");
  clear(L, "muster.core");
  clear(L, "muster.json.core");
  clear(L, "muster.http.core");
  clear(L, "muster.http.server.core");
  clear(L, "muster.store.core");
}

static void remove_searcher(lua_State *L) {
  lua_getfield(L, -1, "searchers");
  lua_Integer to = 1, n = luaL_len(L, -1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, -1, i);
    if (lua_tocfunction(L, -1) == search_embedded) lua_pop(L, 1);
    else lua_seti(L, -2, to++);
  }
  for (; to <= n; to++) {
    lua_pushnil(L);
    lua_seti(L, -2, to);
  }
  lua_pop(L, 1);
}

int mu_close_libraries(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  clear_modules(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  clear_modules(L);
  if (lua_getglobal(L, LUA_LOADLIBNAME) == LUA_TTABLE) remove_searcher(L);
  lua_settop(L, 0);
  mu_unbind_coroutine(L);
  mu_unbind_require(L);
  return 0;
}

void mu_open_libraries(lua_State *L, muster *m, int sched) {
  if (m->owns_state) {
    luaL_openlibs(L);
    mu_open_exit(L);
  }
  preload_linked(L, m, sched);
  if (lua_getglobal(L, LUA_LOADLIBNAME) == LUA_TTABLE) add_searcher(L, m->config.module_path);
  lua_settop(L, sched);
  mu_bind_coroutine(L, sched);
  mu_bind_require(L, sched);
}

/* ---- muster.host ---- */

/* Raises if it has been closed: then only the state is left. */
static muster *host_of(lua_State *L) {
  muster *m = muster_of(L);
  if (!m || !m->s) luaL_error(L, "muster.host: the runtime is closed");
  return m;
}

static int set_virtual(lua_State *L) {
  muster *m = host_of(L);
  bool before = m->loop.is_virtual;
  mu_loop_set_virtual(&m->loop, lua_toboolean(L, 1));
  lua_pushboolean(L, before);
  return 1;
}

/* -> a table of counters, those of muster_stats_t and: daemons (of the tasks alive), handles (of libuv, active),
** busy (any I/O pending?) */
static int stats(lua_State *L) {
  muster_stats_t st;
  muster_stats(host_of(L), &st);
  const struct {
    const char *name;
    lua_Integer value;
  } fields[] = {{"turns", (lua_Integer)st.turns},
                {"resumes", (lua_Integer)st.resumes},
                {"tasks", (lua_Integer)st.tasks},
                {"alive", (lua_Integer)st.alive},
                {"peak", (lua_Integer)st.peak},
                {"coroutines", (lua_Integer)st.coroutines},
                {"timers", (lua_Integer)st.timers},
                {"ops", (lua_Integer)st.ops},
                {"stacks", (lua_Integer)st.stacks},
                {"unhandled", (lua_Integer)st.unhandled},
                {"daemons", (lua_Integer)host_of(L)->s->daemons},
                {"handles", (lua_Integer)mu_loop_handles(&host_of(L)->loop)}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    lua_pushinteger(L, fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
  lua_pushboolean(L, mu_loop_busy(&host_of(L)->loop));
  lua_setfield(L, -2, "busy");
  return 1;
}

static int report(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)muster_report(host_of(L)));
  return 1;
}

/* seed [, the one that it began with] -> the same of before; a seed of 0 is first in, first out */
static int set_seed(lua_State *L) {
  muster *m = host_of(L);
  lua_Integer seed = luaL_checkinteger(L, 1), first = luaL_optinteger(L, 2, seed);
  lua_pushinteger(L, (lua_Integer)m->s->seed);
  lua_pushinteger(L, (lua_Integer)m->config.seed);
  m->s->seed = (uint64_t)seed;
  m->config.seed = (uint64_t)first;
  return 2;
}

/* text -> ; goes where reports go */
static int say(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  mu_sched *s = host_of(L)->s;
  s->hooks.report(s->hooks.data, text, n);
  return 0;
}

/* task -> does the program end without waiting for it? */
static int is_daemon(lua_State *L) {
  mu_task *t = mu_totask(L, host_of(L)->s, 1);
  luaL_argexpected(L, t, 1, "task");
  lua_pushboolean(L, t->run.flags & MU_DAEMON);
  return 1;
}

/* name -> the text of an embedded file, or nil; nil, the path of the file that replaces it */
static int source(lua_State *L) {
  const mu_embedded_module *m = find_embedded(luaL_checkstring(L, 1));
  const char *directory = host_of(L)->config.module_path;
  if (!m) return lua_pushnil(L), 1;
  if (!directory) return lua_pushlstring(L, (const char *)m->code, m->size), 1;
  lua_pushnil(L);
  lua_pushfstring(L, "%s/%s", directory, m->path);
  return 2;
}

/* [texts] -> the names of the embedded modules, or of the texts that are no modules: the stubs */
static int modules(lua_State *L) {
  bool texts = lua_toboolean(L, 1);
  lua_newtable(L);
  lua_Integer n = 0;
  for (const mu_embedded_module *m = mu_embedded; m->name; m++) {
    if ((bool)m->is_text != texts) continue;
    lua_pushstring(L, m->name);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

int mu_open_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"virtual", set_virtual}, {"stats", stats},     {"report", report},
      {"seed", set_seed},       {"say", say},         {"is_daemon", is_daemon},
      {"source", source},       {"modules", modules}, {"keep_signal", mu_keep_signal},
      {"seek", mu_seek},        {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_pushliteral(L, MUSTER_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
