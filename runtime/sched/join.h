/* join.h: waiting for many tasks. What gather, as_completed, wait, stream and group are made of.
**
** A join has a table of tasks, of which it starts those not yet started in order, at most limit of them at once. It is
** itself in the ready queue when it may start some, and starts them right there: a million tasks need no million queue
** entries. It counts those that have ended, and tells who waits for it.
** A join lives in a full userdata: user value 1 is the table of tasks, 2 the queue of indices. It is anchored while any
** of its tasks goes on. */
#ifndef MU_JOIN_H
#define MU_JOIN_H

#include "sched/sched.h"

/* What a join does as a task ends. */
enum {
  MU_JOIN_VALUES = 1,    /* its first value takes its place in the table */
  MU_JOIN_FAIL_FAST = 2, /* the first failure cancels the other tasks */
  MU_JOIN_QUEUE = 4,     /* its index is queued for mu_join_next */
  MU_JOIN_GROUP = 8,     /* it leaves the table; only failures are queued, and they cancel the scope too */
  MU_JOIN_ANSWERS = 16   /* a failure is never reported as one that nobody looked at */
};

typedef struct {
  mu_runnable run;
  mu_sched *s;
  uint32_t policy;
  uint32_t total;   /* tasks so far */
  uint32_t next;    /* the next to start */
  uint32_t running; /* started by this join, and not ended */
  uint32_t limit;   /* of running */
  uint32_t ended;   /* of total */
  uint32_t failed;  /* index of the first that failed, or 0 */
  uint32_t dropped; /* index of the first that was cancelled, or 0 */
  bool open;        /* more may be added */
  bool cancelled;
  mu_link children; /* watched tasks */
  mu_link waiters;  /* mu_queued: who waits for all */
  mu_link takers;   /* mu_queued: who waits for the next on the queue */
  mu_scope scope;   /* of a group: what its body runs in */
  uint32_t site;    /* of a group: where it was begun */
  uint32_t *queue;  /* ring of indices of ended tasks, in completion order */
  uint32_t queue_size, queue_head, queue_count;
} mu_join;

/* Pushes a join over the table of total tasks on top of the stack, which it replaces. The join begins to start them at
** once, unless it is open. Raises. */
mu_join *mu_join_new(lua_State *L, mu_sched *s, uint32_t total, uint32_t limit, uint32_t policy, bool open);

/* Adds the task on top of L to the open join at index; pops it. Raises. */
void mu_join_add(lua_State *L, mu_sched *s, mu_join *j, int index);

/* Says that no more will be added. */
void mu_join_seal(mu_sched *s, mu_join *j);

/* Cancels what has not ended. */
void mu_join_cancel(mu_sched *s, mu_join *j);

/* Watches its tasks, all of them started, no longer. */
void mu_join_detach(mu_sched *s, mu_join *j);

static inline bool mu_join_all_ended(const mu_join *j) { return j->ended == j->total && !j->open; }

/* Waits in the running task t until all have ended; cancelling t cancels them first. The operand of return. */
int mu_join_wait(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, lua_KFunction k);

/* The same, but cancelling t cancels nothing else. */
int mu_join_watch(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, lua_KFunction k);

/* The same for clean-up: t cannot be cancelled meanwhile. Does not wait for more to be added. */
int mu_join_drain(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, lua_KFunction k);

/* Does the end of one of its tasks take that of t? Such a one may close what waits for the join. Then mu_join_drain raises. */
bool mu_join_waits_for(const mu_join *j, const mu_task *t);

/* Waits until an index is queued or all have ended; at most until the timer (seconds >= 0). The operand of return. */
int mu_join_await_next(lua_State *L, mu_sched *s, mu_task *t, mu_join *j, double seconds, lua_KFunction k);

/* Is op the timer of mu_join_await_next? */
bool mu_join_is_time_limit(const mu_op *op);

/* Of the op of a task watched by a join: writes the ids of at most max tasks that wait for the join, or whose group it
** is. Returns how many. */
int mu_join_awaiters(const mu_op *op, uint64_t *ids, int max);

/* Takes the first queued index; 0 if there is none. */
uint32_t mu_join_take(mu_join *j);

#endif
