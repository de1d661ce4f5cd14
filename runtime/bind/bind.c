#include "bind/bind.h"

#include <math.h>
#include <string.h>

void mu_class(lua_State *L, int s, const char *name, const luaL_Reg *functions) {
  lua_newtable(L); /* metatable */
  lua_newtable(L); /* methods */
  for (; functions->name; functions++) {
    bool event = strncmp(functions->name, "__", 2) == 0;
    lua_pushvalue(L, s);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, functions->func, 2);
    lua_setfield(L, event ? -3 : -2, functions->name);
  }
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
}

void mu_constructors(lua_State *L, int s, const luaL_Reg *functions) {
  lua_pushvalue(L, s);
  lua_insert(L, -2); /* table, scheduler, metatable */
  luaL_setfuncs(L, functions, 2);
}

void *mu_check_object(lua_State *L, int index) {
  void *object = lua_touserdata(L, index);
  if (object && lua_getmetatable(L, index)) {
    bool same = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
    if (same) return object;
  }
  lua_getfield(L, lua_upvalueindex(2), "__name");
  luaL_typeerror(L, index, lua_tostring(L, -1));
  return NULL;
}

static bool listed(const char *name, const char *const *names) {
  for (; *names; names++)
    if (strcmp(name, *names) == 0) return true;
  return false;
}

void mu_check_options(lua_State *L, int index, const char *const *names) {
  if (lua_isnoneornil(L, index)) return;
  luaL_checktype(L, index, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING && listed(lua_tostring(L, -2), names)) continue;
    luaL_argerror(L, index, lua_pushfstring(L, "unknown option '%s'", luaL_tolstring(L, -2, NULL)));
  }
}

uint32_t mu_check_limit(lua_State *L, int index) {
  static const char *const names[] = {"limit", NULL};
  mu_check_options(L, index, names);
  if (lua_isnoneornil(L, index)) return UINT32_MAX;
  if (lua_getfield(L, index, "limit") == LUA_TNIL) lua_pushnumber(L, HUGE_VAL), lua_replace(L, -2);
  lua_Number limit = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
  if (!(limit >= 1) || (!lua_isinteger(L, -1) && limit < UINT32_MAX))
    luaL_argerror(L, index, "option 'limit' must be an integer of at least 1");
  lua_pop(L, 1);
  return limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
}

double mu_check_seconds(lua_State *L, int index) {
  double seconds = luaL_checknumber(L, index);
  luaL_argcheck(L, seconds >= 0, index, "seconds must be at least 0");
  return seconds;
}

lua_Integer mu_check_count(lua_State *L, int index, lua_Integer least, const char *what) {
  lua_Integer n = luaL_checkinteger(L, index);
  if (n < least)
    luaL_argerror(L, index, lua_pushfstring(L, "%s must be at least %I", what, (LUAI_UACINT)least));
  return n;
}

void mu_open_core(lua_State *L, int s) {
  static void (*const parts[])(lua_State *, int) = {
      mu_bind_task,  mu_bind_time,    mu_bind_join,    mu_bind_group,   mu_bind_semaphore,
      mu_bind_event, mu_bind_channel, mu_bind_suspend, mu_bind_inspect, /* events need locks */
  };
  lua_newtable(L);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) parts[i](L, s);
}
