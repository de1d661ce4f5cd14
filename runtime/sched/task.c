/* task.c: the life of a task. This file is the one that calls lua_resume.
**
** created -> ready <-> running <-> waiting -> done, failed or cancelled.
** A task that has not begun has no coroutine: it takes one from the pool at its first run, and gives it back at its
** end. The coroutine's stack then begins with the task's userdata, which anchors it, and the function `body`, which
** catches the error of the script's function after its variables were closed. */
#include "sched/inside.h"

#include <assert.h>

enum { MAX_ARGS = 250 };

/* ---- states ---- */

static const struct {
  const char *name;
  unsigned next; /* legal moves */
} states[] = {
    [MU_CREATED] = {"created", 1 << MU_READY | 1 << MU_CANCELLED | 1 << MU_FAILED},
    [MU_READY] = {"ready", 1 << MU_RUNNING | 1 << MU_WAITING | 1 << MU_CANCELLED | 1 << MU_FAILED},
    [MU_RUNNING] = {"running",
                    1 << MU_READY | 1 << MU_WAITING | 1 << MU_DONE | 1 << MU_FAILED | 1 << MU_CANCELLED},
    [MU_WAITING] = {"waiting", 1 << MU_READY | 1 << MU_CANCELLED},
    [MU_DONE] = {"done", 0},
    [MU_FAILED] = {"failed", 0},
    [MU_CANCELLED] = {"cancelled", 0},
};

const char *mu_state_name(mu_state state) { return states[state].name; }

void mu_set_state(mu_task *t, mu_state state) {
  assert(states[t->run.state].next & 1u << state && "an illegal move of a task");
  t->run.state = (uint8_t)state;
}

/* ---- creation and start ---- */

mu_task *mu_task_push_new(lua_State *L, int nargs, int metatable, mu_maker *maker) {
  if (mu_unlikely(nargs > MAX_ARGS)) luaL_error(L, "a task takes at most %d arguments", MAX_ARGS);
  mu_task *t = lua_newuserdatauv(L, sizeof *t, nargs + 1);
  *t = (mu_task){.run = {.state = MU_CREATED, .nargs = (uint8_t)nargs}, .u.maker = maker};
  mu_list_init(&t->run.link);
  mu_list_init(&t->waiters);
  lua_pushvalue(L, metatable);
  lua_setmetatable(L, -2);
  if (maker) mu_maker_created(maker);
  return t;
}

mu_task *mu_task_new(lua_State *L, mu_sched *s, int nargs) {
  luaL_checkstack(L, 3, NULL);
  int function = lua_gettop(L) - nargs;
  mu_push_root(s, L, MU_ROOT_TASK_META);
  mu_task *t = mu_task_push_new(L, nargs, -2, NULL);
  lua_replace(L, -2);      /* the metatable */
  lua_insert(L, function); /* task, function, arguments */
  for (int i = nargs + 1; i >= 1; i--) lua_setiuservalue(L, function, i);
  return t;
}

mu_task *mu_totask(lua_State *L, mu_sched *s, int index) {
  mu_task *t = lua_touserdata(L, index);
  if (!t || !lua_getmetatable(L, index)) return NULL;
  bool is = lua_topointer(L, -1) == s->task_meta;
  lua_pop(L, 1);
  return is ? t : NULL;
}

/* Counts a created task as started. */
void mu_task_count_start(mu_sched *s, mu_task *t) {
  if (t->u.maker) mu_maker_started(t->u.maker);
  t->u.co = NULL;
  mu_set_state(t, MU_READY);
  t->id = ++s->tasks;
  if (++s->alive > s->peak) s->peak = s->alive;
  if (t->run.flags & MU_DAEMON) s->daemons++;
}

void mu_task_start(lua_State *L, mu_sched *s, mu_task *t, int index) {
  if (s->closed) luaL_error(L, "the runtime is closed");
  lua_pushvalue(L, index);
  t->run.slot = mu_anchor(s, L);
  mu_task_count_start(s, t);
  mu_ready(s, &t->run);
}

void mu_task_daemon(mu_sched *s, mu_task *t) {
  if (t->run.flags & MU_DAEMON) return;
  t->run.flags |= MU_DAEMON;
  if (t->run.state != MU_CREATED && !mu_task_ended(t)) s->daemons++;
}

/* The stack of a coroutine between tasks, and when one has ended. */
enum { CO_BODY = 1, CO_TASK, CO_RESULT = MU_CO_RESULT };

/* The deepest level of a coroutine's call stack. */
static int bottom_level(lua_State *co) {
  lua_Debug ar;
  int low = 0, high = 1;
  while (lua_getstack(co, high, &ar)) low = high, high *= 2;
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (lua_getstack(co, middle, &ar)) low = middle;
    else high = middle;
  }
  return low;
}

/* The userdata of a task that has begun is the first argument of `body`. */
void mu_task_push(lua_State *L, mu_sched *s, const mu_task *t) {
  lua_State *co = t->u.co;
  if (!co) {
    mu_push_anchored(s, L, t->run.slot);
    return;
  }
  lua_Debug ar;
  luaL_checkstack(co, 2, NULL);
  if (lua_getstack(co, 0, &ar)) {
    lua_getstack(co, bottom_level(co), &ar);
    if (!lua_getlocal(co, &ar, 1)) lua_pushnil(co); /* it is being killed */
  } else {
    lua_pushvalue(co, CO_BODY + 2); /* it could not even begin */
  }
  if (L != co) lua_xmove(co, L, 1);
}

/* ---- running ---- */

/* The stack of `body` while the script's function runs. */
enum { BODY_TASK = 1, BODY_HANDLER, BODY_RESULT };

/* Several results become a table. */
static void pack_results(lua_State *L, mu_task *t, int n) {
  lua_createtable(L, n, 1);
  lua_insert(L, BODY_RESULT);
  for (int i = n; i >= 1; i--) lua_rawseti(L, BODY_RESULT, i);
  lua_pushinteger(L, n);
  lua_setfield(L, BODY_RESULT, "n");
  t->run.flags |= MU_PACKED;
}

static int body_ended(lua_State *L, int status, lua_KContext sched) {
  mu_sched *s = (mu_sched *)sched;
  mu_task *t = s->current;
  int n = lua_gettop(L) - BODY_HANDLER;
  if (mu_unlikely(status != LUA_OK && status != LUA_YIELD)) {
    t->run.flags |= MU_ERROR;
    mu_pack_error(L, s, t);
  } else {
    t->run.nargs = n > 0;
    if (n > 1) pack_results(L, t, n);
  }
  return lua_gettop(L);
}

/* The first function of every coroutine: task, message handler, function, arguments -> task, handler, and the result or
** error if there is one. Upvalue 1: the scheduler. */
static int body(lua_State *L) {
  mu_sched *s = mu_self(L);
  int status =
      lua_pcallk(L, lua_gettop(L) - BODY_HANDLER - 1, LUA_MULTRET, BODY_HANDLER, (lua_KContext)s, body_ended);
  return body_ended(L, status, (lua_KContext)s);
}

void mu_task_push_body(lua_State *L, mu_sched *s) {
  lua_pushlightuserdata(L, s);
  lua_pushcclosure(L, body, 1);
}

/* Every error but the task's own cancel error was packed. */
static mu_state end_state(const mu_task *t) {
  if (!(t->run.flags & MU_ERROR)) return MU_DONE;
  return t->run.flags & MU_PACKED ? MU_FAILED : MU_CANCELLED;
}

static void tell_waiters(mu_sched *s, mu_task *t) {
  while (!mu_list_empty(&t->waiters)) {
    mu_queued *q = mu_queue_first(&t->waiters);
    mu_list_remove(&q->link);
    mu_fire(s, &q->op);
  }
  if (!mu_list_empty(&s->failed_joins)) mu_joins_cancel_failed(s);
}

/* The last step of every task: whoever waits for it wakes. */
static void finish(mu_sched *s, mu_task *t, mu_state state) {
  if (t->run.state != MU_CREATED) {
    s->alive--;
    if (t->run.flags & MU_DAEMON) s->daemons--;
  }
  mu_set_state(t, state);
  if (t->run.flags & MU_TRACED) mu_trace_forget(s, t);
  if (!mu_list_empty(&t->waiters)) tell_waiters(s, t);
}

/* The coroutine of t has returned from `body`. What is on its stack stays there until all know. */
static void ended(mu_sched *s, mu_task *t) {
  lua_State *co = t->u.co;
  mu_state state = end_state(t);
  if (!t->run.nargs && state == MU_DONE) lua_pushnil(co);
  lua_pushvalue(co, CO_RESULT);
  lua_setiuservalue(co, CO_TASK, 1);
  mu_scopes_abandon(s, t);
  finish(s, t, state);
  t->u.co = NULL;
  if (t->run.flags & MU_HELD) {
    lua_settop(co, 0); /* dead, to those who hold it */
    mu_coroutine_drop(s, t->run.slot);
  } else {
    mu_coroutine_release(s, co, t->run.slot);
  }
  t->run.slot = 0;
}

/* light userdata s, task -> */
static int report(lua_State *L) {
  mu_report_failed(L, lua_touserdata(L, 1), lua_touserdata(L, 2), 2);
  return 0;
}

/* Reports the task on top of L, as far as memory allows. */
static void report_safely(lua_State *L, mu_sched *s) {
  lua_pushcfunction(L, report);
  lua_pushlightuserdata(L, s);
  lua_pushvalue(L, -3);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* The coroutine of t died: a stray yield, or an error that `body` could not catch (its text is on top). Its variables
** are closed, and it is not used again. */
static void died(mu_sched *s, mu_task *t, lua_State *L) {
  mu_task_push(L, s, t);
  lua_insert(L, -2); /* task, error */
  mu_kill_coroutine(t->u.co, L);
  mu_ops_abandon(s, t);
  mu_scopes_abandon(s, t);
  lua_setiuservalue(L, -2, 1);
  bool unseen = mu_list_empty(&t->waiters) && !(t->run.flags & MU_OBSERVED);
  t->run.flags &= (uint16_t) ~(MU_PACKED | MU_NOERROR);
  finish(s, t, MU_FAILED);
  mu_coroutine_drop(s, t->run.slot);
  t->u.co = NULL;
  t->run.slot = 0;
  if (unseen) report_safely(L, s);
  lua_pop(L, 1);
}

static void resume(mu_sched *s, mu_task *t, int nargs) {
  int n;
  lua_State *co = t->u.co;
  mu_set_state(t, MU_RUNNING);
  s->current = t;
  s->resumes++;
  if (mu_unlikely(s->observer != NULL)) s->observer->resumed(s->observer->data, t);
  if (mu_unlikely(t->run.flags & MU_PIN)) {
    mu_unpin(s, t);
    return;
  }
  int status = lua_resume(co, s->from, nargs, &n);
  s->current = NULL;
  if (mu_unlikely(s->observer != NULL)) s->observer->suspended(s->observer->data, t);
  if (status == LUA_OK) {
    ended(s, t);
  } else if (mu_unlikely(status != LUA_YIELD)) {
    lua_xmove(co, s->from, 1);
    died(s, t, s->from);
  } else if (mu_unlikely(t->run.state == MU_RUNNING)) {
    lua_pushliteral(s->from, "attempt to yield from outside a coroutine");
    died(s, t, s->from);
  }
}

int mu_resume_inner(lua_State *L, mu_sched *s, lua_State *co, int nargs, int *nresults) {
  lua_State *outer = s->inner;
  bool blocked = s->blocked;
  s->blocked = !s->current || !mu_can_yield(L, s);
  s->inner = co;
  int status = lua_resume(co, L, nargs, nresults);
  s->inner = outer;
  s->blocked = blocked;
  return status;
}

void mu_task_run(mu_sched *s, mu_task *t) { resume(s, t, 0); }

/* Pushes the function and the arguments from the user values of the task at index ud of co. Arguments that take memory
** are let go; the function's place is for how the task ends. */
static void move_arguments(lua_State *co, int ud, int n) {
  lua_getiuservalue(co, ud, 1);
  for (int i = 2; i <= n; i++) {
    if (lua_getiuservalue(co, ud, i) < LUA_TSTRING) continue;
    lua_pushnil(co);
    lua_setiuservalue(co, ud, i);
  }
}

/* Memory has run out before the task could begin. */
void mu_task_fail(mu_sched *s, mu_task *t) {
  if (t->run.slot) mu_unanchor(s, t->run.slot);
  t->run.slot = 0;
  t->run.flags |= MU_NOERROR;
  finish(s, t, MU_FAILED);
}

void mu_task_begin(mu_sched *s, mu_task *t, lua_State *L) {
  mu_coroutine_reserve(s, L);
  if (mu_unlikely(mu_task_ended(t))) { /* cancelled by a finalizer that the collector ran meanwhile */
    if (t->run.slot) mu_unanchor(s, t->run.slot);
    t->run.slot = 0;
    lua_pop(L, 1);
    return;
  }
  int n = t->run.nargs + 1;
  uint32_t slot;
  lua_State *co = mu_coroutine_take(s, &slot);
  if (mu_unlikely(n > 10 && !lua_checkstack(co, n + 5))) {
    mu_coroutine_release(s, co, slot);
    luaL_error(L, "not enough memory");
  }
  if (t->run.slot) mu_unanchor(s, t->run.slot);
  t->run.slot = slot;
  t->u.co = co;
  lua_pushvalue(co, CO_BODY);
  lua_xmove(L, co, 1);
  lua_pushcfunction(co, mu_traceback);
  move_arguments(co, CO_BODY + 2, n);
  s->beginning = NULL;
  resume(s, t, n + 2);
}

/* ---- ends of other kinds ---- */

/* One op has fired, and the others are cancelled; but what can be revoked may still be listed somewhere. */
static void drop_fired(mu_sched *s, mu_task *t) {
  mu_op *fired = mu_fired(t);
  if (fired && fired->cls->revoke) fired->cls->cancel(s, fired);
  mu_ops_free(s, t);
}

/* Innermost first; at most as many as Lua lets nest. Variables that are closed must find none of them listed: the task
** has let go of them. */
static void kill_coroutines(mu_sched *s, lua_State *co) {
  lua_State *inner = mu_inner(co);
  mu_await_ended(s, co);
  if (inner) kill_coroutines(s, inner);
  mu_kill_coroutine(co, s->L);
}

void mu_task_kill(mu_sched *s, mu_task *t) {
  lua_State *co = t->u.co;
  mu_fiber *pinned = mu_pin_take(s, t);
  mu_scopes_abandon(s, t);
  if (t->run.state == MU_WAITING) mu_ops_abandon(s, t);
  else drop_fired(s, t);
  t->u.co = NULL;
  t->run.flags = (uint16_t)((t->run.flags & ~MU_PACKED) | MU_CANCEL | MU_NOERROR | MU_OBSERVED);
  if (t->run.state == MU_READY) mu_list_remove(&t->run.link);
  finish(s, t, MU_CANCELLED);
  if (co) kill_coroutines(s, co);
  mu_pin_drop(s, pinned);
}

/* ---- cancellation ---- */

/* Before its first run a task ends at once, and its function never runs. One that is queued leaves the queue later. */
static bool cancel_now(mu_sched *s, mu_task *t) {
  t->run.flags |= MU_CANCEL;
  if (t->run.state == MU_CREATED && t->u.maker) mu_maker_started(t->u.maker);
  if (t->run.state == MU_CREATED) t->u.co = NULL;
  if (t->run.state == MU_CREATED || (t->run.state == MU_READY && !t->u.co)) finish(s, t, MU_CANCELLED);
  else mu_task_recheck(s, t);
  return true;
}

static bool cancellable(const mu_task *t) { return !mu_task_ended(t) && !(t->run.flags & MU_CANCEL); }

bool mu_task_cancel(mu_sched *s, mu_task *t) {
  if (!cancellable(t)) return false;
  t->run.flags |= MU_NOERROR;
  return cancel_now(s, t);
}

bool mu_task_cancel_because(lua_State *L, mu_sched *s, mu_task *t, int task, int reason) {
  if (!cancellable(t)) return false;
  if (lua_isnoneornil(L, reason)) return mu_task_cancel(s, t);
  task = lua_absindex(L, task);
  reason = lua_absindex(L, reason);
  mu_push_error(L, "cancelled", "task was cancelled: %s", luaL_tolstring(L, reason, NULL));
  lua_pushvalue(L, reason);
  lua_setfield(L, -2, "reason");
  lua_setiuservalue(L, task, 1);
  lua_pop(L, 1);
  return cancel_now(s, t);
}

/* ---- results ---- */

/* Stack: ..., packed results -> ..., results. */
static int unpack(lua_State *L) {
  lua_getfield(L, -1, "n");
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many results");
  int table = lua_gettop(L);
  for (int i = 1; i <= n; i++) lua_rawgeti(L, table, i);
  lua_remove(L, table);
  return n;
}

/* Stack: ..., what the task at index ended with -> ..., error. */
static int push_error(lua_State *L, mu_task *t, int index) {
  if (t->run.flags & MU_PACKED) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  } else if (t->run.flags & MU_NOERROR) {
    lua_pop(L, 1);
    if (t->run.state == MU_FAILED) lua_pushliteral(L, "not enough memory");
    else mu_push_error(L, "cancelled", "task was cancelled");
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, 1);
    t->run.flags &= (uint16_t)~MU_NOERROR;
  }
  return -1;
}

int mu_task_push_results(lua_State *L, mu_task *t, int index) {
  assert(mu_task_ended(t) && "results of a task that goes on");
  index = lua_absindex(L, index);
  t->run.flags |= MU_OBSERVED;
  if (t->run.state == MU_DONE && !t->run.nargs) return 0;
  lua_getiuservalue(L, index, 1);
  if (t->run.state != MU_DONE) return push_error(L, t, index);
  return t->run.flags & MU_PACKED ? unpack(L) : 1;
}
