/* report.c: reports of live tasks, in the words of lua/muster/diagnosis.lua; plain ones if Lua or memory fails. */
#include "runtime.h"

#include <string.h>

/* light userdata: the name of a function of muster.diagnosis -> */
static int call_report(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "muster.diagnosis");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, lua_touserdata(L, 1));
  lua_call(L, 0, 0);
  return 0;
}

/* False: it failed, and said nothing. */
static bool report(muster *m, const char *function) {
  if (!lua_checkstack(m->L, 4)) return false;
  lua_pushcfunction(m->L, call_report);
  lua_pushlightuserdata(m->L, (void *)function);
  if (lua_pcall(m->L, 1, 0, 0) == LUA_OK) return true;
  lua_pop(m->L, 1);
  return false;
}

static void say(muster *m, const char *text) { m->s->hooks.report(m->s->hooks.data, text, strlen(text)); }

void mu_report_tasks(muster *m) {
  if (!m->s || m->s->closed || report(m, "dump")) return;
  say(m, "muster: these tasks wait:\n");
  mu_sched_report_waiting(m->s);
}

void mu_report_deadlock(muster *m) {
  if (report(m, "report_deadlock")) return;
  say(m, "muster: deadlock: nothing can run, no timer and no I/O is pending, and these tasks wait:\n");
  mu_sched_report_waiting(m->s);
}
