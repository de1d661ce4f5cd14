/* digest.c: "muster.digest", the fingerprints by which caches and journals know a text again. SHA-256 by libmd. */
#include "bind/digest.h"

#include <sha2.h>
#include <sys/types.h>

/* text, ... -> the digest of all of them, one after the other, in hex */
static int sha256(lua_State *L) {
  SHA2_CTX context;
  char hex[SHA256_DIGEST_STRING_LENGTH];
  int n = lua_gettop(L);
  luaL_checkstring(L, 1);
  SHA256Init(&context);
  for (int i = 1; i <= n; i++) {
    size_t size;
    const char *text = luaL_checklstring(L, i, &size);
    SHA256Update(&context, (const uint8_t *)text, size);
  }
  SHA256End(&context, hex);
  lua_pushstring(L, hex);
  return 1;
}

int mu_open_digest(lua_State *L) {
  static const luaL_Reg functions[] = {{"sha256", sha256}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
