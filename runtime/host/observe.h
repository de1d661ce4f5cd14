/* observe.h: watches tasks run, for a trace (see trace.h) and for the longest slice. Costs two looks at the clock a
** slice, and with a trace about a microsecond; so a runtime has one only on request. */
#ifndef MU_OBSERVE_H
#define MU_OBSERVE_H

#include "sched/sched.h"

typedef struct mu_observe mu_observe;

/* Becomes the observer of s. trace: the file to write, or NULL. longest: measure slices too? NULL, and errno: no memory,
** or the file cannot be created. The caller owns it, ends it before s, and frees it. */
mu_observe *mu_observe_start(mu_sched *s, const char *trace, bool longest);

/* Observes no more; the trace is complete. L: any state that can be used now. NULL is ignored. */
void mu_observe_end(mu_observe *o, lua_State *L);

/* After mu_observe_end. NULL is ignored. */
void mu_observe_free(mu_observe *o);

/* Nothing may happen for a long time: the trace is written as far as it goes. NULL is ignored. */
void mu_observe_idle(mu_observe *o);

/* Seconds of the longest slice, negative if it is not measured; in *whose which task that was, or NULL. */
double mu_observe_longest(const mu_observe *o, const char **whose);

#endif
