/* The coroutine library, where a task must know of it. Upvalue 2 of each function is the original. */
#include "bind/bind.h"

#include <lualib.h>

static int call_original(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* Is L the coroutine of a task itself, which to the script is its main one? */
static bool is_task(lua_State *L, const mu_sched *s) { return s->current && s->current->u.co == L; }

/* Who has seen the coroutine of a task may keep it: it is not reused. */
static int running(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (!is_task(L, s)) return call_original(L);
  s->current->run.flags |= MU_HELD;
  lua_pushthread(L);
  lua_pushboolean(L, 1);
  return 2;
}

static int isyieldable(lua_State *L) {
  mu_sched *s = mu_self(L);
  lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  if (!is_task(co, s)) return call_original(L);
  lua_pushboolean(L, 0);
  return 1;
}

/* A task has no resumer to yield to. */
static int yield(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (is_task(L, s)) return luaL_error(L, "attempt to yield from outside a coroutine");
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
    replace(L, s, "isyieldable", isyieldable);
    replace(L, s, "yield", yield);
  }
  lua_pop(L, 1);
}
