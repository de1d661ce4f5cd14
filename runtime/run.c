/* run.c: driving the loop, and stopping it. */
#include "runtime.h"

#include <stdio.h>

enum { BUDGET = 1024 }; /* resumes between two looks at I/O */

static bool tasks_left(const muster *m) { return m->s->alive > m->s->daemons; }

/* Runs what is due; true if more is ready. */
static bool step(muster *m) {
  mu_watchdog_begin(m->watchdog);
  bool more = mu_sched_step(m->s, mu_loop_now(&m->loop), BUDGET);
  mu_watchdog_end(m->watchdog);
  return more;
}

static void poll(muster *m, bool wait) {
  if (wait) mu_observe_idle(m->observe);
  mu_loop_poll(&m->loop, wait, mu_sched_next(m->s), m->s->external > 0);
  if (atomic_load(&m->asked)) mu_do_asked(m);
}

/* Nothing is ready, and nothing is left that could make anything so. */
static bool stuck(muster *m) {
  return !mu_sched_ready(m->s) && mu_sched_next(m->s) < 0 && !m->s->external && !mu_loop_busy(&m->loop);
}

static void report_seed(muster *m) {
  char text[160];
  int n = snprintf(
      text, sizeof text,
      "muster: the order was that of seed %llu: repeat it by --seed %llu, or by seeded(%lld, fn) of "
      "muster.test\n",
      (unsigned long long)m->config.seed, (unsigned long long)m->config.seed, (long long)m->config.seed);
  m->s->hooks.report(m->s->hooks.data, text, (size_t)n);
}

static int report_deadlock(muster *m) {
  mu_report_deadlock(m);
  if (m->s->seed) report_seed(m);
  return MUSTER_EDEADLOCK;
}

static int enter(muster *m) {
  if (m->running || m->s->current) return MUSTER_EBUSY;
  m->running = true;
  m->thread = pthread_self();
  mu_watchdog_enter(m->watchdog);
  return 0;
}

static int leave(muster *m, int result) {
  m->running = false;
  mu_watchdog_leave(m->watchdog);
  atomic_store(&m->stopped, false);
  return result;
}

/* Runs until done(m, data). */
static int run_until(muster *m, bool (*done)(muster *m, void *data), void *data) {
  if (enter(m)) return MUSTER_EBUSY;
  poll(m, false);
  for (;;) {
    bool more = step(m);
    if (done(m, data) || atomic_load(&m->stopped)) break;
    if (!more && stuck(m)) return leave(m, report_deadlock(m));
    poll(m, !more);
  }
  return leave(m, 0);
}

static bool no_tasks_left(muster *m, void *data) {
  (void)data;
  return !tasks_left(m);
}

static bool nothing_alive(muster *m, void *data) {
  (void)data;
  return m->s->alive == 0;
}

static bool task_ended(muster *m, void *task) {
  (void)m;
  return mu_task_ended(((muster_task *)task)->t);
}

/* Nothing is left to wait for but the virtual clock. */
static bool may_jump(muster *m) {
  return !mu_sched_ready(m->s) && mu_loop_may_jump(&m->loop, mu_sched_next(m->s), m->s->external > 0);
}

static int run_once(muster *m, bool wait) {
  if (enter(m)) return MUSTER_EBUSY;
  if (wait && stuck(m) && tasks_left(m)) return leave(m, report_deadlock(m));
  poll(m, wait && !mu_sched_ready(m->s) && !stuck(m));
  if (may_jump(m)) mu_loop_jump(&m->loop, mu_sched_next(m->s));
  step(m);
  poll(m, false); /* lets the loop see new handles, for a host that watches its descriptor */
  return leave(m, tasks_left(m));
}

int muster_run(muster *m, muster_run_mode mode) {
  if (mode != MUSTER_RUN_ALL) return run_once(m, mode == MUSTER_RUN_ONCE);
  int rc = run_until(m, no_tasks_left, NULL);
  return rc < 0 ? rc : tasks_left(m);
}

int muster_run_task(muster *m, muster_task *t) {
  int rc = run_until(m, task_ended, t);
  return rc < 0 ? rc : !mu_task_ended(t->t);
}

int muster_shutdown(muster *m) {
  if (m->running || m->s->current) return MUSTER_EBUSY;
  mu_sched_cancel_all(m->s);
  return run_until(m, nothing_alive, NULL);
}

int muster_poll_fd(muster *m) { return uv_backend_fd(&m->loop.uv); }

double muster_next_deadline(muster *m) {
  if (mu_sched_ready(m->s) || atomic_load(&m->asked) || may_jump(m)) return 0;
  double now = mu_loop_now(&m->loop), next = m->loop.is_virtual ? -1 : mu_sched_next(m->s);
  double timers = next < 0 ? -1 : next > now ? next - now : 0;
  uv_update_time(&m->loop.uv);
  int io = uv_backend_timeout(&m->loop.uv); /* ms; 0 also if no handle is active */
  if (io < 0 || !uv_loop_alive(&m->loop.uv)) return timers;
  return timers >= 0 && timers < io * 1e-3 ? timers : io * 1e-3;
}

int muster_post(muster *m, void (*fn)(muster *m, void *data), void *data) {
  return mu_loop_post(&m->loop, (void (*)(void *, void *))fn, data) ? MUSTER_OK : MUSTER_ENOMEM;
}

void muster_stop(muster *m) {
  atomic_store(&m->stopped, true);
  mu_loop_wake(&m->loop);
}
