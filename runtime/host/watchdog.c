#define _GNU_SOURCE /* pthread_sigqueue, sem_clockwait */
#include "host/watchdog.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
  PERIODS = 4, /* in the span that is allowed */
  LONGEST_PAUSE = 1024,
  PATIENCE = 1000 /* times that stop lets other threads run, to await the last signal */
};

struct mu_watchdog {
  mu_watched watched; /* first, see the header */
  double seconds;
  pthread_t thread;
  sem_t bell;
  atomic_bool ending, called;
  atomic_uint pause;          /* periods from one signal to the next */
  atomic_uint sent, received; /* signals; at most one is under way */
  pthread_mutex_t lock;       /* of the next two */
  bool entered;
  pthread_t target;

  /* Used on the loop's thread only, where the signal handler runs too. */
  mu_sched *s;
  uint64_t slice; /* the one that was seen last, or 0 */
  bool told;      /* of that slice */
  double seen;    /* when that was */
  void (*look)(void *data, double lasted);
  void *data;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- on the loop's thread ---- */

/* A slice that is seen for the first time is noted. One that was seen a whole span ago is too long: it is told once, and
** looked after ever less often, since each signal may end a system call early. The first signal may have come late: then
** the second one finds less than the span, and it is left to the third. */
static double lasted(mu_watchdog *w) {
  uint64_t slice = w->s->current ? w->s->resumes : 0;
  unsigned pause = atomic_load(&w->pause);
  if (slice == 0 || slice != w->slice) {
    w->slice = slice;
    w->seen = now();
    w->told = false;
    atomic_store(&w->pause, PERIODS);
    return 0;
  }
  double span = w->told ? 0 : now() - w->seen;
  if (!w->told && span < w->seconds) return 0;
  if (w->told) atomic_store(&w->pause, pause < LONGEST_PAUSE ? pause * 2 : pause);
  w->told = true;
  return span;
}

/* Others may send that signal too: it has no pointer of ours, then. */
static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  if (info->si_code != SI_QUEUE || info->si_pid != getpid()) return;
  int saved = errno;
  mu_watchdog *w = info->si_value.sival_ptr;
  bool called = atomic_exchange(&w->called, false);
  double span = called ? 0 : lasted(w);
  if (called || span > 0) w->look(w->data, span);
  atomic_fetch_add(&w->received, 1); /* the last access: who stops it waits for this */
  errno = saved;
}

/* The signal is ignored by default, so that the handler can stay. False: the program has its own. */
static bool install(void) {
  struct sigaction action,
      mine = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
  if (sigaction(SIGURG, NULL, &action)) return false;
  if (action.sa_flags & SA_SIGINFO) return action.sa_sigaction == on_signal;
  if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) return false;
  sigfillset(&mine.sa_mask);
  return sigaction(SIGURG, &mine, NULL) == 0;
}

/* ---- the watching thread ---- */

/* Waits until somebody rings (true), or for one period. */
static bool wait(mu_watchdog *w, bool for_ever) {
  double whole, until = now() + w->seconds / PERIODS;
  double part = modf(until, &whole);
  struct timespec t = {(time_t)whole, (long)(part * 1e9)};
  int rc;
  do rc = for_ever ? sem_wait(&w->bell) : sem_clockwait(&w->bell, CLOCK_MONOTONIC, &t);
  while (rc && errno == EINTR);
  return rc == 0;
}

static bool in_step(uint64_t step) { return step & 1; }

static uint64_t step_of(mu_watchdog *w) {
  return atomic_load_explicit(&w->watched.step, memory_order_relaxed);
}

/* A call that comes between two steps is done with: the loop sees by itself what there is to do. */
static void send(mu_watchdog *w) {
  pthread_mutex_lock(&w->lock);
  bool may = w->entered && in_step(step_of(w));
  if (!may) atomic_store(&w->called, false);
  if (may && atomic_load(&w->sent) == atomic_load(&w->received)) {
    atomic_fetch_add(&w->sent, 1);
    if (pthread_sigqueue(w->target, SIGURG, (union sigval){.sival_ptr = w})) atomic_fetch_sub(&w->sent, 1);
  }
  pthread_mutex_unlock(&w->lock);
}

/* One step, for as long as it lasts. When nothing has run for a period the thread asks to be woken; it still looks
** once more before it sleeps, as the loop may have begun a step before it could see that. */
static void *watch(void *data) {
  mu_watchdog *w = data;
  uint64_t last = 0;
  unsigned same = 0, signalled = 0,
           idle = 0; /* periods: of the same step; when it was signalled; without a step */
  while (!atomic_load(&w->ending)) {
    bool rung = wait(w, idle > 1);
    uint64_t step = step_of(w);
    if (atomic_load(&w->called)) send(w);
    if (rung || step != last) {
      last = step, same = signalled = idle = 0;
      atomic_store(&w->watched.drowsy, false);
    } else if (!in_step(step)) {
      if (++idle == 1) atomic_store(&w->watched.drowsy, true);
    } else if (++same == 1 || same - signalled >= atomic_load(&w->pause)) {
      send(w);
      signalled = same;
    }
  }
  return NULL;
}

/* ---- for the owner ---- */

void mu_watchdog_ring(mu_watchdog *w) {
  if (atomic_exchange(&w->watched.drowsy, false)) sem_post(&w->bell);
}

void mu_watchdog_call(mu_watchdog *w) {
  atomic_store(&w->called, true);
  sem_post(&w->bell);
}

void mu_watchdog_enter(mu_watchdog *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->target = pthread_self();
  w->entered = true;
  pthread_mutex_unlock(&w->lock);
}

void mu_watchdog_leave(mu_watchdog *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->entered = false;
  pthread_mutex_unlock(&w->lock);
}

/* The thread takes no signal: they are for the program. */
static bool start_thread(mu_watchdog *w) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&w->thread, NULL, watch, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc == 0;
}

static void free_all(mu_watchdog *w) {
  sem_destroy(&w->bell);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

mu_watchdog *mu_watchdog_start(mu_sched *s, double seconds, void (*look)(void *data, double lasted),
                               void *data) {
  mu_watchdog *w = install() ? calloc(1, sizeof *w) : NULL;
  if (!w) return NULL;
  w->s = s;
  w->seconds = fmin(fmax(seconds, 0.002), 1e6);
  w->look = look;
  w->data = data;
  atomic_store(&w->pause, PERIODS);
  sem_init(&w->bell, 0, 0);
  pthread_mutex_init(&w->lock, NULL);
  if (start_thread(w)) return w;
  free_all(w);
  return NULL;
}

static bool all_received(mu_watchdog *w) { return atomic_load(&w->sent) == atomic_load(&w->received); }

/* The host may block the signal on this thread. */
static void take_pending(void) {
  sigset_t urgent;
  siginfo_t info;
  struct timespec at_once = {0};
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  if (sigtimedwait(&urgent, &info, &at_once) == SIGURG) on_signal(SIGURG, &info, NULL);
}

/* A signal must not find its watchdog gone. One that is pending on another thread, which blocks it, would: then the
** watchdog stays. */
void mu_watchdog_stop(mu_watchdog *w) {
  if (!w) return;
  atomic_store(&w->ending, true);
  sem_post(&w->bell);
  pthread_join(w->thread, NULL);
  for (int i = 0; i < PATIENCE && !all_received(w); i++) sched_yield();
  if (!all_received(w)) take_pending();
  if (all_received(w)) free_all(w);
}
