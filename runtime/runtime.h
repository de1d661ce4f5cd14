/* runtime.h: what the files that implement muster.h share. */
#ifndef MU_RUNTIME_H
#define MU_RUNTIME_H

#include "host/http.h"
#include "host/http_server.h"
#include "host/loop.h"
#include "host/observe.h"
#include "host/store.h"
#include "host/watchdog.h"
#include "muster.h"
#include "sched/inside.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* A hook of the script's while ours is in its place. */
typedef struct {
  lua_State *L;
  lua_Hook hook;
  int mask, count;
} mu_displaced_hook;

struct muster {
  mu_sched *s; /* a userdata of L, anchored in its registry */
  lua_State *L;
  mu_slab *slab;
  muster **rest; /* in a foreign state: holds this struct after muster_close */
  mu_loop loop;
  mu_http http;
  mu_httpd httpd;
  mu_store store;
  muster_config config;
  bool owns_state, running;
  mu_observe *observe; /* or NULL */
  muster_stats_t last; /* what was counted when os.exit closed the state */
  bool collecting, collector_measured;
  uint64_t collected; /* nanoseconds, in the collector */
  atomic_bool stopped;
  atomic_uint asked;                /* MU_ASKED_…, see interrupt.c */
  _Atomic(muster_task *) interrupt; /* the task that muster_interrupt is to cancel */
  _Atomic(pthread_t) thread;        /* that runs the loop */
  volatile sig_atomic_t hooking;
  mu_displaced_hook displaced;
  mu_watchdog *watchdog; /* or NULL */
  struct {
    double since;   /* when it was running already */
    uint64_t slice; /* which it was */
  } slow;           /* the task that the watchdog has found */
};

struct muster_task {
  muster *m;
  mu_task *t;
  uint32_t anchor; /* of the task's userdata */
  bool asked;      /* for its results or its error */
};

/* Makes the library known to require, and the standard libraries with those linked in: lpeg, re, cjson, luv. Raises. */
void mu_open_libraries(lua_State *L, muster *m, int sched);

/* Gives luv the loop of m; returns its opener. */
lua_CFunction mu_prepare_luv(lua_State *L, muster *m);

/* Replaces os.exit in a state of our own. */
void mu_open_exit(lua_State *L);

/* A C function, for a state that goes on without its runtime: takes all of that out again. */
int mu_close_libraries(lua_State *L);

/* Pushes the module "muster.host": what the library needs of the host (clock, options). */
int mu_open_host(lua_State *L);

/* number -> a function that has the signal do again what it does now. Raises. */
int mu_keep_signal(lua_State *L);

/* descriptor, offset, "set", "cur" or "end" -> the position that lseek has set; or nil and the name of the error. */
int mu_seek(lua_State *L);

/* For states of our own: what luaL_newstate sets up. */
void mu_set_panic_and_warnings(lua_State *L);

/* Reports, as muster_config tells, the tree of all live tasks. From the loop's thread: also while a task runs, from a
** debug hook in it. */
void mu_report_tasks(muster *m);

/* Reports the tasks that wait, when nothing is left that could wake one. */
void mu_report_deadlock(muster *m);

/* Does what other threads and signal handlers asked for; on the loop's thread, between turns. */
void mu_do_asked(muster *m);

/* Begins to look out for slow tasks, if the configuration says so. */
void mu_watch_slow(muster *m);

/* Ends that, and the trace, before the scheduler goes. L: a state that can be used now. */
void mu_stop_watching(muster *m, lua_State *L);

#endif
