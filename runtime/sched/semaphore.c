#include "sched/semaphore.h"

typedef struct {
  mu_queued queued;
  mu_semaphore *semaphore;
  lua_Integer wanted;
} acquire_op;

void mu_semaphore_init(mu_semaphore *m, const char *what, lua_Integer limit) {
  *m = (mu_semaphore){.what = what, .limit = limit, .free = limit};
  mu_list_init(&m->waiters);
}

bool mu_semaphore_try(mu_semaphore *m, lua_Integer k) {
  if (m->free < k || !mu_list_empty(&m->waiters)) return false;
  m->free -= k;
  return true;
}

void mu_lock_take(mu_sched *s, mu_semaphore *m, uint64_t turn) {
  m->holder = s->current ? s->current->id : 0;
  m->turn = turn ? turn : ++m->turns;
}

bool mu_lock_is_mine(const mu_sched *s, const mu_semaphore *m) {
  return s->current && m->holder == s->current->id;
}

/* Hands permits to those who wait, in order, as far as they go. */
static void hand_out(mu_sched *s, mu_semaphore *m) {
  mu_queued *q;
  while ((q = mu_queue_first(&m->waiters))) {
    acquire_op *op = (acquire_op *)q;
    if (m->free < op->wanted) return;
    m->free -= op->wanted;
    m->holder = op->queued.op.task->id;
    mu_list_remove(&q->link);
    mu_fire(s, &q->op);
  }
}

bool mu_semaphore_release(mu_sched *s, mu_semaphore *m, lua_Integer k) {
  if (k > m->limit - m->free) return false;
  m->free += k;
  m->holder = 0;
  m->turn = 0; /* no permit of before is good any more */
  if (!s->closed) hand_out(s, m);
  return true;
}

/* The first waiter may have wanted more than those behind it. */
static bool leave_queue(mu_sched *s, mu_op *op) {
  mu_queued_cancel(s, op);
  hand_out(s, ((acquire_op *)op)->semaphore);
  return true;
}

static void give_back(mu_sched *s, mu_op *op) {
  acquire_op *a = (acquire_op *)op;
  mu_semaphore_release(s, a->semaphore, a->wanted);
}

static const mu_opclass acquire_class = {
    .name = "a permit", .size = sizeof(acquire_op), .cancel = leave_queue, .revoke = give_back};
static const mu_opclass reacquire_class = {.name = "its lock",
                                           .size = sizeof(acquire_op),
                                           .firm = true,
                                           .commits = true,
                                           .cancel = mu_queued_cancel};

int mu_semaphore_wait(lua_State *L, mu_sched *s, mu_task *t, mu_semaphore *m, lua_Integer k, bool shielded,
                      lua_KContext ctx, lua_KFunction k_resumed) {
  acquire_op *op = mu_op_new(L, s, t, shielded ? &reacquire_class : &acquire_class);
  op->semaphore = m;
  op->wanted = k;
  mu_list_push(&m->waiters, &op->queued.link);
  return mu_park(L, s, ctx, k_resumed);
}
