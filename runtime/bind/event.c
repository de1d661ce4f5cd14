#include "sched/event.h"
#include "bind/bind.h"
#include "sched/semaphore.h"

static int unparked(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  mu_unpark(L, mu_self(L));
  return 0;
}

static void *construct(lua_State *L, size_t size, int nuv) {
  void *object = lua_newuserdatauv(L, size, nuv);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return object;
}

/* ---- event ---- */

typedef struct {
  bool set;
  mu_link waiters;
} event;

static event *check_event(lua_State *L) { return mu_check_object(L, 1); }

static int event_new(lua_State *L) {
  event *e = construct(L, sizeof *e, 0);
  e->set = false;
  mu_list_init(&e->waiters);
  return 1;
}

static int event_set(lua_State *L) {
  event *e = check_event(L);
  e->set = true;
  if (!mu_self(L)->closed) mu_queue_wake(mu_self(L), &e->waiters, SIZE_MAX);
  return 0;
}

static int event_clear(lua_State *L) {
  check_event(L)->set = false;
  return 0;
}

static int event_is_set(lua_State *L) {
  lua_pushboolean(L, check_event(L)->set);
  return 1;
}

static int event_wait(lua_State *L) {
  mu_sched *s = mu_self(L);
  event *e = check_event(L);
  mu_task *t = mu_enter(L, s, "event:wait");
  if (e->set) return 0;
  return mu_queue_wait(L, s, t, &e->waiters, &mu_event_wait, NULL, 0, unparked);
}

/* ---- condition ---- */
/* User value 1 is its lock. */

typedef struct {
  mu_semaphore *lock;
  mu_link waiters;
} condition;

static condition *check_condition(lua_State *L) { return mu_check_object(L, 1); }

static condition *check_held(lua_State *L, mu_sched *s, const char *what) {
  condition *c = check_condition(L);
  if (!mu_lock_is_mine(s, c->lock))
    luaL_error(L, "condition:%s: the running task does not hold the lock", what);
  return c;
}

/* condition(lock); upvalue 3: the metatable of locks */
static int condition_new(lua_State *L) {
  mu_semaphore *lock = lua_touserdata(L, 1);
  bool is = lock && lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(3));
  if (!is) return luaL_typeerror(L, 1, "lock");
  lua_settop(L, 1);
  condition *c = construct(L, sizeof *c, 1);
  c->lock = lock;
  mu_list_init(&c->waiters);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* The lock is held again. A notification that a cancelled task cannot use goes to the next waiter. */
static int condition_relocked(lua_State *L, int status, lua_KContext notified) {
  mu_sched *s = mu_self(L);
  condition *c = lua_touserdata(L, 1);
  (void)status;
  mu_unpark_quietly(s, s->current);
  mu_lock_take(s, c->lock, (uint64_t)lua_tointeger(L, 2));
  if (!(s->current->run.flags & MU_RAISE)) return 0;
  if (notified) mu_queue_wake(s, &c->waiters, 1);
  mu_task_raise(L, s, s->current);
  return 0;
}

static int condition_woken(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  mu_task *t = s->current;
  condition *c = lua_touserdata(L, 1);
  (void)ctx;
  bool notified = mu_fired(t);
  mu_unpark_quietly(s, t);
  if (mu_semaphore_try(s, c->lock, 1)) return condition_relocked(L, status, notified);
  return mu_semaphore_wait(L, s, t, c->lock, 1, true, notified, condition_relocked);
}

static int condition_wait(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = mu_enter(L, s, "condition:wait");
  condition *c = check_held(L, s, "wait");
  mu_check_wait(L, s, "condition:wait");
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)c->lock->turn); /* the permit stays good */
  mu_semaphore_release(s, c->lock, 1);
  return mu_queue_wait(L, s, t, &c->waiters, &mu_condition_wait, NULL, 0, condition_woken);
}

static int condition_notify(lua_State *L) {
  mu_sched *s = mu_self(L);
  condition *c = check_held(L, s, "notify");
  lua_Integer n = lua_isnoneornil(L, 2) ? 1 : mu_check_count(L, 2, 0, "waiters");
  lua_pushinteger(L, (lua_Integer)mu_queue_wake(s, &c->waiters, (size_t)n));
  return 1;
}

static int condition_notify_all(lua_State *L) {
  mu_sched *s = mu_self(L);
  lua_pushinteger(L, (lua_Integer)mu_queue_wake(s, &check_held(L, s, "notify_all")->waiters, SIZE_MAX));
  return 1;
}

/* ---- barrier ---- */

typedef struct {
  mu_parties of;
  mu_link waiters;
} barrier;

static barrier *check_barrier(lua_State *L) { return mu_check_object(L, 1); }

static int barrier_new(lua_State *L) {
  lua_Integer n = mu_check_count(L, 1, 1, "parties");
  barrier *b = construct(L, sizeof *b, 0);
  b->of = (mu_parties){.parties = n};
  mu_list_init(&b->waiters);
  return 1;
}

static int barrier_passed(lua_State *L, int status, lua_KContext place) {
  mu_sched *s = mu_self(L);
  (void)status;
  mu_unpark(L, s);
  lua_pushinteger(L, (lua_Integer)place);
  return 1;
}

/* barrier -> the place of the caller, from 1 to n; the last to come opens it, and it starts anew */
static int barrier_wait(lua_State *L) {
  mu_sched *s = mu_self(L);
  barrier *b = check_barrier(L);
  mu_task *t = mu_enter(L, s, "barrier:wait");
  lua_settop(L, 1);
  lua_Integer place = b->of.arrived + 1;
  if (place == b->of.parties) {
    b->of.arrived = 0;
    mu_queue_wake(s, &b->waiters, SIZE_MAX);
    lua_pushinteger(L, place);
    return 1;
  }
  mu_check_wait(L, s, "barrier:wait");
  return mu_queue_wait(L, s, t, &b->waiters, &mu_barrier_wait, &b->of, (lua_KContext)place, barrier_passed);
}

static int barrier_waiting(lua_State *L) {
  lua_pushinteger(L, check_barrier(L)->of.arrived);
  return 1;
}

/* ---- tables ---- */

static void bind_condition(lua_State *L, int s, int core) {
  static const luaL_Reg methods[] = {{"wait", condition_wait},
                                     {"notify", condition_notify},
                                     {"notify_all", condition_notify_all},
                                     {NULL, NULL}};
  lua_pushvalue(L, s);
  mu_class(L, s, "condition", methods);
  lua_getfield(L, core, "lock_metatable");
  lua_pushcclosure(L, condition_new, 3);
  lua_setfield(L, core, "condition");
  lua_pushnil(L);
  lua_setfield(L, core, "lock_metatable");
}

void mu_bind_event(lua_State *L, int s) {
  static const luaL_Reg event_methods[] = {{"set", event_set},
                                           {"clear", event_clear},
                                           {"is_set", event_is_set},
                                           {"wait", event_wait},
                                           {NULL, NULL}};
  static const luaL_Reg barrier_methods[] = {
      {"wait", barrier_wait}, {"waiting", barrier_waiting}, {NULL, NULL}};
  int core = lua_gettop(L);
  mu_class(L, s, "event", event_methods);
  mu_constructors(L, s, (luaL_Reg[]){{"event", event_new}, {NULL, NULL}});
  mu_class(L, s, "barrier", barrier_methods);
  mu_constructors(L, s, (luaL_Reg[]){{"barrier", barrier_new}, {NULL, NULL}});
  bind_condition(L, s, core);
}
