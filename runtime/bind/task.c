#include "bind/bind.h"
#include "sched/await.h"
#include "sched/frames.h"
#include "sched/site.h"

#include <string.h>

static mu_task *check_task(lua_State *L, mu_sched *s, int index) {
  mu_task *t = mu_totask(L, s, index);
  if (!t) luaL_typeerror(L, index, "task");
  return t;
}

/* ---- async(fn) ---- */

static int collect_maker(lua_State *L) {
  mu_maker **m = lua_touserdata(L, 1);
  if (*m) mu_maker_close(*m);
  *m = NULL;
  return 0;
}

/* Pushes a userdata that closes the maker of the function at index when it is collected. */
static void push_maker(lua_State *L, mu_sched *s, int function) {
  mu_maker **m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = NULL;
  if (luaL_newmetatable(L, "muster.maker")) {
    lua_pushcfunction(L, collect_maker);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *m = mu_maker_new(L, s, function);
}

/* An async function; upvalues: scheduler, function, maker, metatable of tasks. arguments -> task */
static int call_async(lua_State *L) {
  mu_maker **m = lua_touserdata(L, lua_upvalueindex(3));
  int nargs = lua_gettop(L);
  mu_task_push_new(L, nargs, lua_upvalueindex(4), *m);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setiuservalue(L, nargs + 1, 1);
  for (int i = 1; i <= nargs; i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, nargs + 1, i + 1);
  }
  return 1;
}

static int async(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1); /* scheduler, function */
  push_maker(L, mu_self(L), 2);
  mu_push_root(mu_self(L), L, MU_ROOT_TASK_META);
  lua_pushcclosure(L, call_async, 4);
  return 1;
}

/* ---- starting and awaiting ---- */

mu_task *mu_make_task(lua_State *L, mu_sched *s, int nargs) {
  if (lua_tocfunction(L, -(nargs + 1)) != call_async) return mu_task_new(L, s, nargs);
  lua_call(L, nargs, 1);
  return lua_touserdata(L, -1);
}

/* Makes the task or function at index 1, with the arguments after it, the task at index 1. */
static mu_task *as_task(lua_State *L, mu_sched *s) {
  if (lua_isfunction(L, 1)) return mu_make_task(L, s, lua_gettop(L) - 1);
  mu_task *t = mu_totask(L, s, 1);
  if (!t) luaL_typeerror(L, 1, "task or function");
  luaL_argcheck(L, lua_gettop(L) == 1, 2, "a task takes its arguments when it is made");
  return t;
}

static int spawn(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = as_task(L, s);
  if (t->run.state == MU_CREATED) {
    t->site = mu_site_here(L, s);
    mu_task_start(L, s, t, 1);
  }
  lua_settop(L, 1);
  return 1;
}

static int await(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *self = mu_enter(L, s, "await");
  return mu_await(L, s, self, as_task(L, s), false);
}

static int task_pawait(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = check_task(L, s, 1);
  lua_settop(L, 1);
  return mu_await(L, s, mu_enter(L, s, "task:pawait"), t, true);
}

static int task_await(lua_State *L) {
  check_task(L, mu_self(L), 1);
  lua_settop(L, 1);
  return await(L);
}

/* ---- methods ---- */

static int task_cancel(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = check_task(L, s, 1);
  lua_pushboolean(L, !s->closed && mu_task_cancel_because(L, s, t, 1, 2));
  return 1;
}

static int task_status(lua_State *L) {
  lua_pushstring(L, mu_state_name(mu_task_state(check_task(L, mu_self(L), 1))));
  return 1;
}

/* Of the script's frames in a task that goes on. */
static int push_traceback(lua_State *L, mu_sched *s, mu_task *t) {
  if (t->run.state == MU_CREATED || !t->u.co) return lua_pushnil(L), 1;
  lua_pushliteral(L, "stack traceback:");
  mu_push_frames(L, t->u.co, 0);
  mu_site_push_line(L, s, t->site);
  lua_concat(L, 3);
  return 1;
}

static int task_traceback(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = check_task(L, s, 1);
  if (!mu_task_ended(t)) return push_traceback(L, s, t);
  mu_task_push_traceback(L, 1);
  return 1;
}

static int task_daemon(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task_daemon(s, check_task(L, s, 1));
  lua_settop(L, 1);
  return 1;
}

static int task_tostring(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = check_task(L, s, 1);
  mu_task_push_name(L, s, 1);
  lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), mu_state_name(mu_task_state(t)));
  return 1;
}

static const luaL_Reg methods[] = {{"await", task_await},
                                   {"pawait", task_pawait},
                                   {"cancel", task_cancel},
                                   {"status", task_status},
                                   {"traceback", task_traceback},
                                   {"daemon", task_daemon},
                                   {NULL, NULL}};

/* upvalue 2: methods */
static int task_index(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "name") != 0) return 1;
  mu_sched *s = mu_self(L);
  check_task(L, s, 1);
  mu_task_push_name(L, s, 1);
  return 1;
}

static int task_newindex(lua_State *L) {
  mu_sched *s = mu_self(L);
  check_task(L, s, 1);
  if (strcmp(luaL_checkstring(L, 2), "name") != 0)
    return luaL_error(L, "a task has no field '%s' to set, only 'name'", lua_tostring(L, 2));
  luaL_checktype(L, 3, LUA_TSTRING);
  mu_task_set_name(L, s, 1, 3);
  return 0;
}

static void fill_task_metatable(lua_State *L, int s) {
  mu_push_root(lua_touserdata(L, s), L, MU_ROOT_TASK_META);
  lua_newtable(L);
  lua_pushvalue(L, s);
  luaL_setfuncs(L, methods, 1);
  lua_pushvalue(L, s);
  lua_insert(L, -2);
  lua_pushcclosure(L, task_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, s);
  luaL_setfuncs(L, (luaL_Reg[]){{"__newindex", task_newindex}, {"__tostring", task_tostring}, {NULL, NULL}},
                1);
  lua_pushliteral(L, "task");
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

/* ---- module functions ---- */

static int current(lua_State *L) {
  mu_sched *s = mu_self(L);
  if (s->current) mu_task_push(L, s, s->current);
  else lua_pushnil(L);
  return 1;
}

typedef struct {
  int table;
  lua_Integer n;
} collecting;

static void collect(lua_State *L, mu_task *t, void *data) {
  collecting *c = data;
  (void)t;
  lua_pushvalue(L, -1);
  lua_rawseti(L, c->table, ++c->n);
}

/* -> a list of the tasks that are started and have not ended */
static int tasks(lua_State *L) {
  lua_settop(L, 0);
  lua_newtable(L);
  mu_each_task(L, mu_self(L), collect, &(collecting){1, 0});
  lua_settop(L, 1);
  return 1;
}

static int is_task(lua_State *L) {
  lua_pushboolean(L, mu_totask(L, mu_self(L), 1) != NULL);
  return 1;
}

static int is_async(lua_State *L) {
  lua_pushboolean(L, lua_tocfunction(L, 1) == call_async);
  return 1;
}

static int is_cancelled(lua_State *L) {
  lua_settop(L, 1);
  lua_pushboolean(L, mu_is_error(L, 1, "cancelled"));
  return 1;
}

/* kind, message [, fields] -> an error value like those of the runtime */
static int new_error(lua_State *L) {
  const char *kind = luaL_checkstring(L, 1), *message = luaL_checkstring(L, 2);
  mu_push_error(L, kind, "%s", message);
  if (!lua_istable(L, 3)) return 1;
  for (lua_pushnil(L); lua_next(L, 3);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  return 1;
}

void mu_bind_task(lua_State *L, int s) {
  static const luaL_Reg functions[] = {{"async", async},
                                       {"spawn", spawn},
                                       {"await", await},
                                       {"run", await},
                                       {"current", current},
                                       {"tasks", tasks},
                                       {"is_task", is_task},
                                       {"is_async", is_async},
                                       {"is_cancelled", is_cancelled},
                                       {"error", new_error},
                                       {NULL, NULL}};
  fill_task_metatable(L, s);
  lua_pushvalue(L, s);
  luaL_setfuncs(L, functions, 1);
}
