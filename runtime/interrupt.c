/* interrupt.c: what other threads and signal handlers ask of a runtime: to cancel a task, to print a dump, to say which
** task is slow.
**
** Asking sets a bit, and wakes the loop, which does the thing between two turns. While a task is busy that may be never:
** so a signal handler on the loop's thread also sets a hook, as the standard interpreter does for Ctrl-C, and the thing
** is done at the next instruction of the code that runs. (In a C function there is none until it returns.) A hook that
** the script has set itself is put back at once. */
#include "runtime.h"
#include "sched/frames.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { MU_ASKED_CANCEL = 1, MU_ASKED_BREAK = 2, MU_ASKED_DUMP = 4, MU_ASKED_SLOW = 8 };

/* ---- slow tasks ---- */

static double system_now(void) { return (double)uv_hrtime() * 1e-9; }

/* Pushes the frames of the task that runs, down to the caller of this function. */
static void push_running_frames(lua_State *L, mu_sched *s) {
  lua_State *co = s->current->u.co, *inner = co;
  while (inner && inner != L) inner = mu_inner(inner);
  mu_push_frames(L, inner ? co : L, 1); /* a C library may have resumed L by itself */
}

/* light userdata m -> . Its caller is what ran for so long. */
static int report_slow(lua_State *L) {
  muster *m = lua_touserdata(L, 1);
  char seconds[32];
  double lasted = system_now() - m->slow.since;
  snprintf(seconds, sizeof seconds, lasted < 1 ? "%.2g" : "%.1f", lasted);
  mu_task_push(L, m->s, m->s->current);
  mu_task_push_name(L, m->s, -1);
  push_running_frames(L, m->s);
  const char *text = lua_pushfstring(L, "muster: %s has run for %s s without suspending, here:%s\n",
                                     lua_tostring(L, -2), seconds, lua_tostring(L, -1));
  m->s->hooks.report(m->s->hooks.data, text, strlen(text));
  return 0;
}

static bool told(const muster *m) { return m->s->current && m->s->current->run.flags & MU_SLOW; }

/* Once a task, and not if that slice has ended, and another had to come until the hook was called. */
static void tell_slow(muster *m, lua_State *L) {
  if (told(m) || m->slow.slice != m->s->resumes) return;
  m->s->current->run.flags |= MU_SLOW;
  lua_pushcfunction(L, report_slow);
  lua_pushlightuserdata(L, m);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1); /* no memory */
}

/* ---- doing what was asked ---- */

static void cancel_asked(muster *m) {
  muster_task *hold = atomic_exchange(&m->interrupt, NULL);
  if (hold) mu_task_cancel(m->s, hold->t);
}

static void dump(muster *m) { mu_report_tasks(m); }

void mu_do_asked(muster *m) {
  unsigned asked = atomic_exchange(&m->asked, 0);
  if (asked & MU_ASKED_DUMP) dump(m);
  if (asked & MU_ASKED_CANCEL) cancel_asked(m);
}

/* The script's hook is put back on the coroutine that had it. Others have ours only because they were made meanwhile: a
** new coroutine has the hook of the one that makes it. */
static void put_back_hook(lua_State *L, const muster *m) {
  const mu_displaced_hook *d = m ? &m->displaced : NULL;
  if (d && d->L == L) lua_sethook(L, d->hook, d->mask, d->count);
  else lua_sethook(L, NULL, 0, 0);
}

/* In the busy task, at its next instruction. What was asked of a slice that has ended by itself is not done here. */
static void on_hook(lua_State *L, lua_Debug *ar) {
  muster *m = muster_of(L);
  (void)ar;
  put_back_hook(L, m);
  if (!m || !m->s || !m->s->current) return;
  unsigned asked = atomic_exchange(&m->asked, 0);
  if (asked & MU_ASKED_SLOW) tell_slow(m, L);
  if (asked & MU_ASKED_DUMP) dump(m);
  if (asked & MU_ASKED_CANCEL) cancel_asked(m);
  if (!(asked & MU_ASKED_BREAK)) return;
  mu_task_cancel(m->s, m->s->current);
  if (m->s->current->run.flags & MU_RAISE) mu_task_raise(L, m->s, m->s->current);
}

/* ---- asking ---- */

/* The coroutine that runs now, if a task does. */
static lua_State *running_state(const mu_sched *s) {
  if (!s || !s->current) return NULL;
  return s->inner ? s->inner : s->current->u.co;
}

/* On the loop's thread. A signal that comes amid this leaves the work to it. */
static void set_hook(muster *m) {
  lua_State *L = running_state(m->s);
  if (!L || m->hooking) return;
  m->hooking = true;
  if (lua_gethook(L) != on_hook) {
    m->displaced = (mu_displaced_hook){L, lua_gethook(L), lua_gethookmask(L), lua_gethookcount(L)};
    lua_sethook(L, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
  }
  m->hooking = false;
}

static bool on_loop_thread(muster *m) { return pthread_equal(m->thread, pthread_self()); }

void muster_interrupt(muster *m, muster_task *t) {
  bool here = on_loop_thread(m);
  atomic_store(&m->interrupt, t);
  atomic_fetch_or(&m->asked, MU_ASKED_CANCEL | (here ? MU_ASKED_BREAK : 0));
  if (here) set_hook(m);
  mu_loop_wake(&m->loop);
}

void muster_dump(muster *m) {
  atomic_fetch_or(&m->asked, MU_ASKED_DUMP);
  if (on_loop_thread(m)) set_hook(m);
  else if (m->watchdog) mu_watchdog_call(m->watchdog);
  mu_loop_wake(&m->loop);
}

/* ---- watching ---- */

static void look(void *data, double lasted) {
  muster *m = data;
  if (lasted > 0 && !told(m)) {
    m->slow.since = system_now() - lasted;
    m->slow.slice = m->s->resumes;
    atomic_fetch_or(&m->asked, MU_ASKED_SLOW);
  }
  if (atomic_load(&m->asked)) set_hook(m);
}

void mu_watch_slow(muster *m) {
  if (m->config.slow > 0) m->watchdog = mu_watchdog_start(m->s, m->config.slow, look, m);
}

void mu_stop_watching(muster *m, lua_State *L) {
  mu_watchdog_stop(m->watchdog);
  m->watchdog = NULL;
  mu_observe_end(m->observe, L);
}
