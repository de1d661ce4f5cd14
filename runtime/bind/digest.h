#ifndef MU_BIND_DIGEST_H
#define MU_BIND_DIGEST_H

#include <lauxlib.h>

/* Pushes the module "muster.digest". It needs no scheduler. */
int mu_open_digest(lua_State *L);

#endif
