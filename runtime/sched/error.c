/* error.c: the error values that the runtime raises itself: tables that read well, and that scripts can tell apart. */
#include "sched/inside.h"

#include <stdarg.h>
#include <string.h>

static const char meta[] = "muster.error";

static int to_string(lua_State *L) {
  lua_getfield(L, 1, "message");
  return 1;
}

static void push_meta(lua_State *L) {
  if (!luaL_newmetatable(L, meta)) return;
  lua_pushcfunction(L, to_string);
  lua_setfield(L, -2, "__tostring");
}

void mu_push_error(lua_State *L, const char *kind, const char *fmt, ...) {
  va_list args;
  luaL_checkstack(L, 6, NULL);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  va_start(args, fmt);
  lua_pushvfstring(L, fmt, args);
  va_end(args);
  lua_setfield(L, -2, "message");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "retryable");
  push_meta(L);
  lua_setmetatable(L, -2);
}

static bool has_meta(lua_State *L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  luaL_getmetatable(L, meta);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

bool mu_is_error(lua_State *L, int index, const char *kind) {
  luaL_checkstack(L, 4, NULL);
  if (!has_meta(L, index)) return false;
  lua_pushvalue(L, index);
  lua_pushliteral(L, "kind");
  lua_rawget(L, -2);
  const char *k = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  bool same = k && strcmp(k, kind) == 0;
  lua_pop(L, 2);
  return same;
}
