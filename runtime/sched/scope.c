/* scope.c: cancel scopes, and which of them is in force.
**
** Cancellation is level-triggered: while a cancelled scope is in force, every suspending call of the task raises the
** error of the outermost one, until that scope is left. A shield hides what is further out. The task itself is the
** outermost scope (MU_CANCEL). Whether any is in force is kept in the flag MU_RAISE, so that asking costs one test. */
#include "sched/inside.h"

/* ---- which scope is in force? ---- */

/* The outermost cancelled scope inside any shield, or NULL. *all: no shield hides the task's own cancellation. */
static mu_scope *outermost(mu_task *t, bool *all) {
  mu_scope *found = NULL;
  *all = false;
  for (mu_scope *sc = t->scope; sc; sc = sc->outer) {
    if (sc->cancelled) found = sc;
    if (sc->shield) return found;
  }
  *all = true;
  return found;
}

static bool cancelled_from(const mu_task *t, const mu_scope *sc) {
  for (; sc; sc = sc->outer)
    if (sc->cancelled) return true;
  return t->run.flags & MU_CANCEL;
}

/* A shield that holds a cancellation back does so for cleanup_limit seconds at most. */
static void limit_shields(mu_sched *s, mu_task *t) {
  for (mu_scope *sc = t->scope; sc; sc = sc->outer)
    if (sc->shield && !mu_heap_has(&sc->deadline.item) && !sc->cancelled && cancelled_from(t, sc->outer))
      mu_timer_start(s, &sc->deadline, s->hooks.now(s->hooks.data) + s->cleanup_limit);
}

void mu_task_recheck(mu_sched *s, mu_task *t) {
  bool all;
  bool raise = outermost(t, &all) || (all && (t->run.flags & MU_CANCEL));
  bool before = t->run.flags & MU_RAISE;
  if (s->cleanup_limit > 0) limit_shields(s, t);
  if (raise == before) return;
  t->run.flags ^= MU_RAISE;
  if (raise) mu_task_interrupt(s, t);
}

/* Pushes the cancel error of the task itself. */
static void push_task_error(lua_State *L, mu_sched *s, mu_task *t) {
  mu_task_push(L, s, t);
  if (t->run.flags & MU_NOERROR) {
    mu_push_error(L, "cancelled", "task was cancelled");
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, 1);
    t->run.flags &= (uint16_t)~MU_NOERROR;
  } else {
    lua_getiuservalue(L, -1, 1);
  }
  lua_remove(L, -2);
}

void mu_task_raise(lua_State *L, mu_sched *s, mu_task *t) {
  bool all;
  mu_scope *sc = outermost(t, &all);
  luaL_checkstack(L, 8, NULL);
  if (all && (t->run.flags & MU_CANCEL)) push_task_error(L, s, t);
  else mu_scope_push_error(L, s, sc);
  lua_error(L);
}

/* ---- one scope ---- */

static void expire(mu_sched *s, mu_op *op) { mu_scope_cancel(s, (mu_scope *)op); }

static const mu_opclass deadline_class = {.name = "a deadline", .size = sizeof(mu_scope), .fire = expire};

void mu_scope_init(mu_scope *sc, double seconds, bool shield) {
  *sc = (mu_scope){.seconds = seconds, .shield = shield};
  sc->deadline.op.cls = &deadline_class;
  sc->deadline.item.position = MU_HEAP_OUT;
}

bool mu_scope_open(lua_State *L, mu_sched *s, mu_scope *sc, mu_task *t) {
  if (sc->seconds >= 0 && !mu_timer_start(s, &sc->deadline, s->hooks.now(s->hooks.data) + sc->seconds))
    return false;
  sc->deadline.op.task = t;
  sc->outer = t->scope;
  sc->L = L;
  t->scope = sc;
  mu_task_recheck(s, t);
  return true;
}

/* Takes the innermost scope off its task. abandoned: not by itself. gone: the task has ended, and with it the frame that
** would have freed the scope. */
static void pop_scope(mu_sched *s, mu_task *t, bool abandoned, bool gone) {
  mu_scope *sc = t->scope;
  uint32_t anchor = sc->anchor;
  t->scope = sc->outer;
  mu_timer_stop(s, &sc->deadline);
  if (sc->error) mu_unanchor(s, sc->error);
  sc->error = sc->anchor = 0;
  sc->deadline.op.task = NULL;
  if (abandoned && sc->abandoned) sc->abandoned(s, sc);
  if (gone && sc->in_slab) mu_trace_forget_scope(s, t, sc);
  if (gone && sc->in_slab) mu_slab_put(s->slab, sc, sizeof *sc);
  if (anchor) mu_unanchor(s, anchor);
}

void mu_scope_close(mu_sched *s, mu_scope *sc) {
  mu_task *t = sc->deadline.op.task;
  if (!t) return;
  while (t->scope != sc) pop_scope(s, t, true, true);
  pop_scope(s, t, false, false);
  mu_task_recheck(s, t);
}

void mu_scopes_abandon(mu_sched *s, mu_task *t) {
  while (t->scope) pop_scope(s, t, true, true);
}

void mu_scopes_abandon_in(mu_sched *s, mu_task *t, const lua_State *co) {
  if (!t->scope || t->scope->L != co) return;
  while (t->scope && t->scope->L == co) {
    t->scope->unwound = true;
    pop_scope(s, t, true, true);
  }
  mu_task_recheck(s, t);
}

void mu_scope_cancel(mu_sched *s, mu_scope *sc) {
  mu_task *t = sc->deadline.op.task;
  if (sc->cancelled || !t) return;
  sc->cancelled = true;
  mu_task_recheck(s, t);
}

void mu_scope_push_error(lua_State *L, mu_sched *s, mu_scope *sc) {
  if (sc->error) {
    mu_push_anchored(s, L, sc->error);
    return;
  }
  if (sc->shield) mu_push_error(L, "cancelled", "task was cancelled, and its clean-up took too long");
  else if (sc->seconds < 0)
    mu_push_error(L, "cancelled", "cancelled because another task of the group failed");
  else {
    mu_push_error(L, "timeout", "timeout after %f s", sc->seconds);
    lua_pushnumber(L, sc->seconds);
    lua_setfield(L, -2, "seconds");
  }
  lua_pushvalue(L, -1);
  sc->error = mu_anchor(s, L);
}

bool mu_scope_owns(lua_State *L, mu_sched *s, const mu_scope *sc, int index) {
  if (!sc->error) return false;
  index = lua_absindex(L, index);
  mu_push_anchored(s, L, sc->error);
  bool same = lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return same;
}

/* ---- a call inside a scope ---- */

int mu_scope_call(lua_State *L, mu_sched *s, int nargs, double seconds, bool shield, lua_KFunction k) {
  mu_scope *sc = mu_slab_get(s->slab, sizeof *sc);
  if (!sc) return luaL_error(L, "not enough memory");
  mu_scope_init(sc, seconds, shield);
  sc->in_slab = true;
  if (!mu_scope_open(L, s, sc, s->current)) {
    mu_slab_put(s->slab, sc, sizeof *sc);
    return luaL_error(L, "not enough memory");
  }
  if (seconds == 0) mu_scope_cancel(s, sc);
  lua_pushcfunction(L, mu_traceback);
  lua_insert(L, 1);
  int status = lua_pcallk(L, nargs, LUA_MULTRET, 1, (lua_KContext)sc, k);
  return k(L, status, (lua_KContext)sc);
}

bool mu_scope_end(lua_State *L, mu_sched *s, mu_scope *sc, int status) {
  bool failed = status != LUA_OK && status != LUA_YIELD;
  bool mine = failed && mu_scope_owns(L, s, sc, -1);
  mu_scope_close(s, sc);
  mu_slab_put(s->slab, sc, sizeof *sc);
  mu_trace_end_scope(L, s, sc, failed); /* to which it is only a key */
  return mine;
}
