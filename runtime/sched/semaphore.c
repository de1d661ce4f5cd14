#include "sched/semaphore.h"
#include "sched/inspect.h"
#include "sched/inside.h"

typedef struct {
  mu_queued queued;
  mu_semaphore *semaphore;
  lua_Integer wanted;
} acquire_op;

static bool is_lock(const mu_semaphore *m) { return m->what[0] == 'l'; }

void mu_semaphore_init(mu_semaphore *m, const char *what, lua_Integer limit) {
  *m = (mu_semaphore){.what = what, .limit = limit, .free = limit};
  mu_list_init(&m->waiters);
}

void mu_semaphore_record(mu_semaphore *m, uint32_t n) {
  m->nholds = n;
  for (uint32_t i = n; i > 0; i--) {
    m->holds[i - 1] = (mu_hold){NULL, m->free_hold, 0};
    m->free_hold = i;
  }
}

bool mu_semaphore_try(mu_sched *s, mu_semaphore *m, lua_Integer k) {
  if (m->free < k || !mu_list_empty(&m->waiters)) return false;
  m->free -= k;
  s->permits += (uint64_t)k;
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
    s->permits += (uint64_t)op->wanted;
    m->holder = op->queued.op.task->id;
    mu_list_remove(&q->link);
    mu_fire(s, &q->op);
  }
}

bool mu_semaphore_release(mu_sched *s, mu_semaphore *m, lua_Integer k) {
  if (k > m->limit - m->free) return false;
  m->free += k;
  s->permits -= (uint64_t)k;
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

/* ---- who has the permits? ---- */

/* Takes up to n permits off the records of a task, or (0) of any. Returns how many. */
static lua_Integer reduce(mu_semaphore *m, uint64_t task, lua_Integer n) {
  lua_Integer left = n;
  for (uint32_t i = 0; i < m->nholds && left > 0; i++) {
    mu_hold *h = &m->holds[i];
    if (!h->permit || (task && h->task != task)) continue;
    lua_Integer some = h->n < left ? h->n : left;
    left -= some;
    h->n -= some;
    if (h->n == 0) mu_hold_remove(m, i + 1, h->permit);
  }
  return n - left;
}

static lua_Integer recorded(const mu_semaphore *m) {
  lua_Integer sum = 0;
  for (uint32_t i = 0; i < m->nholds; i++) sum += m->holds[i].permit ? m->holds[i].n : 0;
  return sum;
}

void mu_holds_reduce(const mu_sched *s, mu_semaphore *m, lua_Integer n) {
  if (s->current) reduce(m, s->current->id, n);
  lua_Integer too_many = recorded(m) - (m->limit - m->free);
  if (too_many > 0) reduce(m, 0, too_many);
}

static void describe_holders(lua_State *L, const mu_semaphore *m) {
  for (uint32_t i = 0; i < m->nholds; i++)
    if (m->holds[i].permit) mu_describe_task(L, "holders", m->holds[i].task);
  lua_pushinteger(L, m->limit - m->free - recorded(m));
  lua_setfield(L, -2, "others");
}

static void describe(lua_State *L, mu_sched *s, const mu_op *op) {
  const mu_semaphore *m = ((const acquire_op *)op)->semaphore;
  lua_Integer n = ((const acquire_op *)op)->wanted;
  (void)s;
  if (is_lock(m)) {
    mu_describe(L, "what", op->cls->firm ? "its lock" : "a lock");
    if (m->holder) mu_describe_task(L, "holders", m->holder);
    return;
  }
  if (n == 1) mu_describe(L, "what", "a permit of a semaphore");
  else mu_describe(L, "what", "%I permits of a semaphore", (LUAI_UACINT)n);
  mu_describe(L, "detail", "%I of %I free", (LUAI_UACINT)m->free, (LUAI_UACINT)m->limit);
  describe_holders(L, m);
}

static const mu_opclass acquire_class = {.name = "a permit",
                                         .size = sizeof(acquire_op),
                                         .cancel = leave_queue,
                                         .revoke = give_back,
                                         .describe = describe};
static const mu_opclass reacquire_class = {.name = "its lock",
                                           .size = sizeof(acquire_op),
                                           .firm = true,
                                           .commits = true,
                                           .cancel = mu_queued_cancel,
                                           .describe = describe};

int mu_semaphore_wait(lua_State *L, mu_sched *s, mu_task *t, mu_semaphore *m, lua_Integer k, bool shielded,
                      lua_KContext ctx, lua_KFunction k_resumed) {
  acquire_op *op = mu_op_new(L, s, t, shielded ? &reacquire_class : &acquire_class);
  op->semaphore = m;
  op->wanted = k;
  mu_list_push(&m->waiters, &op->queued.link);
  return mu_park(L, s, ctx, k_resumed);
}
