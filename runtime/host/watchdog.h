/* watchdog.h: finds the task that runs for too long without suspending.
**
** A thread looks, a few times in the allowed span, whether the loop is still in the same step. If so it sends SIGURG to
** the loop's thread, whose handler looks at the scheduler, which only that thread touches: when the same slice is found
** twice, a whole span apart, it calls back. So nothing is paid for a slice, and next to nothing for a step; while the
** loop waits the thread sleeps, without a timeout. Spans in which the process was stopped (by a debugger, or Ctrl-Z) do
** not count.
**
** Call order: start, then any number of enter, (begin, end)*, leave; stop. All on the thread that uses the runtime at
** that time; call may come from any thread. */
#ifndef MU_WATCHDOG_H
#define MU_WATCHDOG_H

#include "sched/sched.h"

#include <stdatomic.h>

typedef struct mu_watchdog mu_watchdog;

/* Begins to watch s for slices that last longer than seconds. look is called on the loop's thread, in a signal handler:
** for: how long the slice has lasted at least, or 0 if it is mu_watchdog_call that asked. NULL: no thread or no memory
** can be had, or the program has a handler for SIGURG. The caller owns it. */
mu_watchdog *mu_watchdog_start(mu_sched *s, double seconds, void (*look)(void *data, double lasted),
                               void *data);

/* NULL is ignored. */
void mu_watchdog_stop(mu_watchdog *w);

/* The calling thread is the one that runs the loop, from now on; and does so no more. NULL is ignored. */
void mu_watchdog_enter(mu_watchdog *w);
void mu_watchdog_leave(mu_watchdog *w);

/* Has look called soon if a step is under way. Any thread, and signal handlers. */
void mu_watchdog_call(mu_watchdog *w);

void mu_watchdog_ring(mu_watchdog *w);

/* What begin and end see of it. */
typedef struct {
  _Atomic uint64_t step; /* odd while the loop is in one */
  atomic_bool drowsy;    /* the thread wants to be woken at the next step */
} mu_watched;

static inline void mu_watched_set(mu_watched *w, uint64_t step) {
  atomic_store_explicit(&w->step, step, memory_order_relaxed);
}

/* A step begins, and ends. NULL is ignored. */
static inline void mu_watchdog_begin(mu_watchdog *watchdog) {
  mu_watched *w = (mu_watched *)watchdog;
  if (!w) return;
  mu_watched_set(w, (atomic_load_explicit(&w->step, memory_order_relaxed) + 1) | 1);
  if (mu_unlikely(atomic_load_explicit(&w->drowsy, memory_order_relaxed))) mu_watchdog_ring(watchdog);
}

static inline void mu_watchdog_end(mu_watchdog *watchdog) {
  mu_watched *w = (mu_watched *)watchdog;
  if (w) mu_watched_set(w, (atomic_load_explicit(&w->step, memory_order_relaxed) + 1) & ~(uint64_t)1);
}

#endif
