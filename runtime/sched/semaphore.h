/* semaphore.h: permits, handed from the one who releases to the first who waits.
**
** Nobody barges: while somebody waits, a newcomer queues even if enough permits are free. A waiter that is cancelled
** gives its place, and a permit it was already handed, to the next. */
#ifndef MU_SEMAPHORE_H
#define MU_SEMAPHORE_H

#include "sched/sched.h"

/* Lives in a Lua userdata, which its waiters and permits anchor. */
typedef struct {
  const char *what; /* "semaphore" or "lock": for messages */
  lua_Integer limit, free;
  mu_link waiters;
  uint64_t holder; /* of a lock: the id of the task, or 0 */
  uint64_t turn;   /* of a lock: which holding of it this is, so that an old permit does not release it */
  uint64_t turns;  /* so far */
} mu_semaphore;

void mu_semaphore_init(mu_semaphore *m, const char *what, lua_Integer limit);

/* Takes k permits if they are free and nobody waits. */
bool mu_semaphore_try(mu_semaphore *m, lua_Integer k);

/* Gives k permits back. False, and nothing done, if more than the limit would be free. */
bool mu_semaphore_release(mu_sched *s, mu_semaphore *m, lua_Integer k);

/* A lock that was just taken or handed over is the running task's. turn: as it was when the task gave it up for a while,
** or 0 for a new one. */
void mu_lock_take(mu_sched *s, mu_semaphore *m, uint64_t turn);
bool mu_lock_is_mine(const mu_sched *s, const mu_semaphore *m);

/* Waits in the running task t until k permits are handed to it; then k_resumed runs. The operand of return.
** shielded: cancellation does not end the wait (a condition takes its lock back). */
int mu_semaphore_wait(lua_State *L, mu_sched *s, mu_task *t, mu_semaphore *m, lua_Integer k, bool shielded,
                      lua_KContext ctx, lua_KFunction k_resumed);

#endif
