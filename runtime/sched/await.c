#include "sched/await.h"

typedef struct {
  mu_queued queued;
  mu_task *task; /* awaited */
} await_op;

static bool only_waiter(const mu_task *t) { return t->waiters.next->next == &t->waiters; }

static const mu_opclass await_class;

/* Does t wait, through the tasks that it awaits, for the task self? */
static bool waits_for(const mu_task *t, const mu_task *self) {
  while (t != self) {
    if (!t->ops || t->ops->cls != &await_class || t->run.state != MU_WAITING) return false;
    t = ((const await_op *)t->ops)->task;
  }
  return true;
}

/* A task that nobody else awaits goes down with its awaiter, who waits for its end; one that is shared goes on, and so
** does one that is going down already and waits for us. */
static bool cancel_awaited(mu_sched *s, mu_op *op) {
  mu_task *t = ((await_op *)op)->task;
  bool circle = t->run.flags & MU_RAISE && waits_for(t, op->task);
  if (circle || !only_waiter(t)) return mu_queued_cancel(s, op);
  mu_task_cancel(s, t);
  return false;
}

static const mu_opclass await_class = {
    .name = "a task", .size = sizeof(await_op), .cascades = true, .cancel = cancel_awaited};

static int push_end(lua_State *L, mu_task *t, bool protect) {
  int base = lua_gettop(L);
  if (protect) lua_pushboolean(L, t->run.state == MU_DONE);
  if (mu_task_push_results(L, t, 1) < 0 && !protect) return lua_error(L);
  return lua_gettop(L) - base;
}

static int awaited(lua_State *L, int status, lua_KContext protect) {
  mu_sched *s = mu_self(L);
  mu_task *t = lua_touserdata(L, 1);
  (void)status;
  if (t->run.state == MU_FAILED && mu_fired(s->current))
    mu_unpark_quietly(s, s->current); /* wins over a cancellation */
  else mu_unpark(L, s);
  return push_end(L, t, (bool)protect);
}

int mu_await(lua_State *L, mu_sched *s, mu_task *self, mu_task *t, bool protect) {
  if (mu_task_ended(t)) return push_end(L, t, protect);
  if (t == self) return luaL_error(L, "await: a task cannot await itself");
  await_op *op = mu_op_new(L, s, self, &await_class);
  op->task = t;
  mu_list_init(&op->queued.link);
  if (t->run.state == MU_CREATED) mu_task_start(L, s, t, 1);
  mu_list_push(&t->waiters, &op->queued.link);
  return mu_park(L, s, (lua_KContext)protect, awaited);
}
