/* muster_close while tasks are under way, whatever they wait for: their pending __close run, and nothing
** else does. */
#include "../support/script.h"

static void hush(void *data, const char *text, size_t length) { (void)data, (void)text, (void)length; }

/* The counter outlives the runtime. */
static int count(lua_State *L) {
  ++*(int *)lua_touserdata(L, lua_upvalueindex(1));
  return 0;
}

/* Every script here can write: local _ <close> = guard(). */
static muster *open_runtime(int *closed) {
  muster *m = muster_new(&(muster_config){.report = hush});
  CHECK(m != NULL);
  lua_State *L = muster_state(m);
  *closed = 0;
  lua_pushlightuserdata(L, closed);
  lua_pushcclosure(L, count, 1);
  lua_setglobal(L, "count");
  CHECK(luaL_dostring(L, "function guard() return setmetatable({}, {__close = count}) end") == LUA_OK);
  return m;
}

/* Runs a script for some turns, and closes; so many __close must have run then. */
static void close_amid(const char *code, int expected) {
  int closed;
  muster *m = open_runtime(&closed);
  muster_task_release(spawn_script(m, code));
  for (int i = 0; i < 4; i++) CHECK(muster_run(m, MUSTER_RUN_NOWAIT) >= 0);
  CHECK(closed == 0);
  muster_close(m);
  if (closed != expected) printf("%d of %d closed: %s\n", closed, expected, code);
  CHECK(closed == expected);
}

/* ---- in every primitive ---- */

#define PRELUDE "local async = require 'muster' local _ <close> = guard() "

static void in_waits(void) {
  static const char *const codes[] = {
      PRELUDE "async.sleep(60)",
      PRELUDE "async.event():wait()",
      PRELUDE "local s = async.semaphore(1) s:acquire() s:acquire()",
      PRELUDE "local l = async.lock() async.spawn(function() l:acquire() async.sleep(60) end) async.yield() "
              "l:acquire()",
      PRELUDE "local l = async.lock() local c = async.condition(l) l:with(function() c:wait() end)",
      PRELUDE "async.barrier(2):wait()",
      PRELUDE "async.channel():recv()",
      PRELUDE "async.channel():send(1)",
      PRELUDE
      "local a, b = async.channel(), async.channel() async.select {a, {send = b, value = 1}, timeout = 60}",
      PRELUDE "for v in async.channel():iter() do end",
      PRELUDE "async.suspend(function() end)",
      PRELUDE "async.timeout(60, async.sleep, 60)",
      PRELUDE "async.move_on_after(60, async.timeout, 30, async.sleep, 60)",
      PRELUDE "async.shield(async.sleep, 60)",
      PRELUDE "pcall(pcall, async.sleep, 60)",
      PRELUDE "while true do async.yield() end",
      NULL,
  };
  for (int i = 0; codes[i]; i++) close_amid(codes[i], 1);
}

/* A task that waits for others, and they for something: n of them are closed. */
static void in_joins(void) {
  static const struct {
    const char *code;
    int closed;
  } cases[] = {
      {"async.gather {work, work}", 3},
      {"async.gather({work, work, work}, {limit = 1})", 2},
      {"for task in async.as_completed {work, work} do task:await() end", 3},
      {"async.gather_settled {work, work}", 3},
      {"async.first {work, work}", 3},
      {"async.wait({work, work}, {timeout = 60})", 3},
      {"async.map({1, 2, 3}, work)", 4},
      {"for _ in async.stream({1, 2, 3, 4}, work, {limit = 2}) do end", 3},
      {"local g <close> = async.group() g:spawn(work) g:spawn(work)", 3},
      {"local g <close> = async.group() g:spawn(work) g:spawn(work) async.sleep(60)", 3},
      {"async.await(work)", 2},
      {"async.spawn(work):pawait()", 2},
      {"local t = async.spawn(work) async.spawn(function() t:await() end) t:await()", 2},
      {"async.gather {function() async.gather {work, function() async.await(work) end} end}", 3},
      {"local t = async.spawn(work) async.timeout(60, async.gather, {t, function() t:await() end})", 2},
      {NULL, 0},
  };
  char code[512];
  for (int i = 0; cases[i].code; i++) {
    snprintf(code, sizeof code,
             PRELUDE "local function work() local _ <close> = guard() async.sleep(60) end %s", cases[i].code);
    close_amid(code, cases[i].closed);
  }
}

/* ---- in other states ---- */

static void before_they_ran(void) {
  int closed;
  muster *m = open_runtime(&closed);
  for (int i = 0; i < 3; i++) muster_task_release(spawn_script(m, PRELUDE));
  run_script(m, "kept = require('muster')(function() end)()"); /* runs the others too */
  CHECK(closed == 3);
  muster_task_release(spawn_script(m, PRELUDE));
  muster_task *t = spawn_script(m, PRELUDE);
  CHECK(muster_task_cancel(t, "why"));
  muster_task_release(t);
  muster_close(m);
  CHECK(closed == 3); /* the last two never began */
}

/* Cancelled or woken, and not yet resumed. */
static void before_they_resumed(void) {
  int closed;
  muster *m = open_runtime(&closed);
  muster_task *t = spawn_script(m, PRELUDE "async.gather {function() async.sleep(60) end, async.yield}");
  for (int i = 0; i < 3; i++) CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  CHECK(muster_task_cancel(t, "why"));
  muster_task_release(t);
  run_script(m, "local async = require 'muster'\n"
                "sem, event = async.semaphore(1), async.event()\n"
                "permit = sem:acquire()\n"
                "async.spawn(function() local _ <close> = guard() local _ <close> = sem:acquire() end)\n"
                "async.spawn(function() local _ <close> = guard() event:wait() end)\n"
                "async.yield()\n"
                "permit:release() event:set()");
  muster_close(m);
  CHECK(closed == 3);
}

/* ---- what runs at the end ---- */

/* Clean-up that cannot suspend any more raises; what it can do still works; one error does not stop the
** others. */
static void clean_up(void) {
  int closed;
  muster *m = open_runtime(&closed);
  muster_task_release(spawn_script(
      m, "local async = require 'muster'\n"
         "local function closing(f) return setmetatable({}, {__close = function() count() f() count() end}) "
         "end\n"
         "local ch, sem = async.channel(2), async.semaphore(2)\n"
         "local one, two = sem:acquire(), sem:acquire()\n"
         "local a <close> = closing(function() error 'in clean-up' end)\n"
         "local b <close> = closing(function() assert(not pcall(async.sleep, 0)) end)\n"
         "local c <close> = closing(function() assert(not pcall(async.spawn, print)) end)\n"
         "local d <close> = closing(function() assert(not pcall(async.shield, async.sleep, 0)) end)\n"
         "local e <close> = closing(function() ch:try_send(1) one:release() ch:close() end)\n"
         "local f <close> = closing(function() collectgarbage() assert(async.current() == nil) end)\n"
         "local g <close> = closing(function() async.sleep(0) end)\n"
         "async.sleep(60)"));
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  muster_close(m);
  CHECK(closed == 7 + 5);
}

static void coroutines(void) {
  int closed;
  muster *m = open_runtime(&closed);
  muster_task_release(spawn_script(m, "local co = coroutine.wrap(function()\n"
                                      "  local _ <close> = guard()\n"
                                      "  coroutine.yield()\n"
                                      "end)\n"
                                      "co()\n"
                                      "local _ <close> = guard()\n"
                                      "require('muster').sleep(60)\n"
                                      "co()"));
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  muster_close(m);
  CHECK(closed == 1); /* a coroutine of the script is not a task: as in plain Lua, it is just collected */
}

static void many(void) {
  int closed;
  muster *m = open_runtime(&closed);
  muster_task_release(spawn_script(m, "local async = require 'muster'\n"
                                      "local gate, sem = async.event(), async.semaphore(7)\n"
                                      "for i = 1, 2000 do\n"
                                      "  async.spawn(function()\n"
                                      "    local _ <close> = guard()\n"
                                      "    local _ <close> = sem:acquire()\n"
                                      "    if i % 2 == 0 then gate:wait() else async.sleep(60) end\n"
                                      "  end)\n"
                                      "end"));
  for (int i = 0; i < 10; i++) CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1);
  muster_close(m);
  CHECK(closed == 2000);
}

/* ---- native operations and posts ---- */

typedef struct {
  muster_op *op;
  int cancelled, posted;
} wait_of;

static void forget(muster_op *op, void *data) {
  wait_of *w = data;
  CHECK(w->op == op);
  w->op = NULL;
  w->cancelled++;
}

static int native(lua_State *L) {
  wait_of *w = lua_touserdata(L, lua_upvalueindex(1));
  w->op = muster_suspend(L, lua_toboolean(L, 1) ? NULL : forget, w);
  return muster_await(L, w->op);
}

static void complete(muster *m, void *data) {
  wait_of *w = data;
  (void)m;
  w->posted++;
  if (w->op) muster_wake(w->op, 0);
  w->op = NULL;
}

/* With a task in a native wait. */
static muster *open_native(int *closed, wait_of *w, muster_task **t, const char *code) {
  muster *m = open_runtime(closed);
  lua_State *L = muster_state(m);
  *w = (wait_of){NULL, 0, 0};
  lua_pushlightuserdata(L, w);
  lua_pushcclosure(L, native, 1);
  lua_setglobal(L, "native");
  *t = spawn_script(m, code);
  CHECK(muster_run(m, MUSTER_RUN_NOWAIT) == 1 && w->op != NULL);
  return m;
}

static void native_waiting(void) {
  int closed;
  wait_of w;
  muster_task *t;
  muster *m = open_native(&closed, &w, &t, PRELUDE "native()");
  muster_task_release(t);
  muster_close(m);
  CHECK(closed == 1 && w.cancelled == 1);
}

/* The cancel callback comes at most once, and never after muster_wake. */
static void native_over(void) {
  int closed;
  wait_of w;
  muster_task *t;
  muster *m = open_native(&closed, &w, &t, PRELUDE "native()");
  complete(m, &w);
  muster_task_release(t);
  muster_close(m);
  CHECK(closed == 1 && w.cancelled == 0);
  m = open_native(&closed, &w, &t, PRELUDE "async.await(native)");
  CHECK(muster_task_cancel(t, NULL) && w.cancelled == 1);
  muster_task_release(t);
  muster_close(m);
  CHECK(closed == 1 && w.cancelled == 1);
}

/* What was posted before the end comes in time, also for a wait that cannot be cancelled. */
static void native_posted(void) {
  int closed;
  wait_of w;
  muster_task *t;
  muster *m = open_native(&closed, &w, &t, PRELUDE "native(true)");
  muster_task_release(t);
  CHECK(muster_post(m, complete, &w) == MUSTER_OK);
  muster_close(m);
  CHECK(closed == 1 && w.posted == 1);
}

static void spawn_late(muster *m, void *data) {
  lua_State *L = muster_state(m);
  lua_pushcfunction(L, native);
  muster_task_release(muster_spawn(L, 0)); /* NULL, or a task that never runs */
  CHECK(lua_gettop(L) == 0);
  ++*(int *)data;
}

static void post_late(muster *m, void *data) {
  spawn_late(m, data);
  CHECK(muster_post(m, spawn_late, data) == MUSTER_OK);
}

static void posts(void) {
  int closed, called = 0;
  muster *m = open_runtime(&closed);
  CHECK(muster_post(m, spawn_late, &called) == MUSTER_OK);
  CHECK(muster_post(m, post_late, &called) == MUSTER_OK);
  muster_close(m);
  CHECK(called == 3); /* also what was posted meanwhile */
}

static void handles(void) {
  close_amid(PRELUDE "local uv = require 'luv'\n"
                     "uv.new_timer():start(60000, 0, function() end)\n"
                     "uv.new_pipe(false) uv.new_tcp() uv.new_idle():start(function() end)\n"
                     "uv.fs_stat('/', function() end)\n"
                     "async.suspend(function(resume) uv.new_timer():start(60000, 0, resume) end)",
             1);
}

static void nobody(void) { muster_close(NULL); }

int main(void) {
  static const spec_case cases[] = {
      {"closing: no runtime", nobody},
      {"closing: tasks in every wait", in_waits},
      {"closing: tasks that wait for tasks", in_joins},
      {"closing: tasks that never ran", before_they_ran},
      {"closing: tasks woken or cancelled, not yet resumed", before_they_resumed},
      {"closing: clean-up cannot suspend", clean_up},
      {"closing: coroutines of a script", coroutines},
      {"closing: many tasks", many},
      {"closing: a native wait is cancelled", native_waiting},
      {"closing: a native wait is cancelled once, and not after its end", native_over},
      {"closing: what was posted comes first", native_posted},
      {"closing: posts are called", posts},
      {"closing: libuv's handles", handles},
      {NULL, NULL},
  };
  return run_cases(cases);
}
