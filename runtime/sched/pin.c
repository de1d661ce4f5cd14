/* pin.c: waiting where Lua cannot yield, and the C stacks for it.
**
** Turns run on fibers: a C stack and a Lua thread each. Where a suspending call finds a C function between itself and
** the task (table.sort calls a comparator that awaits), the task is pinned: it keeps the stack it is on, and the
** scheduler goes on on another fiber. When the wait is over, whoever resumes the task switches back to its stack, where
** the call returns as if it had only taken long; the fiber that was left is idle, and carries on from there when it is
** needed again. So a fiber is always in one of three states: running, idle, or kept by a pinned task.
** The host's own stack is never kept: mu_sched_step switches to a fiber, and any of them may switch back at its end. */
#include "sched/inside.h"

#include <assert.h>

enum { DEFAULT_LIMIT = 10000, FEW = 4 };

/* A full userdata, anchored; user value 1 is its thread. */
struct mu_fiber {
  mu_link link; /* while idle */
  mu_sched *s;
  mu_stack *stack;
  lua_State *L; /* its turns run on it */
  uint32_t slot;
};

/* ---- fibers ---- */

static void give_back(mu_sched *s, mu_fiber *f) {
  mu_list_push_front(&s->idle, &f->link);
  s->idle_fibers++;
}

static mu_fiber *take(mu_sched *s) {
  assert(s->idle_fibers && "a task is pinned only when there is another fiber");
  mu_fiber *f = mu_container(s->idle.next, mu_fiber, link);
  mu_list_remove(&f->link);
  if (--s->idle_fibers < s->least_idle) s->least_idle = s->idle_fibers;
  return f;
}

/* Leaves a stack for that of f; returns when somebody comes back. */
static void enter(mu_sched *s, mu_stack *from, mu_fiber *f) {
  s->fiber = f;
  s->from = f->L;
  mu_stack_switch(from, f->stack);
}

/* What runs on every fiber. */
static void run(void *data) {
  mu_fiber *f = data;
  mu_sched *s = f->s;
  for (;;) {
    mu_turns(s, f->L);
    s->fiber = NULL;
    s->from = s->L;
    give_back(s, f);
    mu_stack_switch(f->stack, &s->host);
  }
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Lua keeps the memory of one call, so that a turn can begin when there is no more to be had. */
static void warm_up(lua_State *L, lua_State *thread) {
  lua_sethook(thread, NULL, 0, 0); /* a new thread inherits the hook of its maker */
  lua_pushcfunction(thread, nothing);
  if (lua_pcall(thread, 0, 0, 0) != LUA_OK) luaL_error(L, "not enough memory");
}

static void add_fiber(lua_State *L, mu_sched *s) {
  luaL_checkstack(L, 4, NULL);
  mu_fiber *f = lua_newuserdatauv(L, sizeof *f, 1);
  f->s = s;
  mu_list_init(&f->link);
  f->L = lua_newthread(L);
  warm_up(L, f->L);
  lua_setiuservalue(L, -2, 1);
  f->slot = mu_anchor(s, L);
  f->stack = mu_stack_new(run, f);
  if (!f->stack) {
    mu_unanchor(s, f->slot);
    luaL_error(L, "not enough memory for a C stack");
  }
  s->fibers++;
  give_back(s, f);
}

static void remove_fiber(mu_sched *s, mu_fiber *f) {
  mu_stack_free(f->stack);
  s->fibers--;
  mu_unanchor(s, f->slot);
}

static void remove_idle(mu_sched *s, uint32_t n) {
  for (; n > 0; n--) {
    mu_fiber *oldest = mu_container(s->idle.prev, mu_fiber, link);
    mu_list_remove(&oldest->link);
    s->idle_fibers--;
    remove_fiber(s, oldest);
  }
}

void mu_fibers_init(mu_sched *s, lua_State *L) {
  mu_list_init(&s->idle);
  s->fiber_limit = DEFAULT_LIMIT;
  add_fiber(L, s);
}

void mu_fibers_free(mu_sched *s) { remove_idle(s, s->idle_fibers); }

/* Once in a while, half of those go that were not needed since the last time. */
void mu_fibers_trim(mu_sched *s) {
  if (s->least_idle > FEW) remove_idle(s, s->least_idle / 2);
  s->least_idle = s->idle_fibers;
}

void mu_fibers_run(mu_sched *s, int budget) {
  s->budget = budget;
  enter(s, &s->host, take(s));
}

/* ---- pinning ---- */

static bool in_finalizer(lua_State *L) { return lua_gc(L, LUA_GCCOUNT) == -1; } /* Lua 5.4.4 and later */

/* The main state belongs to the host: it and its callbacks go on using its Lua stack while a task waits. */
static bool in_main_state(lua_State *L, const mu_sched *s) {
  bool main = lua_pushthread(L);
  lua_pop(L, 1);
  return main || L == s->L;
}

void mu_check_wait(lua_State *L, mu_sched *s, const char *what) {
  if (mu_can_yield(L, s)) return;
  if (in_finalizer(L)) luaL_error(L, "cannot wait for %s in a finalizer (__gc)", what);
  if (in_main_state(L, s))
    luaL_error(L, "cannot wait for %s in a callback that runs in the main state: let it spawn a task", what);
  if (s->idle_fibers > 0) return;
  if (s->fibers > s->fiber_limit)
    luaL_error(L, "cannot wait for %s here: %d tasks wait inside C functions already, which is the limit",
               what, (int)s->fiber_limit);
  add_fiber(L, s);
}

/* Allocates, so that leaving the stack cannot fail. */
void mu_pin_prepare(lua_State *L, mu_sched *s, mu_task *t) {
  luaL_checkstack(L, 3, NULL);
  mu_push_root(s, L, MU_ROOT_PINNED);
  lua_pushlightuserdata(L, s->fiber);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
  t->run.flags |= MU_PIN;
}

/* The fiber that t keeps, or is to keep. */
static mu_fiber *fiber_of(mu_sched *s, const mu_task *t) {
  lua_rawgetp(s->root, MU_ROOT_PINNED, t);
  mu_fiber *f = lua_touserdata(s->root, -1);
  lua_pop(s->root, 1);
  return f;
}

void mu_pin_forget(mu_sched *s, mu_task *t) {
  if (!(t->run.flags & MU_PIN)) return;
  lua_pushnil(s->root);
  lua_rawsetp(s->root, MU_ROOT_PINNED, t);
  t->run.flags &= (uint16_t)~MU_PIN;
}

void mu_pin(mu_sched *s) {
  mu_task *t = s->current;
  mu_fiber *mine = s->fiber;
  lua_State *inner = s->inner;
  bool blocked = s->blocked;
  if (mu_unlikely(s->observer != NULL)) s->observer->suspended(s->observer->data, t);
  mu_join_hand_over(s);
  s->current = NULL;
  s->inner = NULL;
  s->blocked = false;
  enter(s, mine->stack, take(s));
  s->inner = inner;
  s->blocked = blocked;
  mu_pin_forget(s, t);
}

void mu_unpin(mu_sched *s, mu_task *t) {
  mu_fiber *mine = s->fiber;
  give_back(s, mine);
  enter(s, mine->stack, fiber_of(s, t));
}

mu_fiber *mu_pin_take(mu_sched *s, mu_task *t) {
  if (!(t->run.flags & MU_PIN)) return NULL;
  mu_fiber *f = fiber_of(s, t);
  mu_pin_forget(s, t);
  return f;
}

void mu_pin_drop(mu_sched *s, mu_fiber *f) {
  if (f) remove_fiber(s, f);
}
