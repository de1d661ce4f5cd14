/* limit.c: what bare Lua costs in C: the limit of any scheduler of coroutines on this machine.
** Prints a line for each figure: name, value, unit. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SWITCHES = 5 * 1000 * 1000, RUNS = 2 * 1000 * 1000, SUSPENDED = 100 * 1000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_time(const char *name, double seconds, int n) {
  printf("%s %.1f ns\n", name, seconds / n * 1e9);
}

/* Resumes co with the arguments on its stack. Any error ends the program, as nothing is there to catch it. */
static void resume(lua_State *L, lua_State *co, int nargs) {
  int n, status = lua_resume(co, L, nargs, &n);
  if (status != LUA_OK && status != LUA_YIELD) luaL_error(L, "%s", lua_tostring(co, -1));
  lua_pop(co, n);
}

static void switches(lua_State *L) {
  lua_State *co = lua_newthread(L);
  lua_getglobal(co, "yield_for_ever");
  double start = now();
  for (int i = 0; i < SWITCHES; i++) resume(L, co, 0);
  print_time("switch", now() - start, SWITCHES);
  lua_pop(L, 1);
}

static void fresh(lua_State *L) {
  double start = now();
  for (int i = 0; i < RUNS; i++) {
    lua_State *co = lua_newthread(L);
    lua_getglobal(co, "nothing");
    resume(L, co, 0);
    lua_pop(L, 1);
  }
  print_time("fresh", now() - start, RUNS);
}

static void reused(lua_State *L) {
  lua_State *co = lua_newthread(L);
  double start = now();
  for (int i = 0; i < RUNS; i++) {
    lua_getglobal(co, "nothing");
    resume(L, co, 0);
  }
  print_time("reused", now() - start, RUNS);
  lua_pop(L, 1);
}

/* Counts the bytes that Lua holds. */
static void *count(void *ud, void *p, size_t old_size, size_t new_size) {
  size_t *bytes = ud;
  void *q = new_size ? realloc(p, new_size) : NULL;
  if (new_size && !q) return NULL;
  if (!new_size) free(p);
  *bytes += new_size - (p ? old_size : 0); /* without p, old_size is a type */
  return q;
}

static void suspended(lua_State *L, const size_t *bytes) {
  lua_createtable(L, SUSPENDED, 0);
  lua_gc(L, LUA_GCSTOP);
  size_t before = *bytes;
  for (int i = 1; i <= SUSPENDED; i++) {
    lua_State *co = lua_newthread(L);
    lua_getglobal(co, "yield_for_ever");
    resume(L, co, 0);
    lua_rawseti(L, -2, i);
  }
  printf("suspended %.0f bytes\n", (double)(*bytes - before) / SUSPENDED);
}

static int yield(lua_State *L) { return lua_yield(L, 0); }

static lua_State *open(lua_State *L) {
  if (!L) {
    fputs("limit: not enough memory\n", stderr);
    exit(EXIT_FAILURE);
  }
  luaL_openlibs(L);
  lua_register(L, "yield", yield);
  if (luaL_dostring(L, "local yield = yield\n"
                       "function yield_for_ever() while true do yield() end end\n"
                       "function nothing() end"))
    luaL_error(L, "%s", lua_tostring(L, -1));
  return L;
}

int main(void) {
  lua_State *L = open(luaL_newstate());
  switches(L);
  fresh(L);
  reused(L);
  lua_close(L);
  size_t bytes = 0;
  L = open(lua_newstate(count, &bytes));
  suspended(L, &bytes);
  lua_close(L);
}
