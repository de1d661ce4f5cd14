#include "sched/event.h"
#include "sched/inspect.h"
#include "sched/inside.h"

typedef struct {
  mu_queued queued;
  mu_link *queue;
  mu_parties *parties; /* of a barrier, or NULL */
} wait_op;

size_t mu_queue_wake(mu_sched *s, mu_link *queue, size_t n) {
  size_t woken = 0;
  for (mu_queued *q; woken < n && (q = mu_queue_first(queue)); woken++) {
    mu_list_remove(&q->link);
    mu_fire(s, &q->op);
  }
  return woken;
}

static void notify_next(mu_sched *s, mu_op *op) { mu_queue_wake(s, ((wait_op *)op)->queue, 1); }

static bool leave_barrier(mu_sched *s, mu_op *op) {
  ((wait_op *)op)->parties->arrived--;
  return mu_queued_cancel(s, op);
}

static void describe_barrier(lua_State *L, mu_sched *s, const mu_op *op) {
  const mu_parties *p = ((const wait_op *)op)->parties;
  (void)s;
  mu_describe(L, "detail", "%I of %I arrived", (LUAI_UACINT)p->arrived, (LUAI_UACINT)p->parties);
}

const mu_opclass mu_event_wait = {.name = "an event", .size = sizeof(wait_op), .cancel = mu_queued_cancel};
const mu_opclass mu_condition_wait = {
    .name = "a condition", .size = sizeof(wait_op), .cancel = mu_queued_cancel, .revoke = notify_next};
const mu_opclass mu_barrier_wait = {.name = "a barrier",
                                    .size = sizeof(wait_op),
                                    .commits = true,
                                    .cancel = leave_barrier,
                                    .describe = describe_barrier};

int mu_queue_wait(lua_State *L, mu_sched *s, mu_task *t, mu_link *queue, const mu_opclass *cls,
                  mu_parties *parties, lua_KContext ctx, lua_KFunction k) {
  wait_op *op = mu_op_new(L, s, t, cls);
  op->queue = queue;
  op->parties = parties;
  if (parties) parties->arrived++;
  mu_list_push(queue, &op->queued.link);
  return mu_park(L, s, ctx, k);
}
