#include "sched/join.h"
#include "bind/bind.h"

/* ---- arguments ---- */

/* The item on top of L becomes a task; raises if it is none. */
static void to_task(lua_State *L, mu_sched *s, const char *what, lua_Integer i) {
  mu_task *t = mu_totask(L, s, -1);
  if (mu_unlikely(t == s->current)) {
    if (!t) mu_refuse(L, s, what);
    luaL_error(L, "%s: item %I is the running task itself", what, (LUAI_UACINT)i);
  }
  if (t) return;
  if (!lua_isfunction(L, -1))
    luaL_error(L, "%s: item %I is a %s, expected a task or a function", what, (LUAI_UACINT)i,
               luaL_typename(L, -1));
  mu_make_task(L, s, 0);
}

/* Pushes a new table with the tasks of the list at index; returns their number. */
static uint32_t push_tasks(lua_State *L, mu_sched *s, const char *what, int list) {
  lua_Integer n = luaL_len(L, list);
  luaL_argcheck(L, n >= 0 && n < INT32_MAX, list, "a list of so many tasks cannot be");
  lua_createtable(L, (int)n, 1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, list, i);
    to_task(L, s, what, i);
    lua_rawseti(L, -2, i);
  }
  return (uint32_t)n;
}

/* The same with the arguments 1 to n. */
static uint32_t push_arguments(lua_State *L, mu_sched *s, const char *what) {
  int n = lua_gettop(L);
  lua_createtable(L, n, 1);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, i);
    to_task(L, s, what, i);
    lua_rawseti(L, n + 1, i);
  }
  return (uint32_t)n;
}

/* ---- gather ---- */

static int raise_of(lua_State *L, uint32_t index) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, index);
  return mu_raise_of_task(L, mu_self(L), -1);
}

/* Stack: join. A real error wins over the cancellation of the gathering task, and that over one of a child. */
static int gathered(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  mu_join *j = lua_touserdata(L, 1);
  (void)status, (void)ctx;
  if (j->failed) {
    mu_unpark_quietly(s, s->current);
    return raise_of(L, j->failed);
  }
  mu_unpark(L, s);
  if (j->dropped) return raise_of(L, j->dropped);
  lua_getiuservalue(L, 1, 1);
  lua_pushinteger(L, j->total);
  lua_setfield(L, -2, "n");
  return 1;
}

static int gather(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = mu_enter(L, s, "gather");
  bool list = lua_istable(L, 1);
  uint32_t limit = list ? mu_check_limit(L, 2) : UINT32_MAX;
  luaL_argcheck(L, !list || lua_isnoneornil(L, 3), 3, "a list is followed by at most an options table");
  uint32_t n = list ? push_tasks(L, s, "gather", 1) : push_arguments(L, s, "gather");
  mu_check_wait(L, s, "gather");
  mu_join *j = mu_join_new(L, s, n, limit, MU_JOIN_VALUES | MU_JOIN_FAIL_FAST | MU_JOIN_ANSWERS, false);
  lua_insert(L, 1);
  lua_settop(L, 1);
  return mu_join_wait(L, s, t, j, gathered);
}

/* ---- joins: as_completed, and what the library builds on ---- */

static mu_join *check_join(lua_State *L) { return mu_check_object(L, 1); }

static void set_class(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
}

/* join, next index on the queue -> task, index; nothing if all have been delivered */
static int deliver(lua_State *L, mu_join *j) {
  uint32_t index = mu_join_take(j);
  if (!index) return 0;
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, index);
  lua_pushnil(L);
  lua_rawseti(L, -3, index);
  lua_pushinteger(L, index);
  return 2;
}

static int next_or_wait(lua_State *L, mu_sched *s, mu_join *j, double seconds);

/* Stack: join, and when to give up (now at the start + seconds) or nil. */
static int next_ended(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  mu_join *j = lua_touserdata(L, 1);
  (void)status, (void)ctx;
  mu_op *fired = mu_fired(s->current);
  bool late = fired && mu_join_is_time_limit(fired);
  mu_unpark(L, s);
  if (late) {
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
  }
  double now = s->hooks.now(s->hooks.data);
  double rest = lua_isnil(L, 2) ? -1 : lua_tonumber(L, 2) - now;
  return next_or_wait(L, s, j, lua_isnil(L, 2) ? -1 : rest > 0 ? rest : 0);
}

static int next_or_wait(lua_State *L, mu_sched *s, mu_join *j, double seconds) {
  if (j->queue_count || mu_join_all_ended(j)) return deliver(L, j);
  return mu_join_await_next(L, s, s->current, j, seconds, next_ended);
}

/* join [, seconds] -> task, index; nothing when all were delivered; nil, "timeout" */
static int join_next(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_join *j = check_join(L);
  mu_enter(L, s, "next");
  bool timed = !lua_isnoneornil(L, 2);
  double seconds = timed ? mu_check_seconds(L, 2) : -1;
  lua_settop(L, 1);
  if (timed) lua_pushnumber(L, s->hooks.now(s->hooks.data) + seconds);
  else lua_pushnil(L);
  return next_or_wait(L, s, j, seconds);
}

/* The iterator of as_completed: the control variable is no time limit. */
static int as_completed_next(lua_State *L) {
  lua_settop(L, 1);
  return join_next(L);
}

/* The loop ends by an error: failures that were not delivered are not reported on top of it; and if it is only a
** cancellation, the first of them wins over it. Stack: join, error. */
static int end_by_error(lua_State *L, mu_join *j, bool cancelled) {
  lua_getiuservalue(L, 1, 1);
  lua_pushnil(L); /* the winner's task */
  for (uint32_t index; (index = mu_join_take(j)); lua_settop(L, 4)) {
    lua_rawgeti(L, 3, index);
    mu_task *t = lua_touserdata(L, -1);
    t->run.flags |= MU_OBSERVED;
    if (mu_task_state(t) == MU_FAILED && lua_isnil(L, 4)) lua_replace(L, 4);
  }
  if (!cancelled || lua_isnil(L, 4)) return 0;
  return mu_raise_of_task(L, mu_self(L), 4);
}

/* Stack: join, error or nil. */
static int drained(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  mu_join *j = lua_touserdata(L, 1);
  (void)status, (void)ctx;
  mu_unpark_quietly(s, s->current);
  return lua_isnil(L, 2) ? 0 : end_by_error(L, j, s->current->run.flags & MU_RAISE);
}

/* join, error or nil: cancels what has not ended, and waits for it, also in a cancelled task. */
static int join_close(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_join *j = check_join(L);
  lua_settop(L, 2);
  j->open = false;
  if (s->closed) return 0;
  mu_join_cancel(s, j);
  return mu_join_drain(L, s, mu_enter_shielded(L, s, "close"), j, drained);
}

static int join_detach(lua_State *L) {
  if (mu_self(L)->closed) return 0;
  mu_join_detach(mu_self(L), check_join(L));
  return 0;
}

/* join, task -> whether it was added: a closed join cancels it instead */
static int join_add(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_join *j = check_join(L);
  mu_task *t = mu_totask(L, s, 2);
  if (!t) luaL_typeerror(L, 2, "task");
  lua_settop(L, 2);
  bool open = j->open;
  if (open) mu_join_add(L, s, j, 1);
  else if (!s->closed) mu_task_cancel(s, t);
  lua_pushboolean(L, open);
  return 1;
}

static int join_seal(lua_State *L) {
  if (mu_self(L)->closed) return 0;
  mu_join_seal(mu_self(L), check_join(L));
  return 0;
}

/* options, what, list or nil -> join. Without a list it is open. what: the function to name in errors. */
static int join(lua_State *L) {
  mu_sched *s = mu_self(L);
  uint32_t limit = mu_check_limit(L, 1);
  const char *what = luaL_checkstring(L, 2);
  bool open = lua_isnoneornil(L, 3);
  uint32_t n = 0;
  if (open) lua_newtable(L);
  else n = push_tasks(L, s, what, 3);
  mu_join_new(L, s, n, limit, MU_JOIN_QUEUE, open);
  set_class(L);
  return 1;
}

/* what, list -> a list of its items as tasks; what is named in errors */
static int to_tasks(lua_State *L) {
  push_tasks(L, mu_self(L), luaL_checkstring(L, 1), 2);
  return 1;
}

static int as_completed(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_enter(L, s, "as_completed");
  luaL_checktype(L, 1, LUA_TTABLE);
  uint32_t limit = mu_check_limit(L, 2);
  lua_settop(L, 2);
  uint32_t n = push_tasks(L, s, "as_completed", 1);
  mu_join_new(L, s, n, limit, MU_JOIN_QUEUE, false);
  set_class(L);
  lua_getfield(L, lua_upvalueindex(2), "iterator");
  lua_pushvalue(L, 3);
  lua_pushnil(L);
  lua_pushvalue(L, 3);
  return 4; /* iterator, join, nil, join to be closed */
}

void mu_bind_join(lua_State *L, int s) {
  static const luaL_Reg methods[] = {{"next", join_next},   {"add", join_add},       {"seal", join_seal},
                                     {"close", join_close}, {"__close", join_close}, {"detach", join_detach},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"gather", gather},
                                       {"join", join},
                                       {"as_completed", as_completed},
                                       {"to_tasks", to_tasks},
                                       {NULL, NULL}};
  mu_class(L, s, "join", methods);
  lua_pushvalue(L, s);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, as_completed_next, 2);
  lua_setfield(L, -2, "iterator");
  mu_constructors(L, s, functions);
}
