/* The coroutine library, where a task must know of it. Upvalue 2 of each function is the original. */
#include "bind/bind.h"

#include <lualib.h>

static int call_original(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* Who has seen the coroutine of a task may keep it: it is not reused. */
static int running(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (s->current && s->current->u.co == L) s->current->run.flags |= MU_HELD;
  return call_original(L);
}

/* A task has no resumer to yield to. */
static int yield(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (s->current && s->current->u.co == L) return luaL_error(L, "attempt to yield from outside a coroutine");
  return lua_yield(L, lua_gettop(L));
}

static void replace(lua_State *L, int s, const char *name, lua_CFunction f) {
  lua_pushvalue(L, s);
  lua_getfield(L, -2, name);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

void mu_bind_coroutine(lua_State *L, int s) {
  if (lua_getglobal(L, LUA_COLIBNAME) == LUA_TTABLE) {
    replace(L, s, "running", running);
    replace(L, s, "yield", yield);
  }
  lua_pop(L, 1);
}
