#include "sched/inspect.h"
#include "sched/frames.h"
#include "sched/join.h"
#include "sched/site.h"
#include "sched/inside.h"

#include <stdarg.h>

enum { MAX_OPS = 80, MAX_AWAITERS = 32 };

/* ---- for classes of ops ---- */

void mu_describe(lua_State *L, const char *field, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  lua_pushvfstring(L, fmt, args);
  va_end(args);
  lua_setfield(L, -2, field);
}

void mu_describe_task(lua_State *L, const char *field, uint64_t id) {
  luaL_getsubtable(L, -1, field);
  lua_pushinteger(L, (lua_Integer)id);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

static void set_number(lua_State *L, const char *field, double number) {
  lua_pushnumber(L, number > 0 ? number : 0);
  lua_setfield(L, -2, field);
}

static void set_flag(lua_State *L, const char *field, bool flag) {
  if (!flag) return;
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, field);
}

static double now(mu_sched *s) { return s->hooks.now(s->hooks.data); }

/* When the timer is due; negative if it is not armed. */
static double due(const mu_sched *s, const mu_timer *t) {
  return mu_heap_has(&t->item) ? s->timers.nodes[t->item.position].key : -1;
}

void mu_timer_describe(lua_State *L, mu_sched *s, const mu_op *op) {
  double at = due(s, (const mu_timer *)op);
  if (at >= 0) set_number(L, "left", at - now(s));
}

/* ---- facts ---- */
/* Any allocation may run a finalizer, and that may end waits, or even free an op: lists are copied before, and an op is
** looked at only if it is still there. */

static bool waits_on(const mu_task *t, const mu_op *op) {
  const mu_op *at = t->ops;
  while (at && at != op) at = at->next;
  return at;
}

static void push_wait(lua_State *L, mu_sched *s, const mu_task *t, const mu_op *op) {
  lua_createtable(L, 0, 4);
  if (!waits_on(t, op)) {
    mu_describe(L, "what", "nothing any more");
    return;
  }
  const mu_opclass *cls = op->cls;
  const char *which = cls->which ? cls->which(op) : NULL;
  double seconds = now(s) - op->since;
  if (which) mu_describe(L, "what", "%s '%s'", cls->name, which);
  else mu_describe(L, "what", "%s", cls->name);
  set_number(L, "seconds", seconds);
  if (cls->describe && waits_on(t, op)) cls->describe(L, s, op);
}

/* Ops are listed last first. */
static void set_waits(lua_State *L, mu_sched *s, const mu_task *t) {
  const mu_op *ops[MAX_OPS];
  int n = 0;
  for (const mu_op *op = t->ops; op && n < MAX_OPS; op = op->next) ops[n++] = op;
  lua_createtable(L, n, 0);
  for (int i = n; i > 0; i--) {
    push_wait(L, s, t, ops[i - 1]);
    lua_rawseti(L, -2, n - i + 1);
  }
  lua_setfield(L, -2, "waits");
}

static void set_awaited_by(lua_State *L, const mu_task *t) {
  uint64_t ids[MAX_AWAITERS];
  int n = 0;
  for (const mu_link *l = t->waiters.next; l != &t->waiters && n < MAX_AWAITERS; l = l->next) {
    const mu_op *op = &mu_container(l, mu_queued, link)->op;
    if (op->task) ids[n++] = op->task->id;
    else n += mu_join_awaiters(op, ids + n, MAX_AWAITERS - n);
  }
  for (int i = 0; i < n; i++) mu_describe_task(L, "awaited_by", ids[i]);
}

static void set_timeout(lua_State *L, mu_sched *s, const mu_task *t) {
  double first = -1;
  for (const mu_scope *sc = t->scope; sc; sc = sc->outer) {
    double at = due(s, &sc->deadline);
    if (at >= 0 && (first < 0 || at < first)) first = at;
  }
  if (first >= 0) set_number(L, "timeout", first - now(s));
}

static void set_places(lua_State *L, mu_sched *s, const mu_task *t) {
  lua_Debug ar;
  char place[MU_PLACE_SIZE];
  mu_site_push(L, s, t->site);
  lua_setfield(L, -2, "spawned");
  if (!t->u.co) return;
  set_flag(L, "main", t->id == 1 && mu_frames_have_main(t->u.co));
  if (!mu_frame_of_script(t->u.co, s, &ar)) return;
  mu_frame_place(&ar, place);
  lua_pushstring(L, place);
  lua_setfield(L, -2, "line");
}

/* Sets the name of the task at index, if it was given one. */
static void set_name(lua_State *L, mu_sched *s, int index) {
  mu_push_root(s, L, MU_ROOT_NAMES);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_setfield(L, -3, "name");
  lua_pop(L, 1);
}

void mu_facts_push(lua_State *L, mu_sched *s, int index) {
  index = lua_absindex(L, index);
  const mu_task *t = lua_touserdata(L, index);
  luaL_checkstack(L, 10, NULL);
  if (mu_task_ended(t) || t->run.state == MU_CREATED) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, 0, 8);
  lua_pushvalue(L, index);
  lua_setfield(L, -2, "task");
  lua_pushinteger(L, (lua_Integer)t->id);
  lua_setfield(L, -2, "id");
  lua_pushstring(L, mu_state_name(mu_task_state(t)));
  lua_setfield(L, -2, "status");
  set_flag(L, "daemon", t->run.flags & MU_DAEMON);
  set_flag(L, "cancelled", t->run.flags & MU_CANCEL);
  set_name(L, s, index);
  set_places(L, s, t);
  set_timeout(L, s, t);
  set_awaited_by(L, t);
  if (t->run.state == MU_WAITING) set_waits(L, s, t);
}
