/* script.h: for C specs that run scripts, of which most hold assertions of their own. */
#ifndef SPEC_SCRIPT_H
#define SPEC_SCRIPT_H

#include "check.h"
#include "muster.h"

#include <lauxlib.h>

/* Spawns a script that must compile. Returns a hold, to be released. */
static inline muster_task *spawn_script(muster *m, const char *code) {
  muster_task *t;
  if (muster_spawn_string(m, code, strlen(code), "=script", 0, &t) == MUSTER_OK) return t;
  printf("not ok: %s\n", lua_tostring(muster_state(m), -1));
  exit(1);
}

/* A failed task ends the spec, and says why. */
static inline void check_done(muster_task *t, lua_State *L) {
  if (muster_task_state(t) == MUSTER_DONE) return;
  if (muster_task_error(t, L) == 0) {
    lua_pushliteral(L, "the script has not ended");
    lua_pushnil(L);
  }
  const char *traceback = lua_tostring(L, -1);
  printf("not ok: %s\n%s\n", luaL_tolstring(L, -2, NULL), traceback ? traceback : "");
  exit(1);
}

/* Runs a script to its end, which must be a good one. Its results are pushed on the main state; returns
** how many. */
static inline int run_script(muster *m, const char *code) {
  muster_task *t = spawn_script(m, code);
  CHECK(muster_run_task(m, t) == 0);
  check_done(t, muster_state(m));
  int n = muster_task_results(t, muster_state(m));
  muster_task_release(t);
  return n;
}

/* The same for a script that is to return one integer. */
static inline lua_Integer run_for_integer(muster *m, const char *code) {
  lua_State *L = muster_state(m);
  CHECK(run_script(m, code) == 1 && lua_isinteger(L, -1));
  lua_Integer value = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

/* Does the value at index, an error, read like text? It is left alone. */
static inline bool error_says(lua_State *L, int index, const char *text) {
  bool says = strstr(luaL_tolstring(L, index, NULL), text);
  lua_pop(L, 1);
  return says;
}

/* Is nothing left behind: no task, no wait, no timer? */
static inline void check_idle(muster *m) {
  muster_stats_t stats;
  muster_stats(m, &stats);
  CHECK(stats.alive == 0);
  CHECK(stats.ops == 0);
  CHECK(stats.timers == 0);
  CHECK(lua_gettop(muster_state(m)) == 0);
}

#endif
