/* report.c: names, and reports of what nobody looked at: failed tasks, and tasks that were never started. The latter are
** counted in the record of the async function that made them, which costs nothing for each task. */
#include "sched/inside.h"
#include "sched/site.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names ---- */

static void tell_name(lua_State *L, mu_sched *s, mu_task *t, int name) {
  size_t n;
  const char *text = lua_tolstring(L, name, &n);
  if (text) s->observer->named(s->observer->data, t, text, n);
}

void mu_task_set_name(lua_State *L, mu_sched *s, int index, int name) {
  if (s->observer && s->observer->named) tell_name(L, s, lua_touserdata(L, index), name);
  lua_pushvalue(L, index);
  lua_pushvalue(L, name < 0 ? name - 1 : name);
  mu_push_root(s, L, MU_ROOT_NAMES);
  lua_insert(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void mu_task_push_name(lua_State *L, mu_sched *s, int index) {
  index = lua_absindex(L, index);
  mu_push_root(s, L, MU_ROOT_NAMES);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  const mu_task *t = lua_touserdata(L, index);
  if (t->id) lua_pushfstring(L, "task %I", (LUAI_UACINT)t->id);
  else lua_pushliteral(L, "task");
}

/* ---- reports ---- */

static void say(mu_sched *s, lua_State *L) {
  size_t n;
  const char *text = lua_tolstring(L, -1, &n);
  s->hooks.report(s->hooks.data, text, n);
  lua_pop(L, 1);
}

void mu_error_text(lua_State *L) {
  if (lua_tostring(L, -1)) return; /* numbers become texts */
  if (luaL_getmetafield(L, -1, "__tostring") != LUA_TNIL) {
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) return;
    lua_pop(L, 1);
    lua_pushliteral(L, "(error object whose __tostring fails)");
    return;
  }
  lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, -1));
  lua_remove(L, -2);
}

void mu_report_failed(lua_State *L, mu_sched *s, mu_task *t, int task) {
  s->unhandled++;
  luaL_checkstack(L, 10, NULL);
  mu_task_push_results(L, t, task); /* observes it */
  mu_error_text(L);
  mu_task_push_name(L, s, task);
  mu_task_push_traceback(L, task);
  const char *trace = lua_tostring(L, -1);
  mu_site_push_line(L, s, t->site);
  lua_pushfstring(L, "muster: unhandled error in %s: %s%s%s%s\n", lua_tostring(L, -3), lua_tostring(L, -4),
                  trace ? "\n" : "", trace ? trace : "", lua_tostring(L, -1));
  say(s, L);
  lua_pop(L, 4);
}

static void report_unseen(mu_sched *s, lua_State *L) {
  mu_push_root(s, L, MU_ROOT_UNSEEN);
  int table = lua_gettop(L);
  for (; s->failures_reported < s->failures; lua_settop(L, table)) {
    lua_rawgeti(L, table, (lua_Integer)++s->failures_reported);
    mu_task *t = mu_totask(L, s, -1);
    if (t && !(t->run.flags & MU_OBSERVED)) mu_report_failed(L, s, t, lua_gettop(L));
  }
  lua_pop(L, 1);
}

/* ---- tasks that were never started ---- */

struct mu_maker {
  mu_link link;
  size_t pending;  /* tasks created and neither started nor cancelled */
  size_t reported; /* of these */
  bool closed;     /* the async function is gone */
  bool over;       /* the scheduler is gone */
  char where[LUA_IDSIZE + 32];
};

mu_maker *mu_maker_new(lua_State *L, mu_sched *s, int function) {
  lua_Debug ar;
  if (s->closed) return NULL;
  mu_maker *m = calloc(1, sizeof *m);
  if (!m) luaL_error(L, "not enough memory");
  lua_pushvalue(L, function);
  lua_getinfo(L, ">S", &ar);
  if (ar.linedefined > 0) snprintf(m->where, sizeof m->where, "%s:%d", ar.short_src, ar.linedefined);
  else snprintf(m->where, sizeof m->where, "%s", ar.short_src);
  mu_list_push(&s->makers, &m->link);
  return m;
}

static void maker_free(mu_maker *m) {
  mu_list_remove(&m->link);
  free(m);
}

void mu_maker_created(mu_maker *m) { m->pending++; }

void mu_maker_started(mu_maker *m) {
  m->pending--;
  if (m->reported > m->pending) m->reported = m->pending;
  if (m->closed && m->pending == 0) maker_free(m);
}

void mu_maker_close(mu_maker *m) {
  m->closed = true;
  if (m->pending == 0 || m->over) maker_free(m);
}

void mu_makers_free(mu_sched *s) {
  while (!mu_list_empty(&s->makers)) {
    mu_maker *m = mu_container(s->makers.next, mu_maker, link);
    mu_list_remove(&m->link);
    m->over = true;
    if (m->closed) free(m);
    else mu_list_init(&m->link); /* its async function still holds it, and frees it */
  }
}

static void report_never_started(mu_sched *s, lua_State *L) {
  for (mu_link *l = s->makers.next; l != &s->makers; l = l->next) {
    mu_maker *m = mu_container(l, mu_maker, link);
    size_t n = m->pending - m->reported;
    if (n == 0) continue;
    lua_pushfstring(L, "muster: warning: %I task%s of the async function at %s %s never started\n",
                    (LUAI_UACINT)n, n > 1 ? "s" : "", m->where, n > 1 ? "were" : "was");
    m->reported = m->pending;
    say(s, L);
  }
}

static int report(lua_State *L) {
  mu_sched *s = lua_touserdata(L, 1);
  report_unseen(s, L);
  report_never_started(s, L);
  return 0;
}

void mu_sched_report(mu_sched *s) {
  lua_State *L = s->L;
  if (!lua_checkstack(L, 4)) return;
  lua_pushcfunction(L, report);
  lua_pushlightuserdata(L, s);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* ---- tasks that wait for ever ---- */

void mu_op_push_what(lua_State *L, const mu_op *op) {
  if (!op) lua_pushliteral(L, "nothing");
  else if (op->cls->which) lua_pushfstring(L, "%s '%s'", op->cls->name, op->cls->which(op));
  else lua_pushstring(L, op->cls->name);
}

static void report_waiter(lua_State *L, mu_task *t, void *data) {
  mu_sched *s = data;
  if (t->run.state != MU_WAITING) return;
  mu_task_push_name(L, s, -1);
  mu_op_push_what(L, t->ops);
  luaL_traceback(L, t->u.co, NULL, 0);
  lua_pushfstring(L, "%s waits for %s\n%s\n", lua_tostring(L, -3), lua_tostring(L, -2), lua_tostring(L, -1));
  say(s, L);
}

static int report_waiting(lua_State *L) {
  mu_sched *s = lua_touserdata(L, 1);
  mu_each_task(L, s, report_waiter, s);
  return 0;
}

void mu_sched_report_waiting(mu_sched *s) {
  lua_pushcfunction(s->L, report_waiting);
  lua_pushlightuserdata(s->L, s);
  if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) lua_pop(s->L, 1);
}
