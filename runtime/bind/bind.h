/* bind.h: the Lua face of the scheduler. Each file of this floor holds argument checks, calls, and one table of
** functions. Every C function has the scheduler as upvalue 1 (a userdata, so that it outlives the last function);
** methods and constructors of a class have the class's metatable as upvalue 2. */
#ifndef MU_BIND_H
#define MU_BIND_H

#include "sched/inside.h"

/* Each adds its functions to the table on top of L; the scheduler's userdata is at index s. */
void mu_bind_task(lua_State *L, int s);
void mu_bind_time(lua_State *L, int s);
void mu_bind_join(lua_State *L, int s);
void mu_bind_group(lua_State *L, int s);
void mu_bind_semaphore(lua_State *L, int s);
void mu_bind_event(lua_State *L, int s);
void mu_bind_channel(lua_State *L, int s);
void mu_bind_suspend(lua_State *L, int s);
void mu_bind_inspect(lua_State *L, int s);
void mu_bind_coroutine(lua_State *L, int s); /* changes the coroutine library; adds nothing */
void mu_unbind_coroutine(lua_State *L);      /* changes it back */
void mu_bind_require(lua_State *L, int s); /* replaces the function of the package library, if it is there */
void mu_unbind_require(lua_State *L);      /* puts it back */

/* Pushes the table of all of these: the module "muster.core". */
void mu_open_core(lua_State *L, int s);

/* Replaces the function and nargs arguments on top of L by a task for them: a call of an async function makes one by
** itself. Raises. */
mu_task *mu_make_task(lua_State *L, mu_sched *s, int nargs);

/* Makes a class: pushes its metatable. Names that begin with "__" go into it, the others are methods. */
void mu_class(lua_State *L, int s, const char *name, const luaL_Reg *functions);

/* Adds functions to the table below the metatable on top of L, which becomes their upvalue 2 and is popped. */
void mu_constructors(lua_State *L, int s, const luaL_Reg *functions);

/* The userdata at index, if its metatable is upvalue 2; raises otherwise. */
void *mu_check_object(lua_State *L, int index);

/* Raises unless the table at index has only keys from names (NULL-terminated). Absent counts as empty. */
void mu_check_options(lua_State *L, int index, const char *const *names);

/* The option `limit` of the table at index, the only one it may have: UINT32_MAX if absent or infinite. Raises. */
uint32_t mu_check_limit(lua_State *L, int index);

/* Seconds >= 0, or an integer >= least, at index. Raise. */
double mu_check_seconds(lua_State *L, int index);
lua_Integer mu_check_count(lua_State *L, int index, lua_Integer least, const char *what);

#endif
