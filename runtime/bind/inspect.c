/* What the reports of tasks are made from: facts, and a way to print. */
#include "sched/inspect.h"
#include "bind/bind.h"

/* task -> its facts; nil if it has not started, or has ended */
static int facts(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (!mu_totask(L, s, 1)) return luaL_typeerror(L, 1, "task");
  mu_facts_push(L, s, 1);
  return 1;
}

/* text: whole lines, to where reports go */
static int say(lua_State *L) {
  mu_sched *s = mu_self(L);
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  s->hooks.report(s->hooks.data, text, n);
  return 0;
}

void mu_bind_inspect(lua_State *L, int s) {
  static const luaL_Reg functions[] = {{"facts", facts}, {"say", say}, {NULL, NULL}};
  lua_pushvalue(L, s);
  luaL_setfuncs(L, functions, 1);
}
