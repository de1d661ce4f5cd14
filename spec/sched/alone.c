#include "alone.h"

#include "../support/check.h"
#include "sched/await.h"
#include "sched/join.h"

#include <lualib.h>

enum { BUDGET = 64 };

/* ---- functions for Lua; upvalue 1 is the scheduler ---- */

static alone *self(lua_State *L) { return mu_container(mu_self(L), alone, s); }

static int do_sleep(lua_State *L) {
  mu_enter(L, mu_self(L), "sleep");
  return mu_sleep(L, mu_self(L), luaL_checknumber(L, 1));
}

static int do_yield(lua_State *L) {
  mu_enter(L, mu_self(L), "yield");
  return mu_yield(L, mu_self(L));
}

/* spawn(fn, ...) -> task */
static int do_spawn(lua_State *L) {
  mu_task *t = mu_task_new(L, mu_self(L), lua_gettop(L) - 1);
  mu_task_start(L, mu_self(L), t, 1);
  return 1;
}

static int do_await(lua_State *L) {
  mu_task *t = mu_totask(L, mu_self(L), 1);
  luaL_argcheck(L, t, 1, "no task");
  return mu_await(L, mu_self(L), mu_enter(L, mu_self(L), "await"), t, false);
}

static int do_cancel(lua_State *L) {
  lua_pushboolean(L, mu_task_cancel_because(L, mu_self(L), mu_totask(L, mu_self(L), 1), 1, 2));
  return 1;
}

/* Stack: join. */
static int gathered(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  mu_join *j = lua_touserdata(L, 1);
  if (mu_self(L)->current->ops) mu_unpark_quietly(mu_self(L), mu_self(L)->current);
  lua_getiuservalue(L, 1, 1);
  if (!j->failed && !j->dropped) return 1;
  lua_rawgeti(L, -1, j->failed ? j->failed : j->dropped);
  mu_task_push_results(L, lua_touserdata(L, -1), -1);
  return lua_error(L);
}

/* gather{fn, ...} -> list of results */
static int do_gather(lua_State *L) {
  mu_sched *s = mu_self(L);
  mu_task *t = mu_enter(L, s, "gather");
  lua_Unsigned n = lua_rawlen(L, 1);
  lua_createtable(L, (int)n, 0);
  for (lua_Unsigned i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i);
    mu_task_new(L, s, 0);
    lua_rawseti(L, 2, (lua_Integer)i);
  }
  mu_join *j = mu_join_new(L, s, (uint32_t)n, UINT32_MAX, MU_JOIN_VALUES | MU_JOIN_FAIL_FAST, false);
  lua_replace(L, 1);
  lua_settop(L, 1);
  return mu_join_wait(L, s, t, j, gathered);
}

static int timed(lua_State *L, int status, lua_KContext scope) {
  bool late = mu_scope_end(L, mu_self(L), (mu_scope *)scope, status);
  if (!late && status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  lua_pushboolean(L, !late);
  return 1;
}

/* timeout(seconds, fn) -> whether fn came to its end in time */
static int do_timeout(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  mu_enter(L, mu_self(L), "timeout");
  lua_remove(L, 1);
  return mu_scope_call(L, mu_self(L), 0, seconds, false, timed);
}

static int do_now(lua_State *L) {
  lua_pushnumber(L, self(L)->now);
  return 1;
}

static int do_note(lua_State *L) {
  alone *a = self(L);
  size_t n = strlen(a->said);
  CHECK((size_t)snprintf(a->said + n, sizeof a->said - n, "%s ", luaL_checkstring(L, 1)) <
        sizeof a->said - n);
  return 0;
}

static const luaL_Reg functions[] = {
    {"sleep", do_sleep},   {"yield", do_yield},   {"spawn", do_spawn},     {"await", do_await},
    {"cancel", do_cancel}, {"gather", do_gather}, {"timeout", do_timeout}, {"note", do_note},
    {"now", do_now},       {NULL, NULL}};

/* ---- opening and closing ---- */

static double read_clock(void *data) { return ((alone *)data)->now; }

static void report(void *data, const char *text, size_t length) {
  (void)data;
  printf("%.*s", (int)length, text);
}

void alone_open(alone *a) {
  memset(a, 0, sizeof *a);
  a->L = luaL_newstate();
  a->s.slab = mu_slab_new();
  CHECK(a->L && a->s.slab);
  luaL_openlibs(a->L);
  CHECK(mu_sched_init(&a->s, a->L, &(mu_hooks){read_clock, report, a}));
  lua_pushglobaltable(a->L);
  lua_pushlightuserdata(a->L, &a->s);
  luaL_setfuncs(a->L, functions, 1);
  lua_pop(a->L, 1);
}

void alone_close(alone *a) {
  mu_slab *slab = a->s.slab;
  mu_sched_free(&a->s);
  lua_close(a->L);
  mu_slab_free(slab);
}

/* ---- running ---- */

mu_task *alone_spawn(alone *a, const char *code) {
  if (luaL_loadbuffer(a->L, code, strlen(code), "=script") != LUA_OK) printf("%s\n", lua_tostring(a->L, -1));
  CHECK(lua_isfunction(a->L, -1));
  mu_task *t = mu_task_new(a->L, &a->s, 0);
  mu_task_start(a->L, &a->s, t, -1);
  return t;
}

int alone_step(alone *a, double now) {
  int steps = 1;
  a->now = now;
  for (; mu_sched_step(&a->s, now, BUDGET); steps++) continue;
  return steps;
}

void alone_run(alone *a) {
  alone_step(a, a->now);
  for (double next; (next = mu_sched_next(&a->s)) >= 0;) alone_step(a, next);
}

const char *alone_said(alone *a) {
  static char said[sizeof a->said];
  memcpy(said, a->said, sizeof said);
  a->said[0] = '\0';
  return said;
}

bool alone_says(alone *a, const char *expected) {
  const char *said = alone_said(a);
  if (strcmp(said, expected) == 0) return true;
  printf("noted \"%s\", not \"%s\"\n", said, expected);
  return false;
}
