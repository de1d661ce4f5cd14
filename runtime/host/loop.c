#include "host/loop.h"

#include <math.h>
#include <stdlib.h>

enum { LONGEST_WAIT_MS = 1000 * 60 * 60 * 24 };

/* ---- posts ---- */

static mu_post *take_posts(mu_loop *l) {
  uv_mutex_lock(&l->lock);
  mu_post *first = l->posts;
  l->posts = NULL;
  l->last_post = &l->posts;
  uv_mutex_unlock(&l->lock);
  return first;
}

static void run_posts(mu_loop *l) {
  for (mu_post *p = take_posts(l), *next; p; p = next) {
    next = p->next;
    p->fn(l->owner, p->data);
    free(p);
  }
}

static bool posted(mu_loop *l) {
  uv_mutex_lock(&l->lock);
  bool any = l->posts;
  uv_mutex_unlock(&l->lock);
  return any;
}

void mu_loop_run_posts(mu_loop *l) {
  while (posted(l)) run_posts(l);
}

static void on_wakeup(uv_async_t *handle) {
  mu_loop *l = handle->data;
  l->wakeups++;
  run_posts(l);
}

bool mu_loop_post(mu_loop *l, void (*fn)(void *owner, void *data), void *data) {
  mu_post *p = malloc(sizeof *p);
  if (!p) return false;
  *p = (mu_post){NULL, fn, data};
  uv_mutex_lock(&l->lock);
  *l->last_post = p;
  l->last_post = &p->next;
  uv_mutex_unlock(&l->lock);
  mu_loop_wake(l);
  return true;
}

void mu_loop_wake(mu_loop *l) { uv_async_send(&l->wakeup); }

/* ---- set-up and tear-down ---- */

/* libuv runs its timers, and then waits for I/O: not if a timer has just made a task ready, or was our deadline. */
static void on_prepare(uv_prepare_t *handle) {
  mu_loop *l = handle->data;
  if (l->ready(l->owner)) uv_stop(&l->uv);
}

int mu_loop_init(mu_loop *l, void *owner, bool (*ready)(void *owner)) {
  *l = (mu_loop){.owner = owner, .ready = ready};
  l->last_post = &l->posts;
  int rc = uv_mutex_init(&l->lock);
  if (rc) return rc;
  if ((rc = uv_loop_init(&l->uv))) goto no_loop;
  if ((rc = uv_async_init(&l->uv, &l->wakeup, on_wakeup))) goto no_wakeup;
  uv_timer_init(&l->uv, &l->timer); /* cannot fail */
  uv_prepare_init(&l->uv, &l->prepare);
  uv_prepare_start(&l->prepare, on_prepare);
  uv_unref((uv_handle_t *)&l->prepare);
  l->wakeup.data = l->prepare.data = l;
  uv_unref((uv_handle_t *)&l->wakeup);
  return 0;
no_wakeup:
  uv_loop_close(&l->uv);
no_loop:
  uv_mutex_destroy(&l->lock);
  return rc;
}

static void close_handle(uv_handle_t *handle, void *data) {
  (void)data;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void mu_loop_drain(mu_loop *l) {
  mu_loop_run_posts(l);
  uv_walk(&l->uv, close_handle, NULL);
  uv_run(&l->uv, UV_RUN_DEFAULT);
}

void mu_loop_close(mu_loop *l) {
  mu_loop_drain(l);
  uv_loop_close(&l->uv);
  for (mu_post *p = l->posts, *next; p; p = next) {
    next = p->next;
    free(p);
  }
  uv_mutex_destroy(&l->lock);
}

/* ---- clocks ---- */

static double system_now(void) { return (double)uv_hrtime() * 1e-9; }

double mu_loop_now(const mu_loop *l) { return l->is_virtual ? l->virtual_now : system_now() + l->offset; }

void mu_loop_set_virtual(mu_loop *l, bool on) {
  double now = mu_loop_now(l);
  if (on && !l->is_virtual) now = ceil(now); /* so that sums of whole seconds are exact */
  l->is_virtual = on;
  l->virtual_now = now;
  l->offset = now - system_now();
}

/* ---- polling ---- */

bool mu_loop_busy(mu_loop *l) { return posted(l) || uv_loop_alive(&l->uv); }

bool mu_loop_owns(const mu_loop *l, const uv_handle_t *handle) {
  const void *h = handle;
  return h == &l->timer || h == &l->wakeup || h == &l->prepare || handle->data == l;
}

typedef struct {
  const mu_loop *loop;
  size_t n;
} counting;

static void count_handle(uv_handle_t *handle, void *data) {
  counting *c = data;
  if (uv_is_active(handle) && (uv_has_ref(handle) || !mu_loop_owns(c->loop, handle))) c->n++;
}

size_t mu_loop_handles(mu_loop *l) {
  counting c = {l, 0};
  uv_walk(&l->uv, count_handle, &c);
  return c.n;
}

static void on_timer(uv_timer_t *timer) { uv_stop(timer->loop); }

/* Rounds up: the scheduler fires nothing early. */
static uint64_t milliseconds_until(const mu_loop *l, double deadline) {
  double ms = ceil((deadline - mu_loop_now(l)) * 1000);
  return ms <= 0 ? 0 : ms < LONGEST_WAIT_MS ? (uint64_t)ms : LONGEST_WAIT_MS;
}

/* I/O that takes as long as the nearest deadline is away moves a virtual clock to that deadline. */
static void pass_time(mu_loop *l, double seconds, double deadline) {
  l->waited += seconds;
  if (deadline < 0 || l->virtual_now + l->waited < deadline) return;
  l->virtual_now = fmax(deadline, l->virtual_now);
  l->waited = 0;
}

/* libuv does not look at a handle without a reference when nothing else is alive. */
static void run_loop(mu_loop *l, uv_run_mode mode, bool heed_wakeup) {
  if (heed_wakeup) uv_ref((uv_handle_t *)&l->wakeup);
  uv_run(&l->uv, mode);
  uv_unref((uv_handle_t *)&l->wakeup);
}

static void wait_until(mu_loop *l, double deadline, bool external) {
  double start = system_now();
  l->waits++;
  if (deadline >= 0) {
    uv_update_time(&l->uv);
    uv_timer_start(&l->timer, on_timer, milliseconds_until(l, deadline), 0);
  }
  run_loop(l, UV_RUN_ONCE, external || posted(l));
  uv_timer_stop(&l->timer);
  if (l->is_virtual) pass_time(l, system_now() - start, deadline);
}

bool mu_loop_may_jump(mu_loop *l, double deadline, bool external) {
  return l->is_virtual && deadline >= 0 && isfinite(deadline) && !external && !mu_loop_busy(l);
}

void mu_loop_jump(mu_loop *l, double deadline) {
  l->virtual_now = fmax(deadline, l->virtual_now);
  l->waited = 0;
}

void mu_loop_poll(mu_loop *l, bool wait, double deadline, bool external) {
  l->polls++;
  if (!wait) {
    run_loop(l, UV_RUN_NOWAIT, true);
  } else if (mu_loop_may_jump(l, deadline, external)) {
    mu_loop_jump(l, deadline);
    run_loop(l, UV_RUN_NOWAIT, true);
  } else {
    wait_until(l, deadline, external);
  }
}
