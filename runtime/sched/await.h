/* await.h: waiting for one task. */
#ifndef MU_AWAIT_H
#define MU_AWAIT_H

#include "sched/sched.h"

/* Waits in the running task self until t, whose userdata is at index 1, has ended; then returns all its results, or
** raises its error. protect: returns true and the results, or false and the error. Starts t if nobody has. If self is
** cancelled meanwhile and nobody else awaits t, t is cancelled too, and self waits for its end. The operand of return. */
int mu_await(lua_State *L, mu_sched *s, mu_task *self, mu_task *t, bool protect);

#endif
