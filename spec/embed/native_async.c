/* An async function written in C, whose work is done by a thread of its own: scripts await it like any
** other.
**
** The thread never touches Lua. When it has finished it posts to the loop's thread, and there, in
** `completed`, the results go to the task. A task that was cancelled meanwhile has told the job so
** (`forget`), which then throws its result away. */
#include "../support/script.h"

#include <lualib.h>
#include <pthread.h>
#include <time.h>

/* ---- an async function in C ---- */

typedef struct {
  muster *m;
  muster_op *op; /* NULL once the task was cancelled; touched by the loop's thread only */
  pthread_t thread;
  lua_Integer n;
  double seconds; /* that the work takes */
} job;

static int finished, ignored; /* jobs, for the checks below */

static void doze(double seconds) {
  nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

/* On the loop's thread: a positive n brings n squared and n, zero nothing at all, a negative one fails. */
static void completed(muster *m, void *data) {
  job *j = data;
  (void)m;
  pthread_join(j->thread, NULL);
  finished++;
  if (!j->op) {
    ignored++;
  } else if (j->n < 0) {
    muster_fail(j->op, "domain", "a negative number");
  } else if (j->n == 0) {
    muster_wake(j->op, 0);
  } else {
    lua_State *L = muster_op_stack(j->op);
    lua_pushinteger(L, j->n * j->n);
    lua_pushinteger(L, j->n);
    muster_wake(j->op, 2);
  }
  free(j);
}

/* On the job's own thread. */
static void *work(void *data) {
  job *j = data;
  doze(j->seconds);
  muster_post(j->m, completed, j);
  return NULL;
}

/* On the loop's thread: the task was cancelled. */
static void forget(muster_op *op, void *data) {
  job *j = *(job **)data;
  CHECK(j->op == op);
  j->op = NULL;
}

static job *start_job(muster *m, muster_op *op, lua_Integer n, double seconds) {
  job *j = malloc(sizeof *j);
  if (!j) return NULL;
  *j = (job){.m = m, .op = op, .n = n, .seconds = seconds};
  if (pthread_create(&j->thread, NULL, work, j) == 0) return j;
  free(j);
  return NULL;
}

/* muster_suspend may raise, and so comes first, before there is anything to free. The slot by which the
** cancel callback finds the job lies on the stack of the task. */
static int start(lua_State *L, void (*cancel)(muster_op *op, void *data)) {
  lua_Integer n = luaL_checkinteger(L, 1);
  double seconds = luaL_optnumber(L, 2, 0);
  job **slot = lua_newuserdatauv(L, sizeof *slot, 0);
  muster_op *op = muster_suspend(L, cancel, slot);
  *slot = start_job(muster_of(L), op, n, seconds);
  if (!*slot) muster_fail(op, "system", "no thread for the job");
  return muster_await(L, op);
}

/* square(n, seconds) -> n * n, n */
static int square(lua_State *L) { return start(L, forget); }

/* The same, but once begun it cannot be cancelled. */
static int firm_square(lua_State *L) { return start(L, NULL); }

/* at_once(...) -> ..., completed before muster_await */
static int at_once(lua_State *L) {
  int n = lua_gettop(L);
  muster_op *op = muster_suspend(L, forget, NULL);
  lua_State *to = muster_op_stack(op);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, i);
    if (to != L) lua_xmove(L, to, 1);
  }
  muster_wake(op, n);
  return muster_await(L, op);
}

static int fail_at_once(lua_State *L) {
  muster_op *op = muster_suspend(L, forget, NULL);
  muster_fail(op, "early", luaL_optstring(L, 1, "failed at once"));
  return muster_await(L, op);
}

static muster *new_runtime(void) {
  muster *m = muster_new(NULL);
  CHECK(m != NULL);
  lua_State *L = muster_state(m);
  lua_register(L, "square", square);
  lua_register(L, "firm_square", firm_square);
  lua_register(L, "at_once", at_once);
  lua_register(L, "fail_at_once", fail_at_once);
  finished = ignored = 0;
  return m;
}

static void end_runtime(muster *m) {
  check_idle(m);
  muster_close(m);
}

/* ---- what holds ---- */

static void runs(const char *code) {
  muster *m = new_runtime();
  run_script(m, code);
  end_runtime(m);
}

static void succeeds(void) {
  runs("local a, b, c = square(7)\n"
       "assert(a == 49 and b == 7 and c == nil)\n"
       "assert(select('#', square(0, 0.001)) == 0)\n"
       "assert(math.type((square(3))) == 'integer')");
}

static void keeps_stack(void) {
  runs("local t = {1, square(2), 3, square(3)}\n"
       "assert(#t == 5 and t[2] == 4 and t[4] == 9 and t[5] == 3)");
}

static void fails(void) {
  runs("local async = require 'muster'\n"
       "local ok, err = pcall(square, -1)\n"
       "assert(not ok and err.kind == 'domain' and err.message == 'a negative number')\n"
       "assert(tostring(err):find('a negative number', 1, true))\n"
       "local t = async.spawn(square, -2)\n"
       "local good, why = t:pawait()\n"
       "assert(not good and why.kind == 'domain' and t:status() == 'failed')");
}

static void early(void) {
  runs("assert(select('#', at_once()) == 0)\n"
       "local a, b, c = at_once(1, nil, 'x')\n"
       "assert(a == 1 and b == nil and c == 'x')\n"
       "local many = {at_once(table.unpack({}, 1, 200))}\n"
       "assert(select('#', at_once(table.unpack(many, 1, 200))) == 200)\n"
       "local ok, err = pcall(fail_at_once, 'too soon')\n"
       "assert(not ok and err.kind == 'early' and err.message == 'too soon')");
}

static void many(void) {
  runs("local async = require 'muster'\n"
       "local tasks, sum = {}, 0\n"
       "for i = 1, 200 do tasks[i] = async(square)(i, i % 10 / 1000) end\n"
       "for i, v in ipairs(async.gather(tasks)) do assert(v == i * i) sum = sum + 1 end\n"
       "assert(sum == 200)");
  CHECK(finished == 200 && ignored == 0);
}

/* Drives the loop until n jobs have come back. */
static void run_until_finished(muster *m, int n) {
  while (finished < n) {
    CHECK(muster_run(m, MUSTER_RUN_ONCE) >= 0);
    doze(0.001);
  }
}

static void cancelled(void) {
  muster *m = new_runtime();
  muster_task *t =
      spawn_script(m, "closed = false\n"
                      "local _ <close> = setmetatable({}, {__close = function() closed = true end})\n"
                      "return square(5, 0.05)");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  CHECK(muster_task_cancel(t, "not needed"));
  CHECK(!muster_task_cancel(t, "twice"));
  CHECK(muster_run_task(m, t) == 0);
  CHECK(muster_task_state(t) == MUSTER_CANCELLED);
  CHECK(finished == 0);
  lua_State *L = muster_state(m);
  CHECK(muster_task_error(t, L) == 2 && error_says(L, -2, "not needed"));
  lua_getglobal(L, "closed");
  CHECK(lua_toboolean(L, -1));
  lua_settop(L, 0);
  muster_task_release(t);
  run_until_finished(m, 1); /* the late result goes nowhere */
  CHECK(ignored == 1);
  end_runtime(m);
}

/* Nothing late reaches a task that waits for something else by then. */
static void times_out(void) {
  runs("local async = require 'muster'\n"
       "local ok, err = pcall(async.timeout, 0.01, square, 5, 0.03)\n"
       "assert(not ok and err.kind == 'timeout')\n"
       "assert(select('#', async.sleep(0.06)) == 0)\n"
       "assert(square(6) == 36)");
  CHECK(finished == 2 && ignored == 1);
}

static void firm(void) {
  muster *m = new_runtime();
  muster_task *t = spawn_script(m, "got = firm_square(5, 0.03)\n"
                                   "require('muster').sleep(0)\n" /* where the cancellation raises */
                                   "got = 'went on'");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_cancel(t, NULL));
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_state(t) == MUSTER_WAITING);
  CHECK(muster_run_task(m, t) == 0);
  CHECK(muster_task_state(t) == MUSTER_CANCELLED);
  lua_State *L = muster_state(m);
  lua_getglobal(L, "got");
  CHECK(lua_tointeger(L, -1) == 25);
  lua_settop(L, 0);
  muster_task_release(t);
  end_runtime(m);
}

static void outside(void) {
  muster *m = new_runtime();
  lua_State *L = muster_state(m);
  lua_pushcfunction(L, square);
  lua_pushinteger(L, 1);
  CHECK(lua_pcall(L, 1, 0, 0) == LUA_ERRRUN && error_says(L, -1, "inside a task"));
  lua_settop(L, 0);
  end_runtime(m);
}

/* In a task that is cancelled already, and whose script swallowed the error. */
static void again(void) {
  muster *m = new_runtime();
  muster_task *t = spawn_script(m, "pcall(square, 5, 0.02)\n"
                                   "for i = 1, 3 do assert(not pcall(square, i)) end");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_cancel(t, NULL));
  CHECK(muster_run_task(m, t) == 0);
  check_done(t, muster_state(m));
  muster_task_release(t);
  run_until_finished(m, 1);
  end_runtime(m);
  CHECK(finished == 1); /* no other job was begun */
}

/* The threads come back before anything is closed: nobody posts to a runtime that is gone. */
static void shuts_down(void) {
  muster *m = new_runtime();
  muster_task *a = spawn_script(m, "square(5, 0.02)"), *b = spawn_script(m, "firm_square(5, 0.02)");
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_shutdown(m) == 0);
  CHECK(muster_task_state(a) == MUSTER_CANCELLED);
  CHECK(muster_task_state(b) == MUSTER_DONE); /* its only wait could not be cancelled */
  muster_task_release(a);
  muster_task_release(b);
  run_until_finished(m, 2);
  end_runtime(m);
}

int main(void) {
  static const spec_case cases[] = {
      {"native: a thread completes it with results", succeeds},
      {"native: results land where they belong", keeps_stack},
      {"native: a failure is an error table", fails},
      {"native: completion before muster_await", early},
      {"native: many at once", many},
      {"native: cancelled while the thread works", cancelled},
      {"native: a timeout cancels it", times_out},
      {"native: without a cancel callback it runs to its end", firm},
      {"native: misuse outside a task raises", outside},
      {"native: a cancelled task begins no other job", again},
      {"native: shutdown waits for what cannot be cancelled", shuts_down},
      {NULL, NULL},
  };
  return run_cases(cases);
}
