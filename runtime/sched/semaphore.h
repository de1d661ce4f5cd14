/* semaphore.h: permits, handed from the one who releases to the first who waits.
**
** Nobody barges: while somebody waits, a newcomer queues even if enough permits are free. A waiter that is cancelled
** gives its place, and a permit it was already handed, to the next. */
#ifndef MU_SEMAPHORE_H
#define MU_SEMAPHORE_H

#include "sched/sched.h"

/* Who took permits: for reports. Of many, not all are recorded. */
typedef struct {
  const void *permit; /* or NULL: it is free */
  uint64_t task;      /* an id; the next free one, if it is free */
  lua_Integer n;
} mu_hold;

enum { MU_MOST_HOLDS = 64 };

/* Lives in a Lua userdata, which its waiters and permits anchor. */
typedef struct {
  const char *what; /* "semaphore" or "lock": for messages */
  lua_Integer limit, free;
  mu_link waiters;
  uint64_t holder; /* of a lock: the id of the task, or 0 */
  uint64_t turn;   /* of a lock: which holding of it this is, so that an old permit does not release it */
  uint64_t turns;  /* so far */
  uint32_t nholds, free_hold; /* the number of records; of the first free one, counted from 1, or 0 */
  mu_hold holds[];            /* of a semaphore that is no lock */
} mu_semaphore;

void mu_semaphore_init(mu_semaphore *m, const char *what, lua_Integer limit);

/* Has it record who holds permits. The struct has room for n records. */
void mu_semaphore_record(mu_semaphore *m, uint32_t n);

/* Takes k permits if they are free and nobody waits. */
bool mu_semaphore_try(mu_sched *s, mu_semaphore *m, lua_Integer k);

/* Gives k permits back. False, and nothing done, if more than the limit would be free. */
bool mu_semaphore_release(mu_sched *s, mu_semaphore *m, lua_Integer k);

/* Records that the running task has n permits, in the name of permit; returns the number of the record, or 0. */
static inline uint64_t mu_hold_add(const mu_sched *s, mu_semaphore *m, const void *permit, lua_Integer n) {
  uint64_t number = m->free_hold;
  if (!number || !s->current) return 0;
  mu_hold *h = &m->holds[number - 1];
  m->free_hold = (uint32_t)h->task;
  *h = (mu_hold){permit, s->current->id, n};
  return number;
}

/* The permit is given back, and its record, if it is still there. */
static inline void mu_hold_remove(mu_semaphore *m, uint64_t number, const void *permit) {
  if (!number || m->holds[number - 1].permit != permit) return;
  m->holds[number - 1] = (mu_hold){NULL, m->free_hold, 0};
  m->free_hold = (uint32_t)number;
}

/* The running task has given n permits back without saying which: most likely its own. */
void mu_holds_reduce(const mu_sched *s, mu_semaphore *m, lua_Integer n);

/* A lock that was just taken or handed over is the running task's. turn: as it was when the task gave it up for a while,
** or 0 for a new one. */
void mu_lock_take(mu_sched *s, mu_semaphore *m, uint64_t turn);
bool mu_lock_is_mine(const mu_sched *s, const mu_semaphore *m);

/* Waits in the running task t until k permits are handed to it; then k_resumed runs. The operand of return.
** shielded: cancellation does not end the wait (a condition takes its lock back). */
int mu_semaphore_wait(lua_State *L, mu_sched *s, mu_task *t, mu_semaphore *m, lua_Integer k, bool shielded,
                      lua_KContext ctx, lua_KFunction k_resumed);

#endif
