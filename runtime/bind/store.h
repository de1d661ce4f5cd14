/* store.h: what the two files of the stores' Lua face share. */
#ifndef MU_BIND_STORE_H
#define MU_BIND_STORE_H

#include "bind/bind.h"
#include "host/store.h"

/* Pushes the module "muster.store.core". s: the index of the scheduler. */
void mu_open_store(lua_State *L, int s, mu_store *store);

/* The name of the metatable, in the registry, of blobs: tables whose 1 is the string. */
extern const char MU_STORE_BLOB[];

/* Appends SQL to the request, then a set of parameters: the values from index first on, or, if that is the only one and
** a table, what is in it. what: the function that is called. Raise. */
void mu_store_put_sql(lua_State *L, mu_store_job *job, int sql, const char *what);
void mu_store_put_arguments(lua_State *L, mu_store_job *job, int first, const char *what);
void mu_store_put_row(lua_State *L, mu_store_job *job, int row, const char *what);

/* Raises an error, which tells where the script calls: what is below muster/ is not the script. */
int mu_store_refuse(lua_State *L, const char *fmt, ...);

/* Pushes the list of names of columns at the beginning of the reply; returns where it ends. */
const char *mu_store_push_names(lua_State *L, const mu_store_job *job);

/* Pushes the row at at, a table by the names at index names; returns where it ends. */
const char *mu_store_push_row(lua_State *L, const char *at, int columns, int names);

#endif
