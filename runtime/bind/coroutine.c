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

/* Who has seen the coroutine of a task may keep it: it is not reused, and only the scheduler resumes it. */
static int running(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (!is_task(L, s)) return call_original(L);
  mu_push_root(s, L, MU_ROOT_HELD);
  lua_pushthread(L);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  s->any_held = true;
  s->current->run.flags |= MU_HELD;
  lua_pushthread(L);
  lua_pushboolean(L, 1);
  return 2;
}

static int isyieldable(lua_State *L) {
  mu_sched *s = mu_self(L);
  lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  lua_pushboolean(L, !is_task(co, s) && lua_isyieldable(co));
  return 1;
}

/* A task has no resumer to yield to. */
static int yield(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (is_task(L, s)) return luaL_error(L, "attempt to yield from outside a coroutine");
  return lua_yield(L, lua_gettop(L));
}

/* Is the coroutine at index 1 that of a task which has not ended? */
static bool is_alive_task(lua_State *L, mu_sched *s, lua_State *co) {
  if (!s->any_held || s->closed || (lua_status(co) == LUA_OK && lua_gettop(co) == 0)) return false;
  mu_push_root(s, L, MU_ROOT_HELD);
  lua_pushvalue(L, 1);
  bool held = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 2);
  return held;
}

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  return co;
}

static int refused(lua_State *L, const char *message) {
  lua_pushboolean(L, 0);
  lua_pushstring(L, message);
  return 2;
}

/* resume(co, ...) -> true, what it yields or returns; false, error */
static int resume(lua_State *L) {
  lua_State *co = check_coroutine(L);
  int n = lua_gettop(L) - 1;
  if (is_alive_task(L, mu_self(L), co)) return refused(L, "cannot resume the coroutine of a task");
  if (!lua_checkstack(co, n)) return refused(L, "too many arguments to resume");
  lua_xmove(L, co, n);
  int status = mu_resume_inner(L, co, n, &n);
  if (status != LUA_OK && status != LUA_YIELD) {
    if (co != L) lua_xmove(co, L, 1); /* a coroutine may try to resume itself */
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  if (!lua_checkstack(L, n + 1)) {
    lua_pop(co, n);
    return refused(L, "too many results to resume");
  }
  lua_pushboolean(L, 1);
  lua_xmove(co, L, n);
  return n + 1;
}

static int close(lua_State *L) {
  lua_State *co = check_coroutine(L);
  if (co != L && is_alive_task(L, mu_self(L), co))
    return luaL_error(L, "cannot close the coroutine of a task");
  return call_original(L);
}

static void replace(lua_State *L, int s, const char *name, lua_CFunction f) {
  lua_pushvalue(L, s);
  lua_getfield(L, -2, name);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

static void put_back(lua_State *L, const char *name, lua_CFunction f) {
  lua_getfield(L, -1, name);
  if (lua_tocfunction(L, -1) == f && lua_getupvalue(L, -1, 2)) lua_setfield(L, -3, name);
  lua_pop(L, 1);
}

void mu_unbind_coroutine(lua_State *L) {
  if (lua_getglobal(L, LUA_COLIBNAME) == LUA_TTABLE) {
    put_back(L, "running", running);
    put_back(L, "resume", resume);
    put_back(L, "close", close);
    put_back(L, "isyieldable", isyieldable);
    put_back(L, "yield", yield);
  }
  lua_pop(L, 1);
}

void mu_bind_coroutine(lua_State *L, int s) {
  if (lua_getglobal(L, LUA_COLIBNAME) == LUA_TTABLE) {
    replace(L, s, "running", running);
    replace(L, s, "resume", resume);
    replace(L, s, "close", close);
    replace(L, s, "isyieldable", isyieldable);
    replace(L, s, "yield", yield);
  }
  lua_pop(L, 1);
}
