#include "muster.h"
#include <lauxlib.h>
#include <stdio.h>
int main(int argc, char **argv) {
  muster *m = muster_new(NULL);
  muster_task *t;
  lua_State *L = muster_state(m);
  lua_newtable(L);
  for (int i = 0; i < argc; i++) { lua_pushstring(L, argv[i]); lua_rawseti(L, -2, i - 1); }
  lua_setglobal(L, "arg");
  int rc = muster_spawn_file(m, argv[1], 0, &t);
  if (rc) { fprintf(stderr, "%d %s\n", rc, lua_tostring(L, -1)); return 1; }
  rc = muster_run_task(m, t);
  if (rc) fprintf(stderr, "%s\n", muster_error_string(rc));
  if (muster_task_error(t, L)) fprintf(stderr, "%s\n%s\n", luaL_tolstring(L, -2, NULL), lua_tostring(L, -1)?lua_tostring(L,-1):"");
  else muster_run(m, MUSTER_RUN_ALL);
  muster_shutdown(m);
  muster_report(m);
  muster_task_release(t);
  muster_close(m);
  return 0;
}
