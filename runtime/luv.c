/* luv.c: libuv for scripts, as the module "luv", on the runtime's own loop.
**
** luv 1.44 takes every handle of its loop for one of its own, so that its `walk` would crash on the runtime's: it is
** replaced by one that knows them. */
#include "runtime.h"

#include <lauxlib.h>
#include <luv/lhandle.h>
#include <luv/luv.h>

typedef struct {
  lua_State *L;
  const mu_loop *loop;
} walk_state;

/* Appends the userdata of a luv handle to the list on top of the stack. */
static void collect(uv_handle_t *handle, void *arg) {
  walk_state *w = arg;
  luv_handle_t *luv = mu_loop_owns(w->loop, handle) ? NULL : handle->data;
  if (!luv) return;
  lua_rawgeti(w->L, LUA_REGISTRYINDEX, luv->ref);
  lua_rawseti(w->L, -2, (lua_Integer)lua_rawlen(w->L, -2) + 1);
}

/* walk(fn): calls fn(handle) for each handle of the script. */
static int walk(lua_State *L) {
  muster *m = muster_of(L);
  if (!m) return luaL_error(L, "walk: the runtime is closed");
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_newtable(L);
  uv_walk(&m->loop.uv, collect, &(walk_state){L, &m->loop});
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_pushvalue(L, 1);
    lua_rawgeti(L, 2, i);
    lua_call(L, 1, 0);
  }
  return 0;
}

static int open_luv(lua_State *L) {
  luaopen_luv(L);
  lua_pushcfunction(L, walk);
  lua_setfield(L, -2, "walk");
  return 1;
}

lua_CFunction mu_prepare_luv(lua_State *L, muster *m) {
  luv_set_loop(L, &m->loop.uv);
  return open_luv;
}
