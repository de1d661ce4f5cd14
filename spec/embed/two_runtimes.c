/* Two runtimes in one process share nothing: on one thread, in turns or one inside a task of the other,
** and on two threads at once. */
#include "../support/script.h"

#include <pthread.h>

static muster *open_runtime(const char *name, const muster_config *config) {
  muster *m = muster_new(config);
  CHECK(m != NULL);
  lua_pushstring(muster_state(m), name);
  lua_setglobal(muster_state(m), "me");
  return m;
}

static void close_runtime(muster *m) {
  check_idle(m);
  muster_close(m);
}

/* ---- on one thread ---- */

/* Every task appends to the trace of its own runtime. */
static const char worker[] = "local async = require 'muster'\n"
                             "trace = {}\n"
                             "for i = 1, 5 do\n"
                             "  async.sleep(0.002)\n"
                             "  trace[#trace + 1] = me .. i\n"
                             "end\n"
                             "assert(table.concat(trace, ' ') == ('%1 %2 %3 %4 %5'):gsub('%%', me))\n"
                             "assert(other == nil)\n"
                             "other = me";

static void in_turns(void) {
  muster *a = open_runtime("a", NULL), *b = open_runtime("b", NULL);
  muster_task *ta = spawn_script(a, worker), *tb = spawn_script(b, worker);
  int left;
  do {
    left = muster_run(a, MUSTER_RUN_ONCE) + muster_run(b, MUSTER_RUN_ONCE);
    CHECK(left >= 0);
  } while (left > 0);
  check_done(ta, muster_state(a));
  check_done(tb, muster_state(b));
  muster_task_release(tb);
  muster_task_release(ta);
  close_runtime(a);
  close_runtime(b);
}

static void tell_apart(void) {
  muster *a = open_runtime("a", NULL), *b = open_runtime("b", NULL);
  lua_State *co = lua_newthread(muster_state(a));
  CHECK(muster_of(muster_state(a)) == a && muster_of(muster_state(b)) == b);
  CHECK(muster_of(co) == a);
  CHECK(muster_loop(a) != muster_loop(b) && muster_poll_fd(a) != muster_poll_fd(b));
  lua_pop(muster_state(a), 1);
  close_runtime(a);
  run_script(b, "assert(me == 'b')");
  close_runtime(b);
}

/* Each has its own clock, and its own order. */
static void own_clocks(void) {
  muster *a = open_runtime("a", &(muster_config){.virtual_time = true, .seed = 7}),
         *b = open_runtime("b", NULL);
  run_script(a, "local async = require 'muster' async.sleep(1e6)");
  run_script(b, "local async = require 'muster'\n"
                "local start = async.now() async.sleep(0.001) assert(async.now() - start < 1000)\n"
                "local order = {}\n"
                "for i = 1, 20 do async.spawn(function() order[#order + 1] = i end) end\n"
                "async.yield()\n"
                "for i = 1, 20 do assert(order[i] == i) end");
  close_runtime(a);
  close_runtime(b);
}

static void own_counts(void) {
  muster *a = open_runtime("a", NULL), *b = open_runtime("b", NULL);
  muster_task *t = spawn_script(a, "require('muster').sleep(3600)");
  CHECK(muster_run(a, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_run(b, MUSTER_RUN_ALL) == 0);
  muster_stats_t sa, sb;
  muster_stats(a, &sa);
  muster_stats(b, &sb);
  CHECK(sa.alive == 1 && sa.timers == 1 && sa.tasks == 1);
  CHECK(sb.alive == 0 && sb.timers == 0 && sb.tasks == 0);
  CHECK(muster_shutdown(b) == 0);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  CHECK(muster_shutdown(a) == 0);
  CHECK(muster_task_state(t) == MUSTER_CANCELLED);
  muster_task_release(t);
  close_runtime(a);
  close_runtime(b);
}

/* ---- one inside a task of the other ---- */

/* inner(code) -> an integer; runs a runtime from beginning to end inside this call */
static int inner(lua_State *L) {
  muster *m = open_runtime("inner", NULL);
  CHECK(muster_run(muster_of(L), MUSTER_RUN_NOWAIT) == MUSTER_EBUSY);
  lua_pushinteger(L, run_for_integer(m, luaL_checkstring(L, 1)));
  close_runtime(m);
  return 1;
}

static void inside(void) {
  muster *m = open_runtime("outer", NULL);
  lua_register(muster_state(m), "inner", inner);
  run_script(m,
             "local async = require 'muster'\n"
             "local n = inner [[\n"
             "  local async = require 'muster'\n"
             "  assert(me == 'inner')\n"
             "  return #async.gather {function() async.sleep(0.001) return 1 end, function() return 2 end}\n"
             "]]\n"
             "assert(n == 2 and me == 'outer')\n"
             "async.sleep(0.001)");
  close_runtime(m);
}

/* ---- on two threads ---- */

static void *run_thread(void *data) {
  muster *m = open_runtime(data, NULL);
  for (int round = 0; round < 5; round++) {
    CHECK(run_for_integer(m, "local async = require 'muster'\n"
                             "local sem, sum = async.semaphore(10), 0\n"
                             "local tasks = {}\n"
                             "for i = 1, 500 do\n"
                             "  tasks[i] = function()\n"
                             "    local _ <close> = sem:acquire()\n"
                             "    async.sleep(i % 7 * 1e-4)\n"
                             "    sum = sum + i\n"
                             "  end\n"
                             "end\n"
                             "async.gather(tasks)\n"
                             "return sum") == 125250);
  }
  close_runtime(m);
  return NULL;
}

static void on_two_threads(void) {
  pthread_t a, b;
  CHECK(pthread_create(&a, NULL, run_thread, "a") == 0);
  CHECK(pthread_create(&b, NULL, run_thread, "b") == 0);
  pthread_join(a, NULL);
  pthread_join(b, NULL);
}

/* Ping-pong: each runtime has a thread, and posts to the other. */
enum { ROUNDS = 100 };

typedef struct {
  muster *m;
  muster_op *op; /* of the task that waits for the ball */
  int early;     /* balls that came before it waited */
} player;

static void catch_ball(muster *m, void *data) {
  player *p = data;
  CHECK(p->m == m);
  muster_op *op = p->op;
  p->op = NULL;
  if (op) muster_wake(op, 0);
  else p->early++;
}

/* throw(): upvalue 1 is the other player. */
static int throw_ball(lua_State *L) {
  player *to = lua_touserdata(L, lua_upvalueindex(1));
  CHECK(muster_post(to->m, catch_ball, to) == MUSTER_OK);
  return 0;
}

static int await_ball(lua_State *L) {
  player *p = lua_touserdata(L, lua_upvalueindex(1));
  if (p->early > 0) {
    p->early--;
    return 0;
  }
  p->op = muster_suspend(L, NULL, NULL);
  return muster_await(L, p->op);
}

static void define(player *p, const char *name, lua_CFunction f, player *upvalue) {
  lua_State *L = muster_state(p->m);
  lua_pushlightuserdata(L, upvalue);
  lua_pushcclosure(L, f, 1);
  lua_setglobal(L, name);
}

static void *play(void *data) {
  player *p = data;
  lua_pushinteger(muster_state(p->m), ROUNDS);
  lua_setglobal(muster_state(p->m), "rounds");
  run_script(p->m, "if me == 'first' then throw() end\n"
                   "for i = 1, rounds do await_ball() if me == 'second' or i < rounds then throw() end end");
  return NULL;
}

static void ping_pong(void) {
  player p[2] = {{.m = open_runtime("first", NULL)}, {.m = open_runtime("second", NULL)}};
  pthread_t thread;
  for (int i = 0; i < 2; i++) {
    define(&p[i], "throw", throw_ball, &p[1 - i]);
    define(&p[i], "await_ball", await_ball, &p[i]);
  }
  CHECK(pthread_create(&thread, NULL, play, &p[1]) == 0);
  play(&p[0]);
  pthread_join(thread, NULL);
  close_runtime(p[0].m);
  close_runtime(p[1].m);
}

int main(void) {
  static const spec_case cases[] = {
      {"two runtimes: in turns on one thread", in_turns},
      {"two runtimes: each state knows its own", tell_apart},
      {"two runtimes: own clocks and orders", own_clocks},
      {"two runtimes: own counts, own shutdown", own_counts},
      {"two runtimes: one inside a task of the other", inside},
      {"two runtimes: on two threads", on_two_threads},
      {"two runtimes: tasks of two threads hand a ball to and fro", ping_pong},
      {NULL, NULL},
  };
  return run_cases(cases);
}
