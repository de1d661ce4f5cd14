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

/* Has the coroutine L, inside a task, an open scope? Yielding would leave it in force for others. */
static bool in_scope(lua_State *L, const mu_sched *s) {
  return s->current && s->current->scope && s->current->scope->L == L;
}

/* A task has no resumer to yield to. */
static int yield(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (mu_unlikely(in_scope(L, s) && lua_isyieldable(L) && !is_task(L, s)))
    return luaL_error(
        L, "yield: a coroutine does not yield out of a timeout, shield or group that it has begun");
  if (is_task(L, s)) return luaL_error(L, "attempt to yield from outside a coroutine");
  return lua_yield(L, lua_gettop(L));
}

/* Is the coroutine at index 1 that of a suspended task? One that runs, or has ended, is like any other. */
static bool is_suspended_task(lua_State *L, mu_sched *s, lua_State *co) {
  if (!s->any_held || s->closed || lua_status(co) != LUA_YIELD) return false;
  mu_push_root(s, L, MU_ROOT_HELD);
  lua_pushvalue(L, 1);
  bool held = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 2);
  return held;
}

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "thread");
  return co;
}

/* resume(co, ...) -> true, what it yields or returns; false, error */
static int resume(lua_State *L) {
  mu_sched *s = mu_self(L);
  lua_State *co = check_coroutine(L);
  if (is_suspended_task(L, s, co)) {
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "cannot resume the coroutine of a task");
    return 2;
  }
  return mu_coroutine_resume(L, s, co, false);
}

/* Upvalue 2: the coroutine. */
static int wrapped(lua_State *L) {
  return mu_coroutine_resume(L, mu_self(L), lua_tothread(L, lua_upvalueindex(2)), true);
}

/* wrap(fn) -> a function that resumes a coroutine of fn, and raises its error */
static int wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 2);
  return 1;
}

/* To all others, a coroutine that awaits has not yielded. */
static int status(lua_State *L) {
  lua_State *co = check_coroutine(L);
  if (!mu_awaiting_task(mu_self(L), co)) return call_original(L);
  lua_pushliteral(L, "normal");
  return 1;
}

static int close(lua_State *L) {
  mu_sched *s = mu_self(L);
  lua_State *co = check_coroutine(L);
  if (is_suspended_task(L, s, co)) return luaL_error(L, "cannot close the coroutine of a task");
  return mu_awaiting_task(s, co) ? mu_coroutine_close(L, s, co) : call_original(L);
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
    put_back(L, "wrap", wrap);
    put_back(L, "status", status);
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
    replace(L, s, "wrap", wrap);
    replace(L, s, "status", status);
    replace(L, s, "close", close);
    replace(L, s, "isyieldable", isyieldable);
    replace(L, s, "yield", yield);
  }
  lua_pop(L, 1);
}
