#include "bind/bind.h"
#include "sched/join.h"
#include "sched/site.h"

static mu_join *check_group(lua_State *L) { return mu_check_object(L, 1); }

static void left_open(mu_sched *s, mu_scope *sc) {
  static const char text[] =
      "muster: warning: a group was left open when its task, or a group around it, ended; its "
      "tasks are cancelled; write: local g <close> = async.group()\n";
  mu_join *j = mu_container(sc, mu_join, scope);
  j->open = false;
  if (s->closed) return;
  if (!sc->unwound) s->hooks.report(s->hooks.data, text, sizeof text - 1);
  mu_join_cancel(s, j);
}

static int group(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = mu_enter(L, s, "group");
  uint32_t limit = mu_check_limit(L, 1);
  lua_newtable(L);
  mu_join *j = mu_join_new(L, s, 0, limit, MU_JOIN_GROUP | MU_JOIN_FAIL_FAST, true);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  mu_scope_init(&j->scope, -1, false);
  j->scope.abandoned = left_open;
  j->site = mu_site_here(L, s);
  lua_pushvalue(L, -1);
  j->scope.anchor = mu_anchor(s, L);
  mu_scope_open(L, s, &j->scope, t); /* has no deadline, so cannot fail */
  return 1;
}

/* group, function or task, arguments -> task */
static int group_spawn(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_join *j = check_group(L);
  if (!j->open) return luaL_error(L, "group:spawn: the group is closed");
  mu_task *t = mu_totask(L, s, 2);
  if (!t) {
    luaL_argexpected(L, lua_isfunction(L, 2), 2, "function or task");
    t = mu_make_task(L, s, lua_gettop(L) - 2);
  }
  luaL_argcheck(L, lua_gettop(L) == 2, 3, "a task takes its arguments when it is made");
  luaL_argcheck(L, t != s->current, 2, "the running task cannot join its own group");
  if (mu_task_state(t) == MU_CREATED) t->site = mu_site_here(L, s);
  lua_pushvalue(L, 2);
  mu_join_add(L, s, j, 1);
  lua_settop(L, 2);
  return 1;
}

static int group_cancel(lua_State *L) {
  if (mu_self(L)->closed) return 0;
  mu_join_cancel(mu_self(L), check_group(L));
  return 0;
}

/* ---- leaving ---- */

enum { TRACE = 3, MOST_TOLD = 3 }; /* index of the traceback; tasks that it tells of */

/* Appends the errors of the tasks to the list at index, which has the body's if that counts; but not the body's again,
** if it awaited the task that failed. Returns how many there are then. */
static lua_Integer append_failures(lua_State *L, mu_join *j, int list, bool body_counts) {
  lua_Integer n = body_counts, told = 0;
  lua_getiuservalue(L, 1, 1);
  int items = lua_gettop(L);
  for (uint32_t index; (index = mu_join_take(j)); lua_settop(L, items)) {
    lua_rawgeti(L, items, index);
    if (told++ < MOST_TOLD) {
      lua_pushvalue(L, TRACE);
      mu_trace_add_task(L, mu_self(L), -2);
      lua_replace(L, TRACE);
    }
    mu_task_push_results(L, lua_touserdata(L, -1), -1);
    if (!body_counts || !lua_rawequal(L, -1, 2)) lua_rawseti(L, list, ++n);
  }
  lua_pop(L, 1);
  return n;
}

/* Stack: group, error of the body or nil. Raises {kind="group", errors={the body's, the tasks'…}}. */
static int raise_group_error(lua_State *L, mu_join *j, bool body_counts) {
  lua_settop(L, 2);
  lua_pushliteral(L, "stack traceback:");
  lua_newtable(L);
  int list = lua_gettop(L);
  if (body_counts) {
    lua_pushvalue(L, 2);
    lua_rawseti(L, list, 1);
  }
  lua_Integer n = append_failures(L, j, list, body_counts);
  lua_rawgeti(L, list, 1);
  mu_error_text(L);
  const char *first = lua_tostring(L, -1);
  if (n == 1) mu_push_error(L, "group", "an error in a group: %s", first);
  else mu_push_error(L, "group", "%I errors in a group, the first: %s", (LUAI_UACINT)n, first);
  lua_pushvalue(L, list);
  lua_setfield(L, -2, "errors");
  mu_site_push(L, mu_self(L), j->site);
  lua_pushfstring(L, "%s\nin the group begun at %s", lua_tostring(L, TRACE), lua_tostring(L, -1));
  lua_replace(L, -2);
  return mu_raise_traced(L, mu_self(L));
}

static int all_ended(lua_State *L, int status, lua_KContext ctx);

/* Stack: group, error or nil. An error, a cancellation, or another task that closes the coroutine which opened the group,
** cancels the tasks first. */
static int wait_for_all(lua_State *L, mu_sched *s, mu_task *t, mu_join *j) {
  bool cancel = !lua_isnil(L, 2) || t->run.flags & MU_RAISE || t != j->scope.deadline.op.task;
  if (cancel) mu_join_cancel(s, j);
  if (cancel && mu_join_waits_for(j, t)) mu_scope_close(s, &j->scope); /* the next raises */
  return cancel ? mu_join_drain(L, s, t, j, all_ended) : mu_join_wait(L, s, t, j, all_ended);
}

static int all_ended(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  mu_join *j = lua_touserdata(L, 1);
  mu_task *t = s->current;
  (void)status, (void)ctx;
  mu_unpark_quietly(s, t);
  if (j->ended < j->total) return wait_for_all(L, s, t, j); /* its tasks have spawned others meanwhile */
  j->open = false;
  bool failed = !lua_isnil(L, 2);
  bool secondary = failed && (mu_scope_owns(L, s, &j->scope, 2) || mu_is_error(L, 2, "cancelled"));
  mu_scope_close(s, &j->scope);
  if (j->failed) return raise_group_error(L, j, failed && !secondary);
  if (!failed && t->run.flags & MU_RAISE) mu_task_raise(L, s, t);
  return 0;
}

/* group, error or nil: waits for the tasks, which may still spawn others. */
static int group_close(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_join *j = check_group(L);
  lua_settop(L, 2);
  if (s->closed || !j->scope.deadline.op.task) return 0;
  mu_task *t = mu_enter_shielded(L, s, "group:close");
  if (L == j->scope.L && t != j->scope.deadline.op.task) return wait_for_all(L, s, t, j);
  luaL_argcheck(L, t == j->scope.deadline.op.task, 1, "a group is closed by the task that made it");
  luaL_argcheck(L, !t->scope->in_slab, 1,
                "a group is not closed from inside a timeout or shield that began after it");
  return wait_for_all(L, s, t, j);
}

static int group_close_method(lua_State *L) {
  lua_settop(L, 1);
  return group_close(L);
}

static int group_waited(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  return 0;
}

static int group_wait(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_join *j = check_group(L);
  return mu_join_watch(L, s, mu_enter(L, s, "group:wait"), j, group_waited);
}

void mu_bind_group(lua_State *L, int s) {
  static const luaL_Reg methods[] = {{"spawn", group_spawn},        {"cancel", group_cancel},
                                     {"close", group_close_method}, {"wait", group_wait},
                                     {"__close", group_close},      {NULL, NULL}};
  static const luaL_Reg functions[] = {{"group", group}, {NULL, NULL}};
  mu_class(L, s, "group", methods);
  mu_constructors(L, s, functions);
}
