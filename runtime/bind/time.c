#include "bind/bind.h"

static int now(lua_State *L) {
  mu_sched *s = mu_self(L);
  lua_pushnumber(L, s->hooks.now(s->hooks.data));
  return 1;
}

static int sleep_for(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_enter(L, s, "sleep");
  return mu_sleep(L, s, mu_check_seconds(L, 1));
}

static int yield(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_enter(L, s, "yield");
  return mu_yield(L, s);
}

/* ---- calls inside a scope ---- */
/* Stack while fn runs: message handler, and then fn's results or error. */

static int results(lua_State *L, int status) {
  if (status != LUA_OK && status != LUA_YIELD) return mu_raise_again(L);
  return lua_gettop(L) - 1;
}

static int timeout_ended(lua_State *L, int status, lua_KContext ctx) {
  mu_scope *sc = (mu_scope *)ctx;
  mu_scope_end(L, mu_self(L), sc, status);
  return results(L, status);
}

static int move_on_ended(lua_State *L, int status, lua_KContext ctx) {
  if (!mu_scope_end(L, mu_self(L), (mu_scope *)ctx, status)) return results(L, status);
  lua_pushboolean(L, 0);
  return 1;
}

static int call_within(lua_State *L, const char *what, lua_KFunction k) {
  mu_sched *s = mu_self(L);
  double seconds = mu_check_seconds(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  mu_enter(L, s, what);
  lua_remove(L, 1);
  return mu_scope_call(L, s, lua_gettop(L) - 1, seconds, false, k);
}

static int timeout(lua_State *L) { return call_within(L, "timeout", timeout_ended); }
static int move_on_after(lua_State *L) { return call_within(L, "move_on_after", move_on_ended); }

static int shield(lua_State *L) {
  mu_sched *s = mu_self(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  mu_enter_shielded(L, s, "shield");
  return mu_scope_call(L, s, lua_gettop(L) - 1, -1, true, timeout_ended);
}

void mu_bind_time(lua_State *L, int s) {
  static const luaL_Reg functions[] = {{"now", now},       {"sleep", sleep_for},
                                       {"yield", yield},   {"timeout", timeout},
                                       {"shield", shield}, {"move_on_after", move_on_after},
                                       {NULL, NULL}};
  lua_pushvalue(L, s);
  luaL_setfuncs(L, functions, 1);
}
