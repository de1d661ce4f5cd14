#include "sched/semaphore.h"
#include "bind/bind.h"

/* Semaphores, and locks, which are semaphores of one permit that know their holder. Upvalue 3 of their methods is the
** metatable of permits. A permit's user value 1 is what it is of. */
typedef struct {
  mu_semaphore *of;
  lua_Integer n;   /* 0 once released */
  uint64_t ticket; /* of a lock: which holding of it; of a semaphore: the number of its record */
} permit;

static mu_semaphore *check(lua_State *L) { return mu_check_object(L, 1); }

static bool is_lock(const mu_semaphore *m) { return m->what[0] == 'l'; }

/* ---- permits ---- */

/* Pushes a permit for n of the semaphore at index 1, without taking any. Made before the wait, so that a lack of memory
** loses nothing. */
static permit *push_permit(lua_State *L, mu_semaphore *m) {
  permit *p = lua_newuserdatauv(L, sizeof *p, 1);
  *p = (permit){.of = m};
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  return p;
}

/* The permit is for n from now on. */
static void grant(mu_sched *s, permit *p, lua_Integer n) {
  p->n = n;
  if (is_lock(p->of)) {
    mu_lock_take(s, p->of, 0);
    p->ticket = p->of->turn;
  } else {
    p->ticket = mu_hold_add(s, p->of, p, n);
  }
}

static int permit_close(lua_State *L) {
  permit *p = mu_check_object(L, 1);
  lua_Integer n = p->n;
  p->n = 0;
  if (!n) return 0;
  if (is_lock(p->of)) {
    if (p->ticket != p->of->turn) return 0; /* released by lock:release */
  } else {
    mu_hold_remove(p->of, p->ticket, p);
  }
  if (!mu_semaphore_release(mu_self(L), p->of, n))
    return luaL_error(L, "%s: more released than acquired", p->of->what);
  return 0;
}

static int permit_release(lua_State *L) {
  permit *p = mu_check_object(L, 1);
  luaL_argcheck(L, p->n, 1, "the permit was released before");
  return permit_close(L);
}

/* ---- acquiring ---- */

static lua_Integer check_wanted(lua_State *L, mu_semaphore *m) {
  if (is_lock(m) || lua_isnoneornil(L, 2)) return 1;
  lua_Integer k = mu_check_count(L, 2, 1, "permits");
  if (k > m->limit)
    luaL_argerror(L, 2, lua_pushfstring(L, "the semaphore has only %I permits", (LUAI_UACINT)m->limit));
  return k;
}

/* Stack: semaphore, permit. */
static int hand_permit(lua_State *L, mu_sched *s, lua_Integer k) {
  grant(s, lua_touserdata(L, 2), k);
  lua_settop(L, 2);
  return 1;
}

static int acquired(lua_State *L, int status, lua_KContext k) {
  mu_sched *s = mu_self(L);
  (void)status;
  mu_unpark(L, s);
  return hand_permit(L, s, (lua_Integer)k);
}

static int acquire(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_semaphore *m = check(L);
  mu_task *t = mu_enter(L, s, "acquire");
  lua_Integer k = check_wanted(L, m);
  if (is_lock(m) && mu_lock_is_mine(s, m))
    return luaL_error(L, "lock:acquire: the running task holds it already");
  lua_settop(L, 1);
  push_permit(L, m);
  if (mu_semaphore_try(s, m, k)) return hand_permit(L, s, k);
  return mu_semaphore_wait(L, s, t, m, k, false, (lua_KContext)k, acquired);
}

static int try_acquire(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_semaphore *m = check(L);
  lua_Integer k = check_wanted(L, m);
  lua_settop(L, 1);
  push_permit(L, m);
  if (mu_semaphore_try(s, m, k)) return hand_permit(L, s, k);
  lua_pushnil(L);
  return 1;
}

static int release(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_semaphore *m = check(L);
  lua_Integer k = lua_isnoneornil(L, 2) || is_lock(m) ? 1 : mu_check_count(L, 2, 1, "permits");
  if (is_lock(m) && !mu_lock_is_mine(s, m))
    return luaL_error(L, "lock:release: the running task does not hold it");
  if (!mu_semaphore_release(s, m, k))
    return luaL_error(L, "%s:release: more released than acquired", m->what);
  if (!is_lock(m)) mu_holds_reduce(s, m, k);
  return 0;
}

/* ---- with ---- */

static int called(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return lua_gettop(L) - 2;
}

/* Stack: semaphore, permit, function, arguments. The permit is closed as this function returns or fails. */
static int call_with(lua_State *L) {
  lua_toclose(L, 2);
  lua_callk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, called);
  return called(L, LUA_OK, 0);
}

static int with_acquired(lua_State *L, int status, lua_KContext ctx) {
  mu_sched *s = mu_self(L);
  (void)status, (void)ctx;
  mu_unpark(L, s);
  grant(s, lua_touserdata(L, 2), 1);
  return call_with(L);
}

static int with(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_semaphore *m = check(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  mu_task *t = mu_enter(L, s, "with");
  if (is_lock(m) && mu_lock_is_mine(s, m))
    return luaL_error(L, "lock:with: the running task holds it already");
  permit *p = push_permit(L, m);
  lua_insert(L, 2);
  if (!mu_semaphore_try(s, m, 1)) return mu_semaphore_wait(L, s, t, m, 1, false, 0, with_acquired);
  grant(s, p, 1);
  return call_with(L);
}

static int available(lua_State *L) {
  lua_pushinteger(L, check(L)->free);
  return 1;
}

static int locked(lua_State *L) {
  lua_pushboolean(L, !check(L)->free);
  return 1;
}

/* ---- constructors ---- */

static int construct(lua_State *L, const char *what, lua_Integer n, uint32_t holds) {
  mu_semaphore *m = lua_newuserdatauv(L, sizeof *m + holds * sizeof *m->holds, 0);
  mu_semaphore_init(m, what, n);
  mu_semaphore_record(m, holds);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static int semaphore(lua_State *L) {
  lua_Integer n = mu_check_count(L, 1, 1, "permits");
  return construct(L, "semaphore", n, n < MU_MOST_HOLDS ? (uint32_t)n : MU_MOST_HOLDS);
}

static int lock(lua_State *L) { return construct(L, "lock", 1, 0); }

/* Methods with the metatable of permits, which is at index permits, as upvalue 3. Pushes the metatable. */
static void lock_class(lua_State *L, int s, int permits, const char *name, const luaL_Reg *methods) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  mu_class(L, s, name, none);
  lua_getfield(L, -1, "__index");
  for (; methods->name; methods++) {
    lua_pushvalue(L, s);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, permits);
    lua_pushcclosure(L, methods->func, 3);
    lua_setfield(L, -2, methods->name);
  }
  lua_pop(L, 1);
}

void mu_bind_semaphore(lua_State *L, int s) {
  static const luaL_Reg permit_methods[] = {
      {"release", permit_release}, {"__close", permit_close}, {NULL, NULL}};
  static const luaL_Reg semaphore_methods[] = {{"acquire", acquire},     {"try_acquire", try_acquire},
                                               {"release", release},     {"with", with},
                                               {"available", available}, {NULL, NULL}};
  static const luaL_Reg lock_methods[] = {{"acquire", acquire}, {"try_acquire", try_acquire},
                                          {"release", release}, {"with", with},
                                          {"locked", locked},   {NULL, NULL}};
  int core = lua_gettop(L), permits = core + 1;
  mu_class(L, s, "permit", permit_methods);
  lua_pushvalue(L, core);
  lock_class(L, s, permits, "semaphore", semaphore_methods);
  mu_constructors(L, s, (luaL_Reg[]){{"semaphore", semaphore}, {NULL, NULL}});
  lock_class(L, s, permits, "lock", lock_methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, core, "lock_metatable"); /* for conditions; removed by them */
  mu_constructors(L, s, (luaL_Reg[]){{"lock", lock}, {NULL, NULL}});
  lua_settop(L, core);
}
