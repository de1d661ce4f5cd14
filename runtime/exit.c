/* exit.c: os.exit, which with close=true must close the variables of the task that calls it, and of all others. */
#include "runtime.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

static int exit_code(lua_State *L) {
  if (lua_isboolean(L, 1)) return lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  return (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
}

/* os.exit([code [, close]]). The caller's stack is gone once its task is killed: nothing of it is used after. */
static int os_exit(lua_State *L) {
  int code = exit_code(L);
  muster *m = muster_of(L); /* NULL: a finalizer calls, while the state closes */
  if (m && m->s) mu_stop_watching(m, L);
  if (lua_toboolean(L, 2)) {
    if (m) muster_stats(m, &m->last);
    lua_State *main = m ? m->L : L;
    mu_sched *s = m ? m->s : NULL;
    if (m) m->s = NULL; /* a signal handler may still ask for it */
    if (m) mu_httpd_close(&m->httpd);
    if (m) mu_http_close(&m->http);
    if (m) mu_store_close(&m->store);
    if (s) mu_sched_free(s);
    lua_close(main);
  }
  exit(code);
}

void mu_open_exit(lua_State *L) {
  if (lua_getglobal(L, LUA_OSLIBNAME) == LUA_TTABLE) {
    lua_pushcfunction(L, os_exit);
    lua_setfield(L, -2, "exit");
  }
  lua_pop(L, 1);
}
