/* Stores of several runtimes in one process: on threads at once; open, busy or waited for when their runtime closes; on a
** state that outlives its runtime. */
#include "../support/script.h"

#include <lualib.h>
#include <pthread.h>

static const char work[] = "local store = require 'muster.store'\n"
                           "local db <close> = assert(store.open ':memory:')\n"
                           "assert(db:exec 'CREATE TABLE t (x)')\n"
                           "for i = 1, 200 do assert(db:exec('INSERT INTO t VALUES (?)', i)) end\n"
                           "return db:one('SELECT sum(x) AS n FROM t').n";

/* Leaves a database that is open, one that is busy, and a query that is being read. */
static const char leave[] = "local async = require 'muster'\n"
                            "local store = require 'muster.store'\n"
                            "local all = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '\n"
                            "local db = assert(store.open ':memory:')\n"
                            "local step, query = db:query(all .. 'SELECT i FROM n')\n"
                            "step(query)\n"
                            "kept = {db, query}\n"
                            "local busy = assert(store.open ':memory:')\n"
                            "async.spawn(function() busy:one(all .. 'SELECT sum(i) FROM n') end)\n"
                            "async.spawn(function() busy:exec 'SELECT 1' end)\n"
                            "async.spawn(function() store.open ':memory:' end)\n"
                            "async.yield()\n"
                            "return 1";

static void *whole_life(void *unused) {
  (void)unused;
  for (int i = 0; i < 3; i++) {
    muster *m = muster_new(NULL);
    CHECK(m != NULL);
    CHECK(run_for_integer(m, work) == 20100);
    muster_close(m);
  }
  return NULL;
}

static void at_once(void) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, whole_life, NULL) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void side_by_side(void) {
  muster *a = muster_new(NULL), *b = muster_new(NULL);
  CHECK(a && b);
  CHECK(run_for_integer(a, leave) == 1);
  CHECK(run_for_integer(b, work) == 20100);
  muster_close(a);
  CHECK(run_for_integer(b, work) == 20100);
  muster_close(b);
}

static void busy_at_the_end(void) {
  for (int i = 0; i < 10; i++) {
    muster *m = muster_new(NULL);
    CHECK(m != NULL);
    CHECK(run_for_integer(m, leave) == 1);
    muster_close(m);
  }
}

static void outlived(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  for (int i = 0; i < 3; i++) {
    muster *m = muster_new(&(muster_config){.state = L});
    CHECK(m != NULL);
    CHECK(run_for_integer(m, leave) == 1);
    muster_close(m);
    lua_gc(L, LUA_GCCOLLECT);
  }
  lua_close(L);
}

int main(void) {
  static const spec_case cases[] = {
      {"stores: on threads, several runtimes at once", at_once},
      {"stores: of two runtimes, side by side", side_by_side},
      {"stores: busy when the runtime closes", busy_at_the_end},
      {"stores: of a state that outlives the runtime", outlived},
      {NULL, NULL},
  };
  return run_cases(cases);
}
