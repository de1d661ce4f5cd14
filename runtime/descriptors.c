/* descriptors.c: what libuv leaves out. A file has one position, which whoever inherits the descriptor shares. */
#include "runtime.h"

#include <errno.h>
#include <lauxlib.h>
#include <unistd.h>
#include <uv.h>

int mu_seek(lua_State *L) {
  static const char *const names[] = {"set", "cur", "end", NULL};
  static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  int fd = (int)luaL_checkinteger(L, 1);
  lua_Integer offset = luaL_checkinteger(L, 2);
  off_t position = lseek(fd, (off_t)offset, whences[luaL_checkoption(L, 3, NULL, names)]);
  if (position >= 0) {
    lua_pushinteger(L, (lua_Integer)position);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, uv_err_name(uv_translate_sys_error(errno)));
  return 2;
}
