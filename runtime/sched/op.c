/* op.c: how a task waits, wakes, and is interrupted. The only mechanism for it. */
#include "sched/inspect.h"
#include "sched/inside.h"

#include <assert.h>

void mu_ready(mu_sched *s, mu_runnable *r) { mu_list_push(&s->ready, &r->link); }

/* ---- ops ---- */

static void op_free(mu_sched *s, mu_op *op) {
  s->ops--;
  mu_slab_put(s->slab, op, op->cls->size);
}

void mu_ops_free(mu_sched *s, mu_task *t) {
  while (t->ops) {
    mu_op *op = t->ops;
    t->ops = op->next;
    op_free(s, op);
  }
}

static void forget_place(mu_sched *s, mu_task *t) {
  mu_pin_forget(s, t);
  t->run.flags &= (uint16_t)~MU_NESTED;
}

void mu_ops_abandon(mu_sched *s, mu_task *t) {
  for (mu_op *op = t->ops; op; op = op->next) {
    if (op->cls->cascades) mu_queued_cancel(s, op); /* what it waits for goes on */
    else op->cls->cancel(s, op);
  }
  mu_ops_free(s, t);
  forget_place(s, t);
}

/* L is a coroutine inside the task t, or cannot yield. */
static void prepare(lua_State *L, mu_sched *s, mu_task *t, const char *what) {
  mu_check_wait(L, s, what);
  if (mu_can_yield(L, s)) mu_await_prepare(L, s, t);
  else mu_pin_prepare(L, s, t);
}

void *mu_op_new(lua_State *L, mu_sched *s, mu_task *t, const mu_opclass *cls) {
  if (mu_unlikely(t->u.co != L || !lua_isyieldable(L))) prepare(L, s, t, cls->name);
  mu_op *op = mu_slab_get(s->slab, cls->size);
  if (mu_unlikely(!op)) {
    mu_ops_abandon(s, t);
    luaL_error(L, "not enough memory");
  }
  s->ops++;
  *op = (mu_op){cls, t->ops, t, L, s->now};
  return t->ops = op;
}

bool mu_queued_cancel(mu_sched *s, mu_op *op) {
  (void)s;
  mu_list_remove(&((mu_queued *)op)->link);
  return true;
}

bool mu_waits_for(const mu_task *t, const mu_task *self, int *steps) {
  if (t == self) return true;
  if (t->run.state != MU_WAITING || (*steps)-- <= 0) return false;
  for (const mu_op *op = t->ops; op; op = op->next)
    if (op->cls->waits_for && op->cls->waits_for(op, self, steps)) return true;
  return false;
}

/* Makes op the first of its task's ops, and cancels the others. */
static void settle(mu_sched *s, mu_task *t, mu_op *op) {
  mu_op **at = &t->ops;
  while (*at) {
    if (*at == op) {
      *at = op->next;
      continue;
    }
    (*at)->cls->cancel(s, *at);
    at = &(*at)->next;
  }
  op->next = t->ops;
  t->ops = op;
}

static void wake(mu_sched *s, mu_op *op) {
  mu_task *t = op->task;
  assert(!(t->run.flags & MU_WOKEN) && "an op fires once");
  if (t->ops != op || op->next) settle(s, t, op);
  t->run.flags |= MU_WOKEN;
  if (t->run.state != MU_WAITING) return; /* fired before the task parked */
  mu_list_remove(&t->run.link);           /* from those to be interrupted, if it is there */
  mu_set_state(t, MU_READY);
  mu_ready(s, &t->run);
}

void mu_fire(mu_sched *s, mu_op *op) {
  if (op->cls->fire) op->cls->fire(s, op);
  else wake(s, op);
}

/* ---- suspending ---- */

void mu_refuse(lua_State *L, mu_sched *s, const char *what) {
  if (s->closed) luaL_error(L, "%s: the runtime is closed", what);
  luaL_error(L, "%s: must be called from inside a task", what);
}

/* L cannot yield to the scheduler, at least not directly. */
static int park_elsewhere(lua_State *L, mu_sched *s, mu_task *t, lua_KContext ctx, lua_KFunction k) {
  if (t->run.flags & MU_NESTED) {
    t->run.flags &= (uint16_t)~MU_NESTED;
    mu_await_begins(s, L, t);
    return lua_yieldk(L, 0, ctx, k);
  }
  mu_pin(s);
  return k(L, LUA_YIELD, ctx);
}

int mu_park(lua_State *L, mu_sched *s, lua_KContext ctx, lua_KFunction k) {
  mu_task *t = s->current;
  if (mu_unlikely(t->run.flags & MU_WOKEN)) {
    forget_place(s, t);
    return k(L, LUA_OK, ctx);
  }
  mu_set_state(t, MU_WAITING);
  if (mu_unlikely(t->run.flags & MU_RAISE)) mu_task_interrupt(s, t); /* cancelled since it entered */
  if (mu_unlikely(t->run.flags & (MU_PIN | MU_NESTED))) return park_elsewhere(L, s, t, ctx, k);
  return lua_yieldk(L, 0, ctx, k);
}

void mu_unpark_quietly(mu_sched *s, mu_task *t) {
  mu_ops_free(s, t);
  t->run.flags &= (uint16_t)~MU_WOKEN;
}

void mu_end_wait(lua_State *L, mu_sched *s, mu_task *t) {
  mu_op *fired = mu_fired(t);
  bool committed = fired && fired->cls->commits;
  mu_unpark_quietly(s, t);
  if (mu_unlikely(t->run.flags & MU_RAISE) && !committed) mu_task_raise(L, s, t);
}

lua_State *mu_landing(mu_op *op, int n) { return lua_checkstack(op->L, n) ? op->L : NULL; }

static int yielded(lua_State *L, int status, lua_KContext sched) {
  (void)status;
  mu_unpark(L, (mu_sched *)sched);
  return 0;
}

int mu_yield(lua_State *L, mu_sched *s) {
  mu_task *t = s->current;
  if (mu_unlikely(t->u.co != L || !lua_isyieldable(L))) prepare(L, s, t, "yield");
  mu_set_state(t, MU_READY);
  mu_ready(s, &t->run);
  if (mu_unlikely(t->run.flags & (MU_PIN | MU_NESTED)))
    return park_elsewhere(L, s, t, (lua_KContext)s, yielded);
  return lua_yieldk(L, 0, (lua_KContext)s, yielded);
}

/* ---- interrupting ---- */

/* Cancels all ops of a waiting task, which becomes ready, unless one has to fire by itself. */
static void stop_waiting(mu_sched *s, mu_task *t) {
  for (mu_op *op = t->ops; op; op = op->next)
    if (op->cls->firm) return;
  for (mu_op *op = t->ops; op; op = op->next)
    if (!op->cls->cancel(s, op)) return;
  mu_set_state(t, MU_READY);
  mu_ready(s, &t->run);
}

static void revoke(mu_sched *s, mu_task *t) {
  mu_op *fired = mu_fired(t);
  if (!fired || !fired->cls->revoke) return;
  fired->cls->revoke(s, fired);
  t->run.flags &= (uint16_t)~MU_WOKEN;
}

/* Whatever it waits for, t does not wait for it any more. */
static void end_wait_now(mu_sched *s, mu_task *t) {
  for (mu_op *op = t->ops; op; op = op->next) {
    bool stopped = op->cls->cancel(s, op);
    if (t->run.state != MU_WAITING) return; /* it fired meanwhile */
    if (!stopped) mu_queued_cancel(s, op);  /* what it waits for is cancelled, and ends alone */
  }
  mu_set_state(t, MU_READY);
  mu_ready(s, &t->run);
}

/* ---- a coroutine that waits is closed ---- */

typedef struct {
  mu_op op;
  const mu_task *closer; /* NULL: a callback outside of tasks */
} hold_op;

static bool hold_ends(mu_sched *s, mu_op *op) {
  (void)s, (void)op;
  return true;
}

static bool waits_for_closer(const mu_op *op, const mu_task *self, int *steps) {
  const mu_task *closer = ((const hold_op *)op)->closer;
  return closer && mu_waits_for(closer, self, steps);
}

static void describe_closer(lua_State *L, mu_sched *s, const mu_op *op) {
  const mu_task *closer = ((const hold_op *)op)->closer;
  (void)s;
  if (!closer) return;
  lua_pushinteger(L, (lua_Integer)closer->id);
  lua_setfield(L, -2, "on");
  mu_describe(L, "detail", "to close its coroutine");
}

static const mu_opclass hold_class = {.name = "another close of it",
                                      .size = sizeof(hold_op),
                                      .firm = true,
                                      .cancel = hold_ends,
                                      .waits_for = waits_for_closer,
                                      .describe = describe_closer};

static void check_not_firm(lua_State *L, const mu_task *t) {
  for (mu_op *op = t->ops; op; op = op->next)
    if (op->cls->firm && t->run.state == MU_WAITING)
      luaL_error(L, "cannot close a coroutine that waits for %s", op->cls->name);
}

/* Whatever t waited for is undone. Pushes what is left to call; returns how many. */
static int undo_wait(lua_State *L, mu_sched *s, mu_task *t) {
  int n = 0;
  if (t->run.state == MU_READY) revoke(s, t);
  else end_wait_now(s, t);
  if (mu_fired(t)) return 0;
  for (mu_op *op = t->ops; op; op = op->next)
    if (op->cls->abandoned) n += op->cls->abandoned(L, op);
  return n;
}

/* What runs while the coroutine is being closed may await: the task must not be resumed into it meanwhile. */
int mu_task_hold(lua_State *L, mu_sched *s, mu_task *t, mu_op **hold) {
  check_not_firm(L, t);
  luaL_checkstack(L, 5, NULL);
  *hold = mu_slab_get(s->slab, hold_class.size);
  if (!*hold) return luaL_error(L, "not enough memory");
  if (s->observer && t->ops) s->observer->waited(s->observer->data, t);
  int n = undo_wait(L, s, t);
  mu_unpark_quietly(s, t);
  s->ops++;
  *(hold_op *)*hold = (hold_op){{&hold_class, NULL, t, t->u.co, s->now}, s->current};
  t->ops = *hold;
  mu_list_remove(&t->run.link);
  mu_set_state(t, MU_WAITING);
  if (s->observer) s->observer->waits(s->observer->data, t);
  return n;
}

void mu_task_unhold(mu_sched *s, mu_op *hold) {
  mu_task *t = hold->task;
  if (s->observer) s->observer->waited(s->observer->data, t);
  mu_fire(s, hold);
  mu_unpark_quietly(s, t);
}

/* ---- interrupting, at any depth ---- */

/* Cancelling an op may cancel another task, whose op may cancel a third: they queue here instead of recursing. */
static void stop_all(mu_sched *s) {
  s->interrupting = true;
  while (!mu_list_empty(&s->interrupted)) {
    mu_task *t = mu_container(s->interrupted.next, mu_task, run.link);
    mu_list_remove(&t->run.link);
    stop_waiting(s, t);
  }
  s->interrupting = false;
}

static bool cascades(const mu_task *t) {
  for (const mu_op *op = t->ops; op; op = op->next)
    if (op->cls->cascades) return true;
  return false;
}

void mu_task_interrupt(mu_sched *s, mu_task *t) {
  if (t->run.state == MU_READY) revoke(s, t);
  if (t->run.state != MU_WAITING) return;
  if (!cascades(t)) {
    stop_waiting(s, t);
    return;
  }
  mu_list_push(&s->interrupted, &t->run.link);
  if (!s->interrupting) stop_all(s);
}
