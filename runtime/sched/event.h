/* event.h: waiting until something is said to have happened. Events, conditions and barriers are queues of waiters
** that are woken one by one or all at once. */
#ifndef MU_EVENT_H
#define MU_EVENT_H

#include "sched/sched.h"

/* Those for whom a barrier waits. */
typedef struct {
  lua_Integer parties, arrived;
} mu_parties;

/* Waits in the running task t, at the end of queue, until woken; cls is one of the classes below. parties: of a barrier,
** or NULL; one more has arrived, and one less if the wait is cancelled. The operand of return. */
int mu_queue_wait(lua_State *L, mu_sched *s, mu_task *t, mu_link *queue, const mu_opclass *cls,
                  mu_parties *parties, lua_KContext ctx, lua_KFunction k);

extern const mu_opclass mu_event_wait; /* of an event */
extern const mu_opclass
    mu_condition_wait; /* of a condition: a notification to a cancelled waiter goes to the next */
extern const mu_opclass mu_barrier_wait; /* of a barrier: once it has opened, nobody is turned back */

/* Wakes the first n waiters; returns how many there were. */
size_t mu_queue_wake(mu_sched *s, mu_link *queue, size_t n);

#endif
