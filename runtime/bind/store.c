/* store.c: the module "muster.store.core": databases and their queries. What scripts see is made of it in
** lua/muster/store.lua. Methods of a database have the metatable of queries as upvalue 3; open, the runtime's mu_store. */
#include "bind/store.h"

#include <string.h>

enum { MOST_BYTES = 4 << 20 }; /* of a request with many rows */

typedef struct {
  mu_store_db *db; /* NULL: closed */
} handle;

/* A job, which it owns; or a query, whose rows are read from its job's reply. The user value of a query is the list of
** names of its columns. */
typedef struct {
  mu_store_job *job; /* NULL: it is over */
  size_t at;         /* in the reply: the next row */
} call;

/* ---- calls ---- */

static mu_store_job *new_call(lua_State *L, mu_store_db *db, mu_store_what what) {
  call *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (call){0};
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  c->job = mu_store_job_new(db, what);
  if (!c->job) luaL_error(L, "not enough memory");
  c->job->box = &c->job;
  return c->job;
}

static void drop(call *c) {
  if (c->job) mu_store_drop(c->job);
}

/* -> nil, error; or raises what is the caller's mistake */
static int fail(lua_State *L, call *c, const char *what) {
  if (c->job->misuse) return mu_store_refuse(L, "store.%s: %s", what, c->job->error.at);
  lua_pushnil(L);
  mu_store_push_error(L, c->job, what);
  drop(c);
  return 2;
}

static int closed(lua_State *L, const char *what) {
  lua_pushnil(L);
  mu_push_error(L, "closed", "store.%s: the store is closed", what);
  return 2;
}

static mu_store_db *check(lua_State *L) {
  handle *h = mu_check_object(L, 1);
  return h->db && !h->db->shut ? h->db : NULL;
}

/* The call is on top: suspends until it is back, then calls k with its index. */
static int await(lua_State *L, mu_store_job *job, lua_KFunction k) {
  mu_sched *s = mu_self(L);
  mu_store_wait(L, s, s->current, job);
  return mu_park(L, s, lua_gettop(L), k);
}

/* The call at that index, back. Raises if the task was cancelled before it was. */
static call *resumed(lua_State *L, lua_KContext index) {
  mu_unpark(L, mu_sched_of(L));
  return lua_touserdata(L, (int)index);
}

/* ---- statements without rows ---- */

/* The rows that a batch gave become a field of the table on top. */
static void set_rows(lua_State *L, const mu_store_job *job) {
  const char *at = mu_store_push_names(L, job), *end = job->reply.at + job->reply.size;
  int names = lua_gettop(L);
  lua_newtable(L);
  for (lua_Integer i = 1; at < end; i++) {
    at = mu_store_push_row(L, at, job->columns, names);
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, names - 1, "rows");
  lua_pop(L, 1);
}

static int executed(lua_State *L, int status, lua_KContext index) {
  call *c = resumed(L, index);
  mu_store_job *job = c->job;
  (void)status;
  if (job->rc) return fail(L, c, job->what == MU_STORE_EXEC ? "exec" : "run_many");
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, job->changes);
  lua_setfield(L, -2, "changes");
  lua_pushinteger(L, job->last_id);
  lua_setfield(L, -2, "last_id");
  if (job->what == MU_STORE_BATCH && job->reply.size) set_rows(L, job);
  drop(c);
  return 1;
}

static int batched(lua_State *L, int status, lua_KContext index) {
  int n = executed(L, status, index);
  if (n == 1) lua_pushvalue(L, 5);
  return 2;
}

/* The call of that kind with the SQL at 2 and the arguments from 3 on; or NULL: closed. It goes below the arguments. */
static mu_store_job *begin(lua_State *L, mu_store_what kind, const char *what) {
  mu_enter(L, mu_self(L), what);
  mu_store_db *db = check(L);
  luaL_checkany(L, 2);
  if (!db) return NULL;
  mu_store_job *job = new_call(L, db, kind);
  lua_insert(L, 3);
  mu_store_put_sql(L, job, 2, what);
  mu_store_put_arguments(L, job, 4, what);
  lua_settop(L, 3);
  return job;
}

/* db:exec(sql, ...) -> {changes=, last_id=}; or nil, error */
static int db_exec(lua_State *L) {
  mu_store_job *job = begin(L, MU_STORE_EXEC, "exec");
  return job ? await(L, job, executed) : closed(L, "exec");
}

/* db:firmly(sql): as exec, but once begun it is done, whatever becomes of the task */
static int db_firmly(lua_State *L) {
  mu_store_job *job = begin(L, MU_STORE_EXEC, "exec");
  if (!job) return closed(L, "exec");
  job->firm = true;
  return await(L, job, executed);
}

/* db:post(sql): does not wait for it, nor for the store */
static int db_post(lua_State *L) {
  mu_store_db *db = check(L);
  if (!db) return 0;
  mu_store_job *job = new_call(L, db, MU_STORE_EXEC);
  mu_store_put_sql(L, job, 2, "exec");
  lua_settop(L, 3);
  mu_store_put_arguments(L, job, 4, "exec");
  job->firm = true;
  mu_store_submit(job);
  drop(lua_touserdata(L, 3));
  return 0;
}

/* Adds rows first to last of the list at 3 to the request, as many as fit; returns the last one that did. */
static lua_Integer put_rows(lua_State *L, mu_store_job *job, lua_Integer first, lua_Integer last) {
  int row = lua_gettop(L) + 1;
  for (lua_Integer i = first; i <= last; i++) {
    if (i > first && job->request.size > MOST_BYTES) return i - 1;
    if (lua_rawgeti(L, 3, i) != LUA_TTABLE)
      mu_store_refuse(L, "store.run_many: row %I must be a table, got %s", (LUAI_UACINT)i,
                      luaL_typename(L, -1));
    mu_store_put_row(L, job, row, "run_many");
    lua_pop(L, 1);
  }
  return last;
}

/* db:batch(sql, rows, first, last, part) -> as exec, with `rows` if there are any; how far it came. Rows: tables of
** parameters. Not all of them may fit into a request: then a part of them is done, or else the result is false. */
static int db_batch(lua_State *L) {
  mu_enter(L, mu_self(L), "run_many");
  mu_store_db *db = check(L);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer first = luaL_checkinteger(L, 4), last = luaL_checkinteger(L, 5);
  bool part = lua_toboolean(L, 6);
  lua_settop(L, 5);
  if (!db) return closed(L, "run_many");
  mu_store_job *job = new_call(L, db, MU_STORE_BATCH);
  mu_store_put_sql(L, job, 2, "run_many");
  lua_Integer done = put_rows(L, job, first, last);
  if (done < last && !part) return lua_pushboolean(L, false), 1;
  lua_pushinteger(L, done);
  lua_replace(L, 5);
  return await(L, job, batched);
}

static int prepared(lua_State *L, int status, lua_KContext index) {
  call *c = resumed(L, index);
  (void)status;
  if (c->job->rc) return fail(L, c, "prepare");
  lua_pushinteger(L, c->job->parameters);
  mu_store_push_names(L, c->job);
  drop(c);
  return 2;
}

/* db:prepare(sql) -> how many parameters it has, list of its columns; or nil, error */
static int db_prepare(lua_State *L) {
  lua_settop(L, 2);
  mu_store_job *job = begin(L, MU_STORE_PREPARE, "prepare");
  return job ? await(L, job, prepared) : closed(L, "prepare");
}

/* ---- queries ---- */

static int push_row(lua_State *L, call *c, int names) {
  mu_store_job *job = c->job;
  const char *base = job->reply.at;
  c->at = (size_t)(mu_store_push_row(L, base + c->at, job->columns, names) - base);
  if (job->end && !job->rc && c->at == job->reply.size) drop(c);
  return 1;
}

static int queried(lua_State *L, int status, lua_KContext index) {
  call *c = resumed(L, index);
  (void)status;
  if (c->job->reply.size == 0) { /* no rows */
    if (c->job->rc) return fail(L, c, "query");
    drop(c);
    return lua_settop(L, (int)index), 1;
  }
  c->at = (size_t)(mu_store_push_names(L, c->job) - c->job->reply.at);
  lua_setiuservalue(L, (int)index, 1);
  lua_settop(L, (int)index);
  return 1;
}

/* db:query(sql, ...) -> query; or nil, error */
static int db_query(lua_State *L) {
  mu_store_job *job = begin(L, MU_STORE_QUERY, "query");
  return job ? await(L, job, queried) : closed(L, "query");
}

static int got_one(lua_State *L, int status, lua_KContext index) {
  call *c = resumed(L, index);
  (void)status;
  if (c->job->rc) return fail(L, c, "one");
  if (c->job->reply.size == 0) {
    lua_pushnil(L);
  } else {
    const char *at = mu_store_push_names(L, c->job);
    mu_store_push_row(L, at, c->job->columns, lua_gettop(L));
  }
  drop(c);
  return 1;
}

/* db:one(sql, ...) -> the first row, or nil; or nil, error */
static int db_one(lua_State *L) {
  mu_store_job *job = begin(L, MU_STORE_ONE, "one");
  return job ? await(L, job, got_one) : closed(L, "one");
}

static int break_off(lua_State *L, call *c) {
  mu_store_push_error(L, c->job, "query");
  drop(c);
  return lua_error(L);
}

static int fetched(lua_State *L, int status, lua_KContext index) {
  call *c = resumed(L, index);
  (void)status;
  c->at = 0;
  if (c->job->reply.size == 0) return c->job->rc ? break_off(L, c) : (drop(c), 0);
  lua_getiuservalue(L, 1, 1);
  return push_row(L, c, lua_gettop(L));
}

/* next(query) -> row; or nil at the end. Raises what breaks it off */
static int query_next(lua_State *L) {
  call *c = mu_check_object(L, 1);
  mu_enter(L, mu_self(L), "query");
  lua_settop(L, 1);
  if (!c->job) return 0;
  if (c->job->flying) return luaL_error(L, "store.query: another task is reading these rows");
  if (c->at < c->job->reply.size) {
    lua_getiuservalue(L, 1, 1);
    return push_row(L, c, 2);
  }
  if (c->job->rc) return break_off(L, c);
  if (c->job->db->shut) {
    drop(c);
    closed(L, "query");
    return lua_error(L);
  }
  c->job->what = MU_STORE_NEXT;
  return await(L, c->job, fetched);
}

/* Also a call's finalizer. */
static int query_close(lua_State *L) {
  drop(mu_check_object(L, 1));
  return 0;
}

/* ---- opening and closing ---- */

static int db_closed(lua_State *L, int status, lua_KContext ctx) {
  mu_store_op *fired = (mu_store_op *)mu_fired(mu_sched_of(L)->current);
  (void)status, (void)ctx;
  if (fired) mu_store_drop(fired->job);
  mu_unpark(L, mu_sched_of(L));
  return 0;
}

/* db:close(): waits until its file is closed, if a task calls; what other tasks do with it fails */
static int db_close(lua_State *L) {
  handle *h = mu_check_object(L, 1);
  mu_store_db *db = h->db;
  mu_sched *s = mu_self(L);
  if (!db) return 0;
  bool waits = s->current && !db->shut;
  if (waits) mu_store_wait(L, s, s->current, db->bye); /* raises before any change */
  h->db = NULL;
  mu_store_shut(db);
  mu_store_unhold(db);
  return waits ? mu_park(L, s, 0, db_closed) : 0;
}

static int db_collect(lua_State *L) {
  handle *h = mu_check_object(L, 1);
  mu_store_db *db = h->db;
  h->db = NULL;
  if (!db) return 0;
  mu_store_shut(db);
  mu_store_unhold(db);
  return 0;
}

static int opened(lua_State *L, int status, lua_KContext index) {
  call *c = resumed(L, index);
  (void)status;
  if (c->job->rc) return fail(L, c, "open");
  drop(c);
  lua_settop(L, (int)index - 1);
  return 1;
}

static void read_options(lua_State *L, mu_store_options *o) {
  *o = (mu_store_options){.readonly = lua_toboolean(L, 2),
                          .create = lua_toboolean(L, 3),
                          .wal = lua_toboolean(L, 4),
                          .busy_timeout = luaL_checknumber(L, 5)};
  const char *word = luaL_optstring(L, 6, "");
  luaL_argcheck(L, strlen(word) < sizeof o->synchronous, 6, "too long");
  strcpy(o->synchronous, word);
}

/* open(path, readonly, create, wal, busy_timeout, synchronous) -> db; or nil, error. Upvalue 2: the metatable of
** databases; 4: the runtime's mu_store */
static int open_db(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_store_options options;
  const char *path = luaL_checkstring(L, 1), *problem;
  mu_enter(L, s, "open");
  mu_check_wait(L, s, "the store");
  read_options(L, &options);
  handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  h->db = NULL;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  call *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (call){0};
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  c->job = mu_store_open(lua_touserdata(L, lua_upvalueindex(4)), path, &options, &problem);
  if (!c->job) return luaL_error(L, "store.open: %s", problem);
  c->job->box = &c->job;
  h->db = c->job->db;
  return await(L, c->job, opened);
}

/* ---- the module ---- */

/* Adds methods with the metatable of queries, at index calls, as upvalue 3 to that of databases on top. */
static void add_methods(lua_State *L, int s, int calls, const luaL_Reg *methods) {
  int meta = lua_gettop(L);
  lua_getfield(L, meta, "__index");
  for (; methods->name; methods++) {
    lua_pushvalue(L, s);
    lua_pushvalue(L, meta);
    lua_pushvalue(L, calls);
    lua_pushcclosure(L, methods->func, 3);
    lua_setfield(L, -2, methods->name);
  }
  lua_pop(L, 1);
}

void mu_open_store(lua_State *L, int s, mu_store *store) {
  static const luaL_Reg ends[] = {{"close", db_close}, {"__gc", db_collect}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"exec", db_exec},       {"firmly", db_firmly}, {"post", db_post},
                                     {"batch", db_batch},     {"query", db_query},   {"one", db_one},
                                     {"prepare", db_prepare}, {NULL, NULL}};
  static const luaL_Reg of_queries[] = {{"next", query_next},
                                        {"close", query_close},
                                        {"__close", query_close},
                                        {"__gc", query_close},
                                        {NULL, NULL}};
  lua_newtable(L);
  int module = lua_gettop(L), calls = module + 1, meta = module + 2;
  mu_class(L, s, "store.query", of_queries);
  mu_class(L, s, "store.core", ends);
  add_methods(L, s, calls, methods);
  lua_pushvalue(L, s);
  lua_pushvalue(L, meta);
  lua_pushvalue(L, calls);
  lua_pushlightuserdata(L, store);
  lua_pushcclosure(L, open_db, 4);
  lua_setfield(L, module, "open");
  lua_getfield(L, calls, "__index");
  lua_getfield(L, -1, "next");
  lua_setfield(L, module, "next");
  luaL_newmetatable(L, MU_STORE_BLOB);
  lua_setfield(L, module, "blob");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, module, "null");
  lua_settop(L, module);
}
