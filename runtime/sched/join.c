#include "sched/join.h"
#include "sched/inspect.h"
#include "sched/inside.h"

#include <assert.h>

/* What watches one task for a join; it is one of the task's waiters. */
typedef struct {
  mu_queued queued;
  mu_link sibling; /* in the join's children */
  mu_task *task;   /* watched */
  mu_join *join;
  uint32_t index;
  bool mine; /* started by the join */
} child;

/* Pushes on L the table of tasks of a join that is anchored. */
static void push_items(mu_sched *s, mu_join *j, lua_State *L) {
  mu_push_anchored(s, L, j->run.slot);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
}

static mu_task *item(mu_sched *s, mu_join *j, uint32_t index) {
  lua_State *root = s->root;
  push_items(s, j, root);
  lua_rawgeti(root, -1, index);
  mu_task *t = lua_touserdata(root, -1);
  lua_pop(root, 2);
  return t;
}

static bool may_start(const mu_join *j) {
  return j->next <= j->total && j->running < j->limit && !j->cancelled;
}

static void schedule(mu_sched *s, mu_join *j) {
  if (may_start(j) && mu_list_empty(&j->run.link)) mu_ready(s, &j->run);
}

/* ---- as tasks end ---- */

static void queue_push(mu_join *j, uint32_t index) {
  assert(j->queue_count < j->queue_size && "room was made when the task was added");
  j->queue[(j->queue_head + j->queue_count++) % j->queue_size] = index;
}

uint32_t mu_join_take(mu_join *j) {
  if (j->queue_count == 0) return 0;
  uint32_t index = j->queue[j->queue_head];
  j->queue_head = (j->queue_head + 1) % j->queue_size;
  j->queue_count--;
  return index;
}

/* Pushes on L the first value of a done task: from its coroutine, where it still lies if it has just ended, or from the
** table of tasks at index items. */
static void push_value(lua_State *L, int items, uint32_t index, mu_task *t) {
  if (!t->run.nargs) {
    lua_pushnil(L);
  } else if (t->u.co) {
    lua_pushvalue(t->u.co, MU_CO_RESULT);
    lua_xmove(t->u.co, L, 1);
  } else {
    lua_rawgeti(L, items, index);
    lua_getiuservalue(L, -1, 1);
    lua_remove(L, -2);
  }
  if (!(t->run.flags & MU_PACKED)) return;
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
}

/* Replaces the task at index by its first value. The place exists, so that nothing is allocated. */
static void store_value(mu_sched *s, mu_join *j, uint32_t index, mu_task *t) {
  if (s->starting == j) { /* mu_join_run has the table at hand */
    push_value(s->from, s->starting_at, index, t);
    lua_rawseti(s->from, s->starting_at, index);
    return;
  }
  push_items(s, j, s->root);
  push_value(s->root, lua_gettop(s->root), index, t);
  lua_rawseti(s->root, -2, index);
  lua_pop(s->root, 1);
}

static void forget_item(mu_sched *s, mu_join *j, uint32_t index) {
  push_items(s, j, s->root);
  lua_pushnil(s->root);
  lua_rawseti(s->root, -2, index);
  lua_pop(s->root, 1);
}

/* A failure cancels the join once all is done that follows from the end of the failed task: a join that is cancelled
** here and now could fail another join, and that a third, each on top of the other on the C stack. */
static void cancel_later(mu_sched *s, mu_join *j) {
  if (j->cancelled) return;
  j->cancelled = true;
  mu_list_remove(&j->run.link);
  mu_list_push(&s->failed_joins, &j->run.link);
}

static void note_failure(mu_sched *s, mu_join *j, uint32_t index, const mu_task *t) {
  uint32_t *first = t->run.state == MU_FAILED ? &j->failed : &j->dropped;
  if (!*first) *first = index;
  bool counts = t->run.state == MU_FAILED || !(j->policy & MU_JOIN_GROUP);
  if (!counts || !(j->policy & MU_JOIN_FAIL_FAST)) return;
  cancel_later(s, j);
  mu_scope_cancel(s, &j->scope); /* if there is one */
}

static void fire_one(mu_sched *s, mu_link *queue) {
  mu_queued *q = mu_queue_first(queue);
  if (!q) return;
  mu_list_remove(&q->link);
  mu_fire(s, &q->op);
}

static void fire_all(mu_sched *s, mu_link *queue) {
  while (!mu_list_empty(queue)) fire_one(s, queue);
}

static void settle_if_over(mu_sched *s, mu_join *j) {
  if (j->ended < j->total) return;
  mu_list_remove(&j->run.link);
  fire_all(s, &j->takers);
  fire_all(s, &j->waiters);
  if (j->run.slot) mu_unanchor(s, j->run.slot);
  j->run.slot = 0;
}

static void child_ended(mu_sched *s, mu_join *j, uint32_t index, mu_task *t) {
  bool failed = t->run.state == MU_FAILED;
  j->ended++;
  if (j->policy & MU_JOIN_ANSWERS) t->run.flags |= MU_OBSERVED;
  if (t->run.state == MU_DONE && j->policy & MU_JOIN_VALUES) store_value(s, j, index, t);
  if (j->policy & MU_JOIN_GROUP && !failed) forget_item(s, j, index);
  if (j->policy & MU_JOIN_QUEUE || (j->policy & MU_JOIN_GROUP && failed)) queue_push(j, index);
  if (t->run.state != MU_DONE) note_failure(s, j, index, t);
  schedule(s, j);
  if (j->policy & MU_JOIN_QUEUE) fire_one(s, &j->takers);
  settle_if_over(s, j);
}

static void child_fired(mu_sched *s, mu_op *op) {
  child c = *(child *)op;
  mu_list_remove(&((child *)op)->sibling);
  mu_slab_put(s->slab, op, sizeof c);
  if (c.mine) c.join->running--;
  child_ended(s, c.join, c.index, c.task);
}

static const mu_opclass child_class = {
    .name = "a task of a join", .size = sizeof(child), .fire = child_fired};

/* ---- starting ---- */

static child *watch(mu_sched *s, mu_join *j, mu_task *t, uint32_t index) {
  child *c = mu_slab_get(s->slab, sizeof *c);
  if (!c) return NULL;
  *c = (child){.queued.op.cls = &child_class, .task = t, .join = j, .index = index};
  mu_list_push(&t->waiters, &c->queued.link);
  mu_list_push(&j->children, &c->sibling);
  return c;
}

/* Starts the task on top of L, which it pops, unless somebody has started it. */
static void start(mu_sched *s, mu_join *j, lua_State *L, uint32_t index) {
  mu_task *t = lua_touserdata(L, -1);
  child *c = mu_task_ended(t) ? NULL : watch(s, j, t, index);
  if (!c) {
    if (!mu_task_ended(t) && t->run.state == MU_CREATED) mu_task_fail(s, t); /* no memory */
    lua_pop(L, 1);
    child_ended(s, j, index, t);
  } else if (t->run.state != MU_CREATED) {
    lua_pop(L, 1);
  } else {
    c->mine = true;
    j->running++;
    if (s->seed) { /* by way of the queue, to be shuffled */
      s->beginning = t;
      mu_task_start(L, s, t, -1);
      s->beginning = NULL;
      lua_pop(L, 1);
      return;
    }
    s->beginning = t;
    mu_task_count_start(s, t);
    mu_task_begin(s, t, L);
    s->beginning = NULL;
  }
}

int mu_join_run(mu_sched *s, mu_runnable *r, lua_State *L, int budget) {
  mu_join *j = mu_container(r, mu_join, run);
  int started = 0, at = lua_gettop(L) + 1;
  push_items(s, j, L);
  s->starting = j;
  s->starting_at = at;
  for (; started < budget && may_start(j); started++) {
    uint32_t index = j->next++;
    lua_rawgeti(L, at, index);
    start(s, j, L, index);
    if (mu_unlikely(s->starting != j)) { /* it was pinned meanwhile, and the join was handed over */
      lua_settop(L, at - 1);
      return started + 1;
    }
  }
  s->starting = NULL;
  mu_joins_cancel_failed(s); /* this one may have found a task that had failed before */
  lua_settop(L, at - 1);
  if (may_start(j) && mu_list_empty(&r->link))
    mu_list_push_front(&s->batch, &r->link); /* the budget is spent */
  return started ? started : 1;
}

void mu_join_hand_over(mu_sched *s) {
  mu_join *j = (mu_join *)s->starting;
  if (!j) return;
  s->starting = NULL;
  if (may_start(j) && mu_list_empty(&j->run.link)) mu_list_push_front(&s->batch, &j->run.link);
  mu_joins_cancel_failed(s);
}

/* ---- cancelling ---- */

/* Those not yet started never run. */
static void cancel_unstarted(mu_sched *s, mu_join *j) {
  while (j->next <= j->total) {
    uint32_t index = j->next++;
    mu_task *t = item(s, j, index);
    bool going = !mu_task_ended(t) && t->run.state != MU_CREATED && watch(s, j, t, index);
    mu_task_cancel(s, t);
    if (!going) child_ended(s, j, index, t);
  }
}

/* Cancelling a task may end it, and so take it (or, if it is listed twice, its double) from the children. */
static void cancel_children(mu_sched *s, mu_join *j) {
  mu_link pending;
  mu_list_init(&pending);
  mu_list_splice(&pending, &j->children);
  while (!mu_list_empty(&pending)) {
    child *c = mu_container(pending.next, child, sibling);
    mu_list_remove(&c->sibling);
    mu_list_push(&j->children, &c->sibling);
    mu_task_cancel(s, c->task);
  }
}

static void cancel_now(mu_sched *s, mu_join *j) {
  if (j->ended == j->total) return;
  j->total++; /* so that it is not over in between */
  cancel_children(s, j);
  j->total--;
  cancel_unstarted(s, j);
  settle_if_over(s, j);
}

void mu_join_cancel(mu_sched *s, mu_join *j) {
  if (j->cancelled) return;
  j->cancelled = true;
  mu_list_remove(&j->run.link);
  cancel_now(s, j);
}

void mu_joins_cancel_failed(mu_sched *s) {
  if (s->cancelling_joins) return;
  s->cancelling_joins = true;
  while (!mu_list_empty(&s->failed_joins)) {
    mu_runnable *r = mu_container(s->failed_joins.next, mu_runnable, link);
    mu_list_remove(&r->link);
    cancel_now(s, mu_container(r, mu_join, run));
  }
  s->cancelling_joins = false;
}

/* ---- who waits for a child ---- */

static int add_waiters(const mu_link *queue, uint64_t *ids, int max) {
  int n = 0;
  for (const mu_link *l = queue->next; l != queue && n < max; l = l->next)
    ids[n++] = mu_container(l, mu_queued, link)->op.task->id;
  return n;
}

int mu_join_awaiters(const mu_op *op, uint64_t *ids, int max) {
  if (op->cls != &child_class) return 0;
  const mu_join *j = ((const child *)op)->join;
  int n = add_waiters(&j->waiters, ids, max);
  n += add_waiters(&j->takers, ids + n, max - n);
  const mu_task *owner = j->scope.deadline.op.task; /* of a group, though it waits for something else */
  if (n == 0 && owner && max > 0) ids[n++] = owner->id;
  return n;
}

/* ---- making ---- */

static void make_room(lua_State *L, mu_join *j, int index, uint32_t size) {
  if (size <= j->queue_size) return;
  uint32_t *queue = lua_newuserdatauv(L, size * sizeof *queue, 0);
  if (size <= j->queue_size) { /* a finalizer has made room meanwhile */
    lua_pop(L, 1);
    return;
  }
  for (uint32_t i = 0; i < j->queue_count; i++) queue[i] = j->queue[(j->queue_head + i) % j->queue_size];
  j->queue = queue;
  j->queue_size = size;
  j->queue_head = 0;
  lua_setiuservalue(L, index, 2);
}

mu_join *mu_join_new(lua_State *L, mu_sched *s, uint32_t total, uint32_t limit, uint32_t policy, bool open) {
  mu_join *j = lua_newuserdatauv(L, sizeof *j, 2);
  *j = (mu_join){.s = s, .policy = policy, .total = total, .limit = limit, .next = 1, .open = open};
  j->run.flags = MU_JOIN;
  mu_list_init(&j->run.link);
  mu_list_init(&j->children);
  mu_list_init(&j->waiters);
  mu_list_init(&j->takers);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  if (policy & MU_JOIN_QUEUE) make_room(L, j, lua_gettop(L), total);
  if (total == 0) return j;
  lua_pushvalue(L, -1);
  j->run.slot = mu_anchor(s, L);
  schedule(s, j);
  return j;
}

void mu_join_add(lua_State *L, mu_sched *s, mu_join *j, int index) {
  uint32_t pending = j->queue_count + (j->total - j->ended) + 1;
  if (pending > j->queue_size) make_room(L, j, index, pending < 8 ? 8 : 2 * pending);
  lua_getiuservalue(L, index, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)j->total + 1);
  lua_pop(L, 1);
  if (!j->run.slot) {
    lua_pushvalue(L, index);
    j->run.slot = mu_anchor(s, L);
  }
  j->total++;
  if (j->cancelled) cancel_unstarted(s, j);
  else schedule(s, j);
}

void mu_join_seal(mu_sched *s, mu_join *j) {
  if (!j->open) return;
  j->open = false;
  settle_if_over(s, j);
}

void mu_join_detach(mu_sched *s, mu_join *j) {
  while (!mu_list_empty(&j->children)) {
    child *c = mu_container(j->children.next, child, sibling);
    mu_list_remove(&c->sibling);
    mu_list_remove(&c->queued.link);
    mu_slab_put(s->slab, c, sizeof *c);
  }
  mu_list_remove(&j->run.link);
  j->ended = j->total;
  settle_if_over(s, j);
}

/* ---- waiting ---- */

typedef struct {
  mu_queued queued;
  mu_join *join;
} join_op;

/* The tasks are cancelled first; when they have ended, the op fires. */
static bool cancel_tasks(mu_sched *s, mu_op *op) {
  mu_join_cancel(s, ((join_op *)op)->join);
  return false;
}

/* The waiter was cancelled after it was woken: what is queued is for the next one. */
static void wake_next(mu_sched *s, mu_op *op) {
  mu_join *j = ((join_op *)op)->join;
  if (j->queue_count) fire_one(s, &j->takers);
}

static bool joins_task(const mu_join *j, const mu_task *self, int *steps) {
  for (const mu_link *l = j->children.next; l != &j->children && *steps > 0; l = l->next)
    if (mu_waits_for(mu_container(l, child, sibling)->task, self, steps)) return true;
  return false;
}

static bool joins(const mu_op *op, const mu_task *self, int *steps) {
  return joins_task(((const join_op *)op)->join, self, steps);
}

static void describe(lua_State *L, mu_sched *s, const mu_op *op) {
  const mu_join *j = ((const join_op *)op)->join;
  (void)s;
  const char *drained = op->cls->firm ? " cancelled" : "";
  const char *next = op->cls->revoke ? "the next of " : "";
  mu_describe(L, "what", "%s%I%s task%s", next, (LUAI_UACINT)j->total, drained, j->total == 1 ? "" : "s");
  mu_describe(L, "detail", "%I ended", (LUAI_UACINT)j->ended);
}

static const mu_opclass wait_class = {.name = "tasks to end",
                                      .size = sizeof(join_op),
                                      .cascades = true,
                                      .cancel = cancel_tasks,
                                      .waits_for = joins,
                                      .describe = describe};
static const mu_opclass watch_class = {.name = "tasks to end",
                                       .size = sizeof(join_op),
                                       .cancel = mu_queued_cancel,
                                       .waits_for = joins,
                                       .describe = describe};
static const mu_opclass drain_class = {.name = "cancelled tasks to end",
                                       .size = sizeof(join_op),
                                       .firm = true,
                                       .commits = true,
                                       .cancel = mu_queued_cancel,
                                       .waits_for = joins,
                                       .describe = describe};
static const mu_opclass next_class = {.name = "the next task to end",
                                      .size = sizeof(join_op),
                                      .cancel = mu_queued_cancel,
                                      .revoke = wake_next,
                                      .waits_for = joins,
                                      .describe = describe};
static const mu_opclass limit_class = {.name = "a time limit",
                                       .size = sizeof(mu_timer),
                                       .cancel = mu_timer_cancel,
                                       .describe = mu_timer_describe};

static void wait_on(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, mu_link *queue,
                    const mu_opclass *cls) {
  join_op *op = mu_op_new(L, s, t, cls);
  op->join = j;
  mu_list_push(queue, &op->queued.link);
}

int mu_join_wait(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, lua_KFunction k) {
  if (j->ended == j->total) return k(L, LUA_OK, 0);
  wait_on(L, s, t, j, &j->waiters, &wait_class);
  return mu_park(L, s, 0, k);
}

enum { CIRCLE_STEPS = 100 };

bool mu_join_waits_for(const mu_join *j, const mu_task *t) {
  int steps = CIRCLE_STEPS;
  return joins_task(j, t, &steps);
}

int mu_join_drain(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, lua_KFunction k) {
  if (j->ended == j->total) return k(L, LUA_OK, 0);
  if (mu_join_waits_for(j, t)) return luaL_error(L, "a task cannot wait for its own end");
  wait_on(L, s, t, j, &j->waiters, &drain_class);
  return mu_park(L, s, 0, k);
}

int mu_join_watch(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, lua_KFunction k) {
  if (j->ended == j->total) return k(L, LUA_OK, 0);
  wait_on(L, s, t, j, &j->waiters, &watch_class);
  return mu_park(L, s, 0, k);
}

bool mu_join_is_time_limit(const mu_op *op) { return op->cls == &limit_class; }

int mu_join_await_next(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, double seconds, lua_KFunction k) {
  wait_on(L, s, t, j, &j->takers, &next_class);
  if (seconds >= 0) mu_timer_op(L, s, t, &limit_class, seconds);
  return mu_park(L, s, 0, k);
}
