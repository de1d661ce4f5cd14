#include "sched/await.h"
#include "sched/inspect.h"
#include "sched/inside.h"

typedef struct {
  mu_queued queued;
  mu_task *task; /* awaited */
} await_op;

static bool only_waiter(const mu_task *t) { return t->waiters.next->next == &t->waiters; }

enum { CIRCLE_STEPS = 100 };

/* A task that nobody else awaits goes down with its awaiter, who waits for its end, unless it waits for its awaiter in
** turn; one that is shared goes on. */
static bool cancel_awaited(mu_sched *s, mu_op *op) {
  mu_task *t = ((await_op *)op)->task;
  int steps = CIRCLE_STEPS;
  if (!only_waiter(t)) return mu_queued_cancel(s, op);
  bool circle = mu_waits_for(t, op->task, &steps);
  if (circle) mu_queued_cancel(s, op);
  mu_task_cancel(s, t);
  return circle;
}

static bool awaits(const mu_op *op, const mu_task *self, int *steps) {
  return mu_waits_for(((const await_op *)op)->task, self, steps);
}

static void describe(lua_State *L, mu_sched *s, const mu_op *op) {
  (void)s;
  lua_pushinteger(L, (lua_Integer)((const await_op *)op)->task->id);
  lua_setfield(L, -2, "on");
}

static const mu_opclass await_class = {.name = "a task",
                                       .size = sizeof(await_op),
                                       .cascades = true,
                                       .cancel = cancel_awaited,
                                       .waits_for = awaits,
                                       .describe = describe};

static int push_end(lua_State *L, mu_task *t, bool protect) {
  int base = lua_gettop(L);
  if (protect) lua_pushboolean(L, t->run.state == MU_DONE);
  if (!protect && t->run.state != MU_DONE) return mu_raise_of_task(L, mu_self(L), 1);
  mu_task_push_results(L, t, 1);
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
  if (self->u.co != L || !lua_isyieldable(L)) mu_check_wait(L, s, "await");
  if (t->run.state == MU_CREATED) mu_task_start(L, s, t, 1);
  await_op *op = mu_op_new(L, s, self, &await_class);
  op->task = t;
  mu_list_push(&t->waiters, &op->queued.link);
  return mu_park(L, s, (lua_KContext)protect, awaited);
}
