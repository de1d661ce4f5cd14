/* signals.c: what a signal did before a script asked for it is put back afterwards. libuv itself would leave the default,
** so that Ctrl-C killed the program without letting its tasks clean up. */
#include "runtime.h"

#include <lauxlib.h>
#include <signal.h>

/* Upvalues: the number, the action that was kept. Whoever has set another handler meanwhile keeps it. */
static int restore(lua_State *L) {
  int number = (int)lua_tointeger(L, lua_upvalueindex(1));
  struct sigaction now;
  if (sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
    sigaction(number, lua_touserdata(L, lua_upvalueindex(2)), NULL);
  return 0;
}

int mu_keep_signal(lua_State *L) {
  lua_Integer number = luaL_checkinteger(L, 1);
  luaL_argcheck(L, number > 0 && number < NSIG, 1, "no such signal");
  lua_settop(L, 1);
  struct sigaction *kept = lua_newuserdatauv(L, sizeof *kept, 0);
  if (sigaction((int)number, NULL, kept)) return luaL_argerror(L, 1, "no such signal");
  lua_pushcclosure(L, restore, 2);
  return 1;
}
