/* timer.c: ops that fire at a time. Start and stop cost O(log n); due timers fire in deadline order, ties in start
** order. Firing resumes nothing: it wakes tasks, and cancels scopes. */
#include "sched/inspect.h"
#include "sched/inside.h"

bool mu_timer_start(mu_sched *s, mu_timer *t, double at) { return mu_heap_insert(&s->timers, &t->item, at); }

void mu_timer_stop(mu_sched *s, mu_timer *t) { mu_heap_remove(&s->timers, &t->item); }

bool mu_timer_cancel(mu_sched *s, mu_op *op) {
  mu_timer_stop(s, (mu_timer *)op);
  return true;
}

mu_timer *mu_timer_op(lua_State *L, mu_sched *s, mu_task *t, const mu_opclass *cls, double seconds) {
  mu_timer *timer = mu_op_new(L, s, t, cls);
  timer->item.position = MU_HEAP_OUT;
  if (!mu_timer_start(s, timer, s->hooks.now(s->hooks.data) + seconds)) {
    mu_ops_abandon(s, t);
    luaL_error(L, "not enough memory");
  }
  return timer;
}

static const mu_opclass sleep_class = {
    .name = "sleep", .size = sizeof(mu_timer), .cancel = mu_timer_cancel, .describe = mu_timer_describe};

static int slept(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  return 0;
}

int mu_sleep(lua_State *L, mu_sched *s, double seconds) {
  mu_timer_op(L, s, s->current, &sleep_class, seconds);
  return mu_park(L, s, 0, slept);
}

void mu_timers_fire(mu_sched *s, double now) {
  mu_heap_item *first;
  while ((first = mu_heap_first(&s->timers)) && s->timers.nodes[0].key <= now) {
    mu_heap_remove(&s->timers, first);
    mu_fire(s, &mu_container(first, mu_timer, item)->op);
  }
}

double mu_sched_next(const mu_sched *s) { return s->timers.count ? s->timers.nodes[0].key : -1; }
